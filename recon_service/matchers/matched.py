"""The ledger items that are matched already, as far as groups ask for them: which carry a key."""

from collections.abc import Sequence
from functools import cached_property

import polars as pl

from recon_service.matchers.sides import words


class Matched:
    """Items (`referenced`) that exact passes and evidence took.

    There may be millions, and few runs have a batch that asks: their texts are read when it does.
    """

    def __init__(self, items: pl.DataFrame, *, besides: "Matched | None" = None) -> None:
        self.items = items
        self._besides = besides

    def carrying(self, keys: Sequence[str]) -> frozenset[str]:
        """Return those of `keys` that stand in the reference or the text of an item."""
        found = self._plain.str.extract_many(list(keys)).explode().drop_nulls().unique()
        more = self._besides.carrying(keys) if self._besides else frozenset()
        return more | frozenset(found.to_list())

    @cached_property
    def _plain(self) -> pl.Series:
        text = pl.concat_str("ref", "words", separator=" ", ignore_nulls=True)
        told = self.items.select("ref", words=words(self.items["text"]))
        return told.select(text.str.replace_all(" ", "", literal=True)).to_series()

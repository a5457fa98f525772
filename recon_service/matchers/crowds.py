"""Crowds: where one amount and day has more candidates than the cap, rare words lead the way."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.config import Policy
from recon_service.matchers.gates import Candidates, in_window, within_tolerance

# A word on more ledger items than this singles nobody out.
_ITEMS_PER_WORD_MAX = 20
_CROWD = ("group", "amount_minor")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def with_rare_words(
    found: Candidates,
    records: pl.DataFrame,
    items: pl.DataFrame,
    policy: Policy,
    *,
    per_record_max: int,
) -> Candidates:
    """Add, for records whose candidates were cut, those that share a rare word or an id.

    They pass the same gates; what is added no longer counts as dropped.
    """
    if not found.dropped.any():
        return found
    crowd = records.with_row_index("record").filter(pl.Series(found.dropped > 0))
    words = _words(crowd, "record")
    rare = _words(items.with_row_index("item"), "item").filter(
        pl.len().over("group", "word") <= _ITEMS_PER_WORD_MAX
    )
    shared = (
        words.join(rare, on=("group", "word"))
        .group_by("record", "item")
        .agg(words=pl.len())
        .join(_pairs(found), on=("record", "item"), how="anti")
    )
    pairs = shared.join(
        crowd.select("record", "day", "amount_minor", "absolute_minor"), on="record"
    ).join(
        items.with_row_index("item").select(
            "item", item_day="day", item_amount_minor="amount_minor"
        ),
        on="item",
    )
    pairs = pairs.filter(
        in_window(policy), pl.col("amount_minor").sign() == pl.col("item_amount_minor").sign()
    )
    pairs = (
        pairs.filter(within_tolerance(pairs, policy))
        .sort("record", "words", "item", descending=(False, True, False))
        .group_by("record", maintain_order=True)
        .head(per_record_max)
    )
    added = pairs["record"].to_numpy().astype(np.int64)
    return Candidates(
        records=np.concatenate([found.records, added]),
        items=np.concatenate([found.items, pairs["item"].to_numpy().astype(np.int64)]),
        dropped=found.dropped - np.bincount(added, minlength=records.height),
    )


@dataclass(frozen=True, slots=True)
class UnseenOdds:
    """What the candidates that were cut may weigh together, per record and per item."""

    of_records: Floats
    of_items: Floats


def unseen_odds(
    dropped: Ints, records: pl.DataFrame, items: pl.DataFrame, rows: Ints, odds: Floats
) -> UnseenOdds:
    """Take each cut candidate to be like the median of those seen in its crowd.

    A crowd is one amount. The items share out evenly what was cut of its records: in a crowd
    every item is cut about as often.
    """
    if not dropped.any():
        return UnseenOdds(np.zeros(records.height), np.zeros(items.height))
    typical = (
        records.select(_CROWD)[rows].with_columns(odds=odds).group_by(_CROWD).agg(pl.median("odds"))
    )
    cut = (
        records.select(_CROWD)
        .with_columns(cut=dropped)
        .join(typical, on=_CROWD, how="left", maintain_order="left")
        .with_columns(unseen=pl.col("cut") * pl.col("odds").fill_null(0.0))
    )
    crowds = cut.group_by(_CROWD).agg(pl.sum("cut"), pl.max("odds"))
    shares = (
        items.select(_CROWD)
        .join(crowds, on=_CROWD, how="left", maintain_order="left")
        .select((pl.col("cut") / pl.len().over(_CROWD)).ceil() * pl.col("odds"))
    )
    return UnseenOdds(cut["unseen"].to_numpy(), shares.to_series().fill_null(0.0).to_numpy())


def _words(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return row, group and each word of its text, its reference counting as one word too."""
    return (
        rows.select(name, "group", word=pl.col("words").str.split(" "), ref="ref")
        .with_columns(
            word=pl.concat_list(
                pl.col("word").fill_null([]), pl.concat_list("ref").list.drop_nulls()
            )
        )
        .explode("word")
        .select(name, "group", "word")
        .drop_nulls("word")
        .unique()
    )


def _pairs(found: Candidates) -> pl.DataFrame:
    return pl.DataFrame(
        {"record": found.records, "item": found.items},
        schema={"record": pl.UInt32, "item": pl.UInt32},
    )

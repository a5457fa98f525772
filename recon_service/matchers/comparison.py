"""Compares pairs of rows feature by feature: levels of evidence, and how surprising they are."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.evidence import (
    COUNTERPARTY,
    NAME,
    WORDS,
    amount_levels,
    at_least_levels,
    lag_levels,
)
from recon_service.matchers.references import reference_levels
from recon_service.matchers.words import Descriptions, SharedWords, shared_words, similarity

Ints = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What pairs of rows have in common, one array element each.

    `levels` holds the evidence by feature, `words` how surprising the shared words are.
    """

    rows: Ints
    columns: Ints
    residual_minor: Ints
    lag_days: Ints
    levels: dict[str, Levels]
    words: SharedWords

    def of_pairs(self, kept: Ints) -> "Comparison":
        """Return the pairs at these positions."""
        return Comparison(
            rows=self.rows[kept],
            columns=self.columns[kept],
            residual_minor=self.residual_minor[kept],
            lag_days=self.lag_days[kept],
            levels={name: levels[kept] for name, levels in self.levels.items()},
            words=self.words.of_pairs(kept),
        )


@dataclass(frozen=True, slots=True)
class Comparer:
    """Two frames of classes, ready to be compared pair by pair."""

    records: pl.DataFrame
    items: pl.DataFrame
    record_words: Descriptions
    item_words: Descriptions

    @classmethod
    def of(cls, records: pl.DataFrame, items: pl.DataFrame, surprise: pl.DataFrame) -> "Comparer":
        """Both frames have `reference_columns`; `surprise` tells the bits of each word."""
        return cls(
            records,
            items,
            Descriptions.of(records["story"], surprise),
            Descriptions.of(items["story"], surprise),
        )

    def compare(self, rows: Ints, columns: Ints) -> Comparison:
        """Compare the pairs (rows[k], columns[k])."""
        records, items = self.records, self.items
        item_amount = _column(items, "amount_minor", columns)
        residual = _column(records, "amount_minor", rows) - item_amount
        lag = _column(records, "day", rows) - _column(items, "day", columns)
        words = shared_words(self.record_words, self.item_words, rows, columns)
        party = similarity(records["party"].to_numpy()[rows], items["party"].to_numpy()[columns])
        levels = {
            "amount": amount_levels(residual, item_amount),
            "lag": lag_levels(lag),
            "reference": reference_levels(records, items, rows, columns),
            "words": at_least_levels(WORDS, words.overlap),
            "name": at_least_levels(NAME, words.name),
            "counterparty": at_least_levels(COUNTERPARTY, party),
        }
        return Comparison(rows, columns, residual, lag, levels, words)


def _column(frame: pl.DataFrame, name: str, rows: Ints) -> Ints:
    values: Ints = frame[name].to_numpy().astype(np.int64)[rows]
    return values

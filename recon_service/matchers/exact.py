"""Exact matching: the record's transaction id is the ledger's reference, and all gates hold."""

from dataclasses import dataclass

import polars as pl

from recon_service.domain.config import Policy
from recon_service.matchers.gates import (
    absolute_minor,
    candidates,
    in_window,
    lag_days,
    within_tolerance,
)
from recon_service.matchers.sides import Sides, dense_codes, words

_KEY = ("reference", "currency")
_SAME = ("group", "on", "amount_minor", "words", "party")
# Compatible partners of one repeated key; a key with more is left to be scored, never guessed.
_PARTNERS_MAX = 50

EXACT_SCHEMA = pl.Schema(
    {
        "id": pl.String,
        "item_id": pl.String,
        "lag_days": pl.Int64,
        "residual_minor": pl.Int64,
        "twins": pl.Int64,
        "key": pl.String,
    }
)


@dataclass(frozen=True, slots=True)
class ExactMatcher:
    """Pairs by transaction id, amount and date where only one answer is possible."""

    policy: Policy

    def match(self, sides: Sides) -> pl.DataFrame:
        """Return EXACT_SCHEMA: one row per pair, `twins` above 1 where rows are interchangeable.

        A key that occurs once on each side pairs when amount and date pass. A repeated key pairs
        where exactly one partner is possible on both sides, counting rows that are equal in all
        but time as one: as many here as there, paired in the order of time.
        """
        records = _keyed(sides.records).with_columns(
            absolute_minor=absolute_minor(sides.records["scale"], self.policy)
            .to_frame("absolute_minor")
            .filter(sides.records["reference"].is_not_null())
            .to_series()
        )
        items = _keyed(sides.items)
        once = pl.col("repeats") == 1
        pairs = self._pairs_of_unique(records.filter(once), items.filter(once))
        repeated = self._pairs_of_repeated(records, items)
        return pl.concat([pairs, repeated])

    def _pairs_of_unique(self, records: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
        pairs = records.join(_as_items(items), on=_KEY).filter(
            in_window(self.policy),
            pl.col("amount_minor").sign() == pl.col("item_amount_minor").sign(),
        )
        pairs = pairs.filter(within_tolerance(pairs, self.policy))
        return _result(pairs.with_columns(twins=pl.lit(1), key=pl.lit("txn_id")))

    def _pairs_of_repeated(self, records: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
        """Pair within keys that are repeated on at least one side."""
        twice = pl.concat(
            [frame.filter(pl.col("repeats") > 1).select(_KEY) for frame in (records, items)]
        ).unique()
        records = records.join(twice, on=_KEY, how="semi")
        items = items.join(twice, on=_KEY, how="semi").join(records, on=_KEY, how="semi")
        records = records.join(items, on=_KEY, how="semi")
        if records.is_empty():
            return EXACT_SCHEMA.to_frame()
        key = pl.concat_str(*_KEY, separator="\x1f").alias("key")
        groups = dense_codes(records.select(key).to_series(), items.select(key).to_series())
        classes = _classes(records.with_columns(group=groups[0]))
        item_classes = _classes(items.with_columns(group=groups[1]))
        found = candidates(classes, item_classes, self.policy, per_record_max=_PARTNERS_MAX)
        crowded = classes.filter(pl.Series(found.dropped > 0)).select("group").unique()
        pairs = pl.concat(
            [classes[found.records], _as_items(item_classes)[found.items]], how="horizontal"
        )
        only = pl.len().over("class") == 1, pl.len().over("item_class") == 1
        pairs = (
            pairs.filter(*only)
            .filter(pl.col("n") == pl.col("item_n"))
            .join(crowded, on="group", how="anti")
        )
        pairs = pairs.explode("id", "item_id").with_columns(
            twins=pl.col("n").cast(pl.Int64), key=pl.lit("txn_id, amount and date")
        )
        return _result(pairs)


def _keyed(side: pl.DataFrame) -> pl.DataFrame:
    return side.filter(pl.col("reference").is_not_null()).with_columns(repeats=pl.len().over(_KEY))


def _as_items(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.rename({name: f"item_{name}" for name in frame.columns if name not in _KEY})


def _classes(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per set of rows that are equal in all but time, ids in the order of time."""
    names = [name for name in ("day", "absolute_minor") if name in rows.columns]
    others = [pl.col(name).first() for name in names]
    return (
        rows.with_columns(words=words(rows["text"]), party=words(rows["counterparty"]))
        .sort("at", "id")
        .group_by(_SAME, maintain_order=True)
        .agg("id", *others, n=pl.len())
        .sort(_SAME)
        .with_row_index("class")
    )


def _result(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.select(
        "id",
        "item_id",
        lag_days=lag_days().cast(pl.Int64),
        residual_minor=pl.col("amount_minor") - pl.col("item_amount_minor"),
        twins=pl.col("twins").cast(pl.Int64),
        key="key",
    )

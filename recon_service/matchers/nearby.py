"""Which ledger items came nearest to one record, and the first hard gate that each failed."""

import numpy as np
import polars as pl
from rapidfuzz import fuzz, process

from recon_service.domain.config import Policy
from recon_service.matchers.gates import absolute_minor, allowed_minor, in_window, lag_days
from recon_service.matchers.sides import canonical, day_numbers, two_sides, words

# In this order; an item that fails none is a candidate.
GATES = ("other_currency", "reversed_sign", "amount_difference", "out_of_window")
# Beyond the tolerance so much of the amount is still near; farther only by the same reference.
_NEAR_PERCENT_MICROS = 10_000_000
_DAYS_FAR = 30.0


def nearest(
    record: pl.DataFrame, items: pl.DataFrame, policy: Policy, *, items_max: int
) -> pl.DataFrame:
    """Return at most `items_max` items near `record` (RECORD_SCHEMA, one row), the nearest first.

    `items` is ITEM_SCHEMA. Columns: `internal_id`, `gate` (of GATES, or null), `failed` (how many
    gates), `difference_minor` (record minus item, of sizes), `allowed_minor`, `lag_days` and
    `days_beyond` the window in its unit, `same_reference`, `similarity` of texts from 0 to 1.
    """
    pairs = _pairs(record, items.filter(_is_near(record, items, policy)), policy)
    same_currency = pl.col("currency") == pl.col("item_currency")
    failed = pairs.select(
        other_currency=~same_currency,
        reversed_sign=pl.col("amount_minor").sign() != pl.col("item_amount_minor").sign(),
        amount_difference=pl.col("difference_minor").abs() > pl.col("allowed_minor"),
        out_of_window=~in_window(policy),
    )
    window = policy.window
    beyond = pl.max_horizontal(
        lag_days() - window.after_days, -lag_days() - window.before_days, pl.lit(0)
    )
    away = pl.col("difference_minor").abs() / pl.max_horizontal(
        pl.col("amount_minor").abs(), pl.lit(1)
    )
    return (
        pairs.with_columns(failed)
        .with_columns(
            gate=pl.coalesce(*(pl.when(name).then(pl.lit(name)) for name in GATES)),
            failed=pl.sum_horizontal(GATES),
            lag_days=lag_days(),
            days_beyond=beyond,
            away=away + lag_days().abs() / _DAYS_FAR - pl.col("similarity"),
        )
        .sort(~pl.col("same_reference"), "failed", "away", "internal_id")
        .head(items_max)
        .select(
            "internal_id",
            "gate",
            "failed",
            "difference_minor",
            "allowed_minor",
            "lag_days",
            "days_beyond",
            "same_reference",
            "similarity",
        )
    )


def _is_near(record: pl.DataFrame, items: pl.DataFrame, policy: Policy) -> pl.Series:
    """Return which items have nearly the record's amount in its currency, or its reference."""
    size = np.abs(items["amount_minor"].to_numpy())
    percent_micros = max(policy.amount_tolerance.percent_micros, _NEAR_PERCENT_MICROS)
    near = allowed_minor(size, _absolute_minor(record, policy), percent_micros)
    difference = np.abs(abs(int(record["amount_minor"][0])) - size)
    own = _ref(record["external_id"])[0]
    same_reference = _ref(items["reference"]) == own if own else pl.repeat(False, items.height)
    is_near = pl.Series(difference <= near) & (items["currency"] == record["currency"][0])
    found: pl.Series = is_near | same_reference.fill_null(value=False)
    return found


def _ref(reference: pl.Series) -> pl.Series:
    """Return references as the passes compare them."""
    return words(reference).str.replace_all(" ", "", literal=True)


def _absolute_minor(record: pl.DataFrame, policy: Policy) -> int:
    return int(absolute_minor(record["scale"], policy)[0])


def _pairs(record: pl.DataFrame, items: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return each item beside the record; its day is numbered in the record's calendar."""
    sides = two_sides(record, items, policy.window)
    own, theirs = canonical(sides.records), canonical(sides.items)
    absolute = _absolute_minor(own, policy)
    size = np.abs(theirs["amount_minor"].to_numpy())
    allowed = allowed_minor(size, absolute, policy.amount_tolerance.percent_micros)
    currency = pl.Series([own["currency"][0]] * theirs.height, dtype=pl.String)
    told = _told(own)[0]
    similarity = process.cdist([told], _told(theirs), scorer=fuzz.token_set_ratio)[0] / 100.0
    return theirs.select(
        internal_id="id",
        item_amount_minor="amount_minor",
        item_currency="currency",
        item_day=day_numbers(theirs["on"], currency, policy.window),
        amount_minor=pl.lit(int(own["amount_minor"][0]), dtype=pl.Int64),
        currency=pl.lit(own["currency"][0], dtype=pl.String),
        day=pl.lit(int(own["day"][0]), dtype=pl.Int64),
        allowed_minor=pl.Series(allowed),
        difference_minor=abs(int(own["amount_minor"][0])) - pl.col("amount_minor").abs(),
        same_reference=(pl.col("ref") == pl.lit(own["ref"][0], dtype=pl.String)).fill_null(
            value=False
        ),
        similarity=pl.Series(similarity if told else np.zeros(theirs.height)).cast(pl.Float64),
    )


def _told(side: pl.DataFrame) -> list[str]:
    """Return what a row says in words; empty where it says nothing."""
    texts = side.select(
        pl.concat_str("ref_words", "words", "party", separator=" ", ignore_nulls=True)
    )
    return [text or "" for text in texts.to_series().to_list()]

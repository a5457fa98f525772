"""Puts exact matches into rows: their words are made by columns, since there may be millions."""

import polars as pl

from recon_service.domain.config import Policy
from recon_service.domain.records import OUTCOME_SCHEMA
from recon_service.matchers.explain import ROUNDING_MINOR_MAX, day_noun


def exact_rows(exact: pl.DataFrame, policy: Policy, charged: pl.Series) -> pl.DataFrame:
    """Return OUTCOME_SCHEMA for the pairs of the exact pass (EXACT_SCHEMA).

    `charged` are the ids of the records whose difference a fee explains.
    """
    residual, twins = pl.col("residual_minor"), pl.col("twins")
    is_fee = pl.col("id").is_in(charged.implode()) if len(charged) else pl.lit(value=False)
    amount = (
        pl.when(residual == 0)
        .then(pl.lit("equal amount"))
        .when(is_fee)
        .then(pl.format("amount less a fee ({} minor units)", -residual))
        .otherwise(pl.format("amount within tolerance ({} minor units apart)", residual))
    )
    alike = (
        pl.when(twins > 1)
        .then(pl.format("; {} equal lines are interchangeable, paired in the order of time", twins))
        .otherwise(pl.lit(""))
    )
    interchangeable = (
        pl.when(twins > 1).then(pl.format(',"interchangeable":{}', twins)).otherwise(pl.lit(""))
    )
    return exact.select(
        record_id="id",
        internal_id="item_id",
        match_type=pl.lit("exact"),
        decision=pl.lit("auto"),
        score=pl.lit(1.0),
        residual_minor="residual_minor",
        cause=pl.when(residual == 0)
        .then(None)
        .when(residual.abs() <= ROUNDING_MINOR_MAX)
        .then(pl.lit("rounding"))
        .when(is_fee)
        .then(pl.lit("fee"))
        .otherwise(pl.lit("unknown")),
        evidence=pl.concat_str(
            pl.lit('{"pass":"exact","key":"'), "key", pl.lit('"'), interchangeable, pl.lit("}")
        ),
        reason=pl.concat_str(
            pl.lit("Same transaction id, "),
            amount,
            pl.lit(", "),
            when_words(pl.col("lag_days"), policy),
            alike,
        ),
    ).cast(OUTCOME_SCHEMA)


def when_words(lag_days: pl.Expr, policy: Policy) -> pl.Expr:
    """Say where a record's day lies against the ledger's."""
    noun = day_noun(policy.window)
    day = pl.when(lag_days.abs() == 1).then(pl.lit(f" {noun} ")).otherwise(pl.lit(f" {noun}s "))
    side = pl.when(lag_days > 0).then(pl.lit("after")).otherwise(pl.lit("before"))
    return (
        pl.when(lag_days == 0)
        .then(pl.lit(f"same {noun}"))
        .otherwise(pl.concat_str(lag_days.abs(), day, side, pl.lit(" the ledger")))
    )

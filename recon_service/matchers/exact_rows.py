"""Puts exact matches into rows: their words are made by columns, since there may be millions."""

import polars as pl

from recon_service.domain.config import Policy
from recon_service.domain.records import OUTCOME_SCHEMA
from recon_service.matchers.explain import ROUNDING_MINOR_MAX, day_noun


def exact_rows(exact: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return OUTCOME_SCHEMA for the pairs of the exact pass (EXACT_SCHEMA)."""
    noun = day_noun(policy.window)
    residual, lag, twins = pl.col("residual_minor"), pl.col("lag_days"), pl.col("twins")
    day = pl.when(lag.abs() == 1).then(pl.lit(f" {noun} ")).otherwise(pl.lit(f" {noun}s "))
    side = pl.when(lag > 0).then(pl.lit("after")).otherwise(pl.lit("before"))
    when = (
        pl.when(lag == 0)
        .then(pl.lit(f"same {noun}"))
        .otherwise(pl.concat_str(lag.abs(), day, side, pl.lit(" the ledger")))
    )
    amount = (
        pl.when(residual == 0)
        .then(pl.lit("equal amount"))
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
        .otherwise(pl.lit("unknown")),
        evidence=pl.concat_str(
            pl.lit('{"pass":"exact","key":"'), "key", pl.lit('"'), interchangeable, pl.lit("}")
        ),
        reason=pl.concat_str(pl.lit("Same transaction id, "), amount, pl.lit(", "), when, alike),
    ).cast(OUTCOME_SCHEMA)

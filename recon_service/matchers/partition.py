"""`match_partition`: the passes from precise to loose, as one pure function over two frames.

records, items ─▶ ExactMatcher ─▶ what is left ─▶ FuzzyMatcher ─▶ what is left ─▶ causes
                      │ score 1.0                      │ score p                    │ unmatched
                      └──────────────▶ one row per record ◀──────────────────────────┘
"""

from dataclasses import dataclass, field

import polars as pl

from recon_service.domain.config import Policy
from recon_service.domain.records import (
    ITEM_SCHEMA,
    MEMBER_SCHEMA,
    OUTCOME_SCHEMA,
    RECORD_SCHEMA,
)
from recon_service.matchers.exact import ExactMatcher
from recon_service.matchers.explain import ROUNDING_MINOR_MAX, day_noun
from recon_service.matchers.fuzzy import FuzzyMatcher
from recon_service.matchers.past_gates import same_reference
from recon_service.matchers.sides import Sides, canonical, two_sides, without
from recon_service.matchers.verdicts import fuzzy_rows


@dataclass(frozen=True, slots=True)
class Counts:
    """What the matcher looked at, and what its bounds cut."""

    candidates: int
    candidates_dropped: int
    components_greedy: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row per record (OUTCOME_SCHEMA), in the order of the records given.

    `members` (MEMBER_SCHEMA) has one row per member of every match that is not one-to-one.
    """

    rows: pl.DataFrame
    counts: Counts
    members: pl.DataFrame = field(default_factory=MEMBER_SCHEMA.to_frame)


def match_partition(
    left: pl.DataFrame, right: pl.DataFrame, policy: Policy, gone: pl.DataFrame | None = None
) -> Outcome:
    """Decide every record of one population against that population's ledger items.

    `left` is RECORD_SCHEMA, `right` ITEM_SCHEMA, ids unique on each side. `gone` are items that
    other runs have matched: never candidates, but they can explain why a record stays alone.
    Deterministic, whatever the order of rows. No record and no item is claimed twice; `score` is
    1 for an exact match, the probability for a fuzzy one, and the best candidate's, if any, for
    the unmatched.
    """
    left = left.select(RECORD_SCHEMA.names()).cast(RECORD_SCHEMA)
    right = right.select(ITEM_SCHEMA.names()).cast(ITEM_SCHEMA)
    sides = two_sides(left, right, policy.window)
    exact = ExactMatcher(policy).match(sides)
    rows = [_exact_rows(exact, policy)]
    counts = Counts(0, 0, 0)
    if exact.height < left.height:
        whole = Sides(canonical(sides.records), canonical(sides.items))
        open_sides = Sides(
            without(whole.records, exact["id"]), without(whole.items, exact["item_id"])
        )
        fuzzy = FuzzyMatcher(policy).match(open_sides, whole)
        items, taken = whole.items, exact["item_id"]
        if gone is not None and not gone.is_empty():
            matched_before = canonical(two_sides(left, gone.cast(ITEM_SCHEMA), policy.window).items)
            items = pl.concat([items, matched_before.select(items.columns)])
            taken = pl.concat([taken, matched_before["id"]])
        alike = same_reference(open_sides.records, items, policy, taken=taken)
        rows.append(fuzzy_rows(fuzzy, open_sides.records, alike, policy))
        counts = Counts(
            candidates=len(fuzzy.scored.records),
            candidates_dropped=int(fuzzy.dropped.sum()),
            components_greedy=fuzzy.assignment.components_greedy,
        )
    decided = left.select("record_id").join(
        pl.concat(rows), on="record_id", how="left", maintain_order="left"
    )
    return Outcome(decided.select(OUTCOME_SCHEMA.names()).cast(OUTCOME_SCHEMA), counts)


def _exact_rows(exact: pl.DataFrame, policy: Policy) -> pl.DataFrame:
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

"""Pairs that a reference makes certain though their amounts differ: fees are learned from them.

What a declared rule explains is an exact match; what a learned one explains is offered.
"""

import json

import polars as pl

from recon_service.domain.config import Policy
from recon_service.domain.records import OUTCOME_SCHEMA
from recon_service.matchers.exact_rows import when_words
from recon_service.matchers.explain import ROUNDING_MINOR_MAX, SCORE_PLACES
from recon_service.matchers.fee_learning import (
    DIFFERENCE_SCHEMA,
    RATE_MICROS_MAX,
    learn_schedules,
)
from recon_service.matchers.fees import SLACK_MINOR, Fees, Schedule, as_rule, explained_by
from recon_service.matchers.gates import in_window, lag_days
from recon_service.matchers.groups import Groups
from recon_service.matchers.sides import Sides, without

_KEY = ("ref", "currency")


def certain_pairs(open_sides: Sides, whole: Sides, policy: Policy) -> pl.DataFrame:
    """Return the open pairs with a reference that is unique in the whole, and other amounts.

    Currency and sign are equal and the date lies in the window; the amounts differ by more than
    rounding. Both are canonical.
    """
    shared = open_sides.records.join(open_sides.items, on=_KEY, how="semi").select(_KEY).unique()
    records, items = (
        side.join(shared, on=_KEY, how="semi").filter(pl.len().over(_KEY) == 1)
        for side in (whole.records, whole.items)
    )
    items = items.rename({name: f"item_{name}" for name in items.columns if name not in _KEY})
    return (
        records.join(items, on=_KEY)
        .filter(
            in_window(policy),
            pl.col("amount_minor").sign() == pl.col("item_amount_minor").sign(),
            _fee_minor().abs() > ROUNDING_MINOR_MAX,
        )
        .sort("id")
    )


def exact_pairs(exact: pl.DataFrame, sides: Sides) -> pl.DataFrame:
    """Return the pairs of the exact pass (EXACT_SCHEMA) whose amounts differ beyond rounding.

    One reference names both, so they are certain too.
    """
    differing = exact.filter(pl.col("residual_minor").abs() > ROUNDING_MINOR_MAX)
    item = sides.items.join(differing, left_on="id", right_on="item_id", how="semi").select(
        item_id="id", currency="currency", item_amount_minor="amount_minor"
    )
    return differing.join(item, on="item_id").with_columns(
        amount_minor=pl.col("item_amount_minor") + pl.col("residual_minor")
    )


def pair_differences(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return DIFFERENCE_SCHEMA of certain or exact pairs."""
    return pairs.select(
        "currency",
        gross_minor=pl.concat_list("item_amount_minor"),
        fee_minor=_fee_minor(),
    ).cast(DIFFERENCE_SCHEMA)


def with_learned(fees: Fees, *differences: pl.DataFrame) -> Fees:
    """Return `fees` with what differences (DIFFERENCE_SCHEMA) teach of other currencies."""
    seen = pl.concat(differences).filter(~pl.col("currency").is_in(list(fees.declared)))
    return Fees(fees.declared, learn_schedules(seen))


def batch_differences(batches: Groups, items: pl.DataFrame) -> pl.DataFrame:
    """Return DIFFERENCE_SCHEMA of the payouts whose key named all members, less an unknown fee."""
    fees = batches.rows.filter(
        pl.col("cause") == "fee", pl.col("decision") == "auto", pl.col("residual_minor") < 0
    ).select(id="record_id", fee_minor=-pl.col("residual_minor"))
    members = batches.members.filter(
        pl.len().over("match_id", "side") == pl.len().over("match_id") - 1
    )
    payouts = batches.members.join(fees, on="id").select("match_id", "fee_minor")
    return (
        members.filter(pl.col("side") == "item")
        .join(payouts, on="match_id")
        .join(items.select("id", "amount_minor", "currency"), on="id")
        .filter(pl.col("amount_minor") > 0)
        .sort("match_id", "amount_minor", "id")
        .group_by("match_id", maintain_order=True)
        .agg(
            pl.col("currency").first(), gross_minor="amount_minor", fee_minor=pl.first("fee_minor")
        )
        .select(DIFFERENCE_SCHEMA.names())
        .cast(DIFFERENCE_SCHEMA)
    )


def fee_rows(
    pairs: pl.DataFrame, open_sides: Sides, fees: Fees, policy: Policy, *, is_declared: bool
) -> pl.DataFrame:
    """Return OUTCOME_SCHEMA for the open ones of certain pairs that a fee explains.

    Declared rules decide where the ids are equal to the letter, learned ones merely suggest.
    """
    pairs = pairs.join(open_sides.records, on="id", how="semi").join(
        open_sides.items, left_on="item_id", right_on="id", how="semi"
    )
    if is_declared:
        pairs = pairs.filter(pl.col("reference") == pl.col("item_reference"))
    found = [OUTCOME_SCHEMA.to_frame()]
    for code, schedule in (fees.declared if is_declared else fees.learned).items():
        own = pairs.filter(pl.col("currency") == code)
        gross, net = own["item_amount_minor"].to_numpy(), own["amount_minor"].to_numpy()
        own = own.filter(pl.Series(explained_by(schedule, gross, net)))
        if not own.is_empty():
            found.append(_rows(own, code, schedule, policy, is_declared=is_declared))
    return pl.concat(found).filter(pl.col("score") >= policy.suggest_threshold).sort("record_id")


def explained(pairs: pl.DataFrame, fees: Fees) -> pl.DataFrame:
    """Return the pairs whose amounts differ by a fee."""
    gross, net = pairs["item_amount_minor"].to_numpy(), pairs["amount_minor"].to_numpy()
    return pairs.filter(pl.Series(fees.explain(pairs["currency"], gross, net)))


def left_over(sides: Sides, rows: pl.DataFrame) -> Sides:
    """Return the sides without what one-to-one rows (OUTCOME_SCHEMA) claim."""
    return Sides(
        without(sides.records, rows["record_id"]), without(sides.items, rows["internal_id"])
    )


def fee_words(currency: str, schedule: Schedule, scale: int) -> str:
    """Say a fee, such as '1.4 % and 0.25'."""
    rule = as_rule(currency, schedule, scale)
    parts = [f"{rule.percent} %"] if schedule.rate_micros else []
    return " and ".join([*parts, rule.fixed] if schedule.fixed_minor else parts)


def _rows(
    pairs: pl.DataFrame, currency: str, schedule: Schedule, policy: Policy, *, is_declared: bool
) -> pl.DataFrame:
    scale = int(pairs["scale"][0])
    gross = pairs["item_amount_minor"].to_numpy()
    pairs = pairs.with_columns(rule_minor=pl.Series(schedule.fee_minor(gross)))
    rule = fee_words(currency, schedule, scale)
    said = rule if is_declared else f"{rule}, learned and not declared"
    head = (
        {"pass": "exact", "key": "txn_id and fee rule"}
        if is_declared
        else {
            "pass": "fee",
            "key": "txn_id and learned fee",
            "support": schedule.support,
            "explained": schedule.explained,
        }
    )
    # Written by columns: there may be a fee on every line.
    evidence = json.dumps(head, separators=(",", ":"))[:-1]
    evidence += f',"fee":{{"rule":{json.dumps(rule)},"gross_minor":'
    return pairs.select(
        record_id="id",
        internal_id="item_id",
        match_type=pl.lit("exact" if is_declared else "fuzzy"),
        decision=pl.lit("auto" if is_declared else "suggested"),
        score=pl.lit(1.0) if is_declared else _score(schedule),
        residual_minor=-_fee_minor(),
        cause=pl.lit("fee"),
        evidence=pl.concat_str(
            pl.lit(evidence),
            "item_amount_minor",
            pl.lit(',"fee_minor":'),
            "rule_minor",
            pl.lit(',"net_minor":'),
            pl.col("item_amount_minor") - pl.col("rule_minor"),
            pl.lit("}}"),
        ),
        reason=pl.concat_str(
            pl.lit("Same transaction id, amount less a fee of "),
            _decimals(_fee_minor(), scale),
            pl.lit(f" ({said}), "),
            when_words(lag_days(), policy),
        ),
    ).cast(OUTCOME_SCHEMA)


def _score(schedule: Schedule) -> pl.Expr:
    """Return how likely a difference is a fee that agrees with a learned rule.

    The next difference is one as likely as those before (Laplace's succession); another agrees by
    chance when it falls on the few minor units of all that a fee can be.
    """
    share = (schedule.explained + 1) / (schedule.support + 2)
    units = 2 * SLACK_MINOR + 1
    by_chance = units / (pl.col("item_amount_minor") * RATE_MICROS_MAX / 1_000_000 + units)
    return (share / (share + (1 - share) * by_chance)).round(SCORE_PLACES)


def _fee_minor() -> pl.Expr:
    return pl.col("item_amount_minor") - pl.col("amount_minor")


def _decimals(amount_minor: pl.Expr, scale: int) -> pl.Expr:
    """Return an amount that is not negative as a decimal number."""
    if scale == 0:
        return amount_minor.cast(pl.String)
    unit = 10**scale
    part = (amount_minor % unit).cast(pl.String).str.zfill(scale)
    return pl.concat_str(amount_minor // unit, pl.lit("."), part)

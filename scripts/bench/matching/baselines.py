"""Baselines that see the same frames and the same policy: rules of thumb and hand-set weights."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
from rapidfuzz import fuzz

from recon_service.domain.config import Policy
from scripts.bench.matching.generator import Case
from scripts.bench.matching.prediction import Decision, Match, Prediction, Ranked

_RULE_PERCENT = 3.0
_RULE_RATIO = 90.0
# Greedy's weights add up to one: as somebody would set them who has seen a few hundred lines.
_AMOUNT, _REFERENCE, _NAME, _DAY = 0.35, 0.30, 0.20, 0.15
_AUTO, _SUGGESTED = 0.8, 0.5
_RANKED_MAX = 4


def first_match(case: Case) -> Prediction:
    """Take the first free item within 3 %, in the window, with our reference or similar text."""
    return _rules("rules", case, lambda row: _has_reference(row) or _text_ratio(row) > _RULE_RATIO)


def first_amount(case: Case) -> Prediction:
    """Take the first free item within 3 % and in the window."""
    return _rules("amount rules", case, lambda row: True)


def greedy_weights(case: Case) -> Prediction:
    """Score what passes the policy's gates by hand-set weights; the best pair goes first."""
    started = time.perf_counter()
    scored = [
        (_hand_score(row, case.policy), row["record_id"], row["internal_id"])
        for row in _rows(gated(case, case.policy))
    ]
    scored = [one for one in scored if one[0] >= _SUGGESTED]
    matches = greedy(scored, auto=_AUTO, suggested=_SUGGESTED)
    return Prediction(
        "greedy weights", matches, ranking(scored, matches), time.perf_counter() - started
    )


def greedy(scored: list[tuple[float, str, str]], *, auto: float, suggested: float) -> list[Match]:
    """Pair the best-scored first; each record and each item once."""
    used: set[str] = set()
    matches = []
    for score, record, item in sorted(scored, key=lambda one: (-one[0], one[1], one[2])):
        if score < suggested:
            break
        if record not in used and item not in used:
            used |= {record, item}
            decision: Decision = "auto" if score >= auto else "suggested"
            matches.append(Match((record,), (item,), decision, score))
    return matches


def ranking(scored: list[tuple[float, str, str]], matches: list[Match]) -> list[Ranked]:
    """Return each record's candidates, its match first."""
    taken = {match.record_ids[0]: match for match in matches}
    others: dict[str, list[tuple[float, str]]] = {}
    for score, record, item in scored:
        others.setdefault(record, []).append((-score, item))
    result = []
    for record, found in sorted(others.items()):
        match = taken.get(record)
        names = [item for _, item in sorted(found)[:_RANKED_MAX]]
        first = [match.item_ids[0]] if match else []
        score = match.score if match else -min(found)[0]
        result.append(Ranked(record, tuple(dict.fromkeys(first + names)), score))
    return result


def gated(case: Case, policy: Policy, *, percent: float | None = None) -> pl.DataFrame:
    """Return all pairs that a policy allows; `percent` replaces its tolerance."""
    window, tolerance = policy.window, policy.amount_tolerance
    item_amount = pl.col("amount_minor_item")
    relative = (float(tolerance.percent) if percent is None else percent) / 100
    absolute = float(tolerance.absolute) * 10.0 ** pl.col("scale") if percent is None else 0.0
    records = case.records.with_columns(order=pl.int_range(pl.len()))
    items = case.items.with_columns(item_order=pl.int_range(pl.len())).rename(
        {name: f"{name}_item" for name in ("amount_minor", "currency", "text", "counterparty")}
    )
    lag = (pl.col("booked_on") - pl.col("effective_on")).dt.total_days()
    pairs = _same_days(records, items, policy).filter(
        lag.is_between(-window.before_days, window.after_days)
    )
    distance = (pl.col("amount_minor") - item_amount).abs()
    return pairs.filter(
        (distance <= relative * item_amount.abs() + 1e-6) | (distance <= absolute + 1e-6)
    ).sort("order", "item_order")


def _same_days(records: pl.DataFrame, items: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Join on currency and day, once for each day of the window."""
    window = policy.window
    days = pl.DataFrame({"wait": range(-window.before_days, window.after_days + 1)})
    spread = items.join(days, how="cross").with_columns(
        booked_on=pl.col("effective_on") + pl.duration(days=pl.col("wait")),
        currency=pl.col("currency_item"),
    )
    return records.join(spread, on=("booked_on", "currency"))


def _rules(name: str, case: Case, is_same: Callable[[dict[str, Any]], bool]) -> Prediction:
    started = time.perf_counter()
    used: set[str] = set()
    matches = []
    for row in _rows(gated(case, case.policy, percent=_RULE_PERCENT)):
        record, item = row["record_id"], row["internal_id"]
        if record not in used and item not in used and is_same(row):
            used |= {record, item}
            matches.append(Match((record,), (item,), "auto", 1.0))
    return Prediction(name, matches, seconds=time.perf_counter() - started)


def _rows(pairs: pl.DataFrame) -> Iterator[dict[str, Any]]:
    return pairs.iter_rows(named=True)


def _same_id(row: dict[str, Any]) -> bool:
    return row["reference"] is not None and row["reference"] == row["external_id"]


def _has_reference(row: dict[str, Any]) -> bool:
    reference, text = row["reference"], row["text"]
    return _same_id(row) or bool(reference and text and reference.lower() in text.lower())


def _text_ratio(row: dict[str, Any]) -> float:
    one, other = row["text"], row["text_item"]
    return fuzz.ratio(one.lower(), other.lower()) if one and other else 0.0


def _hand_score(row: dict[str, Any], policy: Policy) -> float:
    difference = abs(row["amount_minor"] - row["amount_minor_item"])
    nearness = 1.0 if difference == 0 else 0.5
    window = policy.window
    lag = abs((row["booked_on"] - row["effective_on"]).days)
    day = 1.0 - lag / (max(window.after_days, window.before_days) + 1)
    text = (row["text"] or "").lower()
    found = 1.0 if _has_reference(row) else 0.0
    name = row["counterparty_item"] or row["text_item"] or ""
    likeness = fuzz.token_set_ratio(name.lower(), f"{row['counterparty'] or ''} {text}".lower())
    score: float = _AMOUNT * nearness + _REFERENCE * found + _NAME * likeness / 100 + _DAY * day
    return score

"""Says why a record stayed alone: for each near ledger item the first gate that it failed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recon_service.domain.config import Window
from recon_service.domain.logged import Logged, Party, decimals

# In this order; the first that holds is told.
GATES = (
    "closed_period",
    "other_currency",
    "reversed_sign",
    "amount_difference",
    "out_of_window",
    "recorded_later",
    "taken",
    "conflicting_ids",
    "suggested_elsewhere",
    "rival_better",
    "below_threshold",
    "not_scored",
)


@dataclass(frozen=True, slots=True)
class Taken:
    """Who has a ledger item."""

    record_id: str | None
    run_id: str
    log_id: int | None = None


@dataclass(frozen=True, slots=True)
class Near:
    """One ledger item near the record, and all that decides at which gate it stopped."""

    item: Party
    hard_gate: str | None
    difference_minor: int
    allowed_minor: int
    lag_days: int
    days_beyond: int
    same_reference: bool
    similarity: float
    seq: int
    score: float | None
    taken: Taken | None
    suggested: tuple[str, float] | None


@dataclass(frozen=True, slots=True)
class Stop:
    """The first gate that an item failed, in a word and in a sentence."""

    gate: str
    finding: str


def first_stop(near: Near, others: Sequence[Near], logged: Logged, read_to_seq: int) -> Stop:
    """Return the gate at which an item stopped; `others` are all near items, itself among them."""
    record, item, window = logged.record, near.item, logged.policy.window
    closed = logged.policy.closed_through
    if closed is not None and min(record.on, item.on) <= closed:
        return Stop("closed_period", f"The period up to {closed} is closed")
    # What was scored has passed the gates, be it by a fee that the policy knows.
    if near.hard_gate is not None and near.score is None:
        return Stop(near.hard_gate, _hard_words(near, record, logged))
    if near.seq > read_to_seq:
        return Stop(
            "recorded_later",
            f"The ledger has it as seq {near.seq}, but this run had read up to {read_to_seq}:"
            " the next run will see it",
        )
    if near.taken is not None:
        whose = "another match" if near.taken.record_id is None else "another record"
        return Stop("taken", f"It is matched with {whose} already")
    if near.score is None and _contradict(record.reference, item.reference, logged):
        return Stop(
            "conflicting_ids",
            f"Its reference {item.reference} is another of the same name space",
        )
    if near.suggested is not None:
        return Stop(
            "suggested_elsewhere",
            f"It is suggested for another record, with a probability of {near.suggested[1]:.2f}",
        )
    if near.score is None:
        return Stop("not_scored", f"It passes every gate ({_lag_words(near, window)}), unscored")
    better = [
        other
        for other in others
        if other.item.id != item.id and other.score is not None and other.score >= near.score
    ]
    if better:
        best = max(better, key=lambda other: (other.score or 0.0, other.item.id))
        how = "is as good" if best.score == near.score else "is better"
        name = best.item.reference or best.item.id
        return Stop(
            "rival_better",
            f"{name} {how}: probability {best.score:.2f}, this one's {near.score:.2f}",
        )
    threshold = logged.policy.suggest_threshold
    if near.score >= threshold:
        return Stop("not_scored", "On these few rows it would match; the run had more to weigh")
    return Stop(
        "below_threshold",
        f"Its probability of {near.score:.2f} is below {threshold:.2f},"
        f" by {threshold - near.score:.2f}",
    )


def _contradict(ours: str | None, theirs: str | None, logged: Logged) -> bool:
    """Whether two references that differ can be one payment's by no evidence at all."""
    if ours is None or theirs is None or ours == theirs:
        return False
    both_checked = all(re.match(r"(?i)RF[0-9]{2}", one) for one in (ours, theirs))
    return logged.policy.ids == "shared" or both_checked


def verdict(
    logged: Logged, change: Mapping[str, Any] | None, stops: Sequence[Stop], *, would_guess: bool
) -> str:
    """Return one honest sentence about what would match the record."""
    if logged.decision != "unmatched":
        return (
            f"The record is not unmatched: {logged.reason[:1].lower()}{logged.reason[1:]}."
            f" See /recon/logs/{logged.log_id}/why."
        )
    if change is not None:
        return _change_words(change, logged.policy.window)
    if not stops:
        return "Nothing near is in the ledger: no change of the policy would match it."
    if would_guess:
        return (
            "No change of the policy tells these candidates apart: one would only pick among"
            " equals. A reference, a name or a person has to."
        )
    reason = {
        "closed_period": "it lies in a period that is closed",
        "conflicting_ids": "its reference says that it is another payment",
        "other_currency": "it is in another currency, which no policy accepts",
        "reversed_sign": "it goes in the opposite direction, which no policy accepts",
        "taken": "it is matched already, which no policy undoes",
        "suggested_elsewhere": "it fits another record better",
    }.get(stops[0].gate, "none that was tried makes a pair that is likely enough")
    return f"No change of the policy would match it: of the nearest, {reason}."


def _change_words(change: Mapping[str, Any], window: Window) -> str:
    if not change["policy"]:
        return "No change is needed: the next run will match it."
    parts = []
    patch = change["policy"]
    if "amount_tolerance" in patch:
        parts.append(f"an absolute tolerance of {patch['amount_tolerance']['absolute']}")
    for side, days in patch.get("window", {}).items():
        parts.append(f"a window of {_days(days, window)} {side[:-5]} the ledger")
    if "suggest_threshold" in patch:
        parts.append(f"a threshold of {patch['suggest_threshold']:g} for suggestions")
    how = "match it automatically" if change["decision"] == "auto" else "suggest a match"
    beside = change["others_changed"]
    also = f"; {beside} other records of those tried would change, too" if beside else ""
    return f"{' and '.join(parts).capitalize()} would {how} (tried){also}."


def _hard_words(near: Near, record: Party, logged: Logged) -> str:
    item, tolerance = near.item, logged.policy.amount_tolerance
    if near.hard_gate == "other_currency":
        return f"It is in {item.currency}, the record in {record.currency}"
    if near.hard_gate == "reversed_sign":
        return f"It goes in the opposite direction: {item.amount} against {record.amount}"
    if near.hard_gate == "amount_difference":
        beyond = abs(near.difference_minor) - near.allowed_minor
        return (
            f"The amounts differ by {decimals(near.difference_minor, record.scale)}:"
            f" {decimals(beyond, record.scale)} beyond the tolerance of {tolerance.absolute}"
            f" or {tolerance.percent} %"
        )
    return (
        f"The record is {_lag_words(near, logged.policy.window)}:"
        f" {_days(near.days_beyond, logged.policy.window)} outside the window"
    )


def _lag_words(near: Near, window: Window) -> str:
    if near.lag_days == 0:
        return "on the same day"
    side = "after" if near.lag_days > 0 else "before"
    return f"{_days(abs(near.lag_days), window)} {side} the ledger"


def _days(count: int, window: Window) -> str:
    noun = "business day" if window.unit == "business_days" else "day"
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

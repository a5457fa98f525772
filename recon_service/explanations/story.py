"""Renders one decision of the match log as a document: what it was based on, and how it adds up.

stored evidence ─▶ pass ─┬─ exact    the conditions that held
                         ├─ evidence bits, rivals, probability, alternatives
                         ├─ group    members, sum, difference, solutions
                         └─ netted   the pair that cancels out
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recon_service.domain.calendars import business_day_numbers
from recon_service.domain.config import Window
from recon_service.domain.logged import Logged, Party, decimals
from recon_service.domain.run import ALL_TRANSACTIONS
from recon_service.explanations.markup import shortened
from recon_service.explanations.waterfall import Bar, Waterfall, draw, draw_list
from recon_service.explanations.weighing import FORMULA, Weighing, weigh

_MEMBER_BARS_MAX = 40
_NAME_CHARS_MAX = 40


@dataclass(frozen=True, slots=True)
class Story:
    """A decision in words and numbers; at most one of the last four says how it came about."""

    logged: Logged
    conditions: tuple[dict[str, str], ...]
    weighing: Weighing | None
    group: dict[str, Any] | None
    netted: dict[str, Any] | None

    @property
    def title(self) -> str:
        """Name the record and what it was decided to be."""
        logged, record = self.logged, self.logged.record
        name = shortened(record.reference or record.id, _NAME_CHARS_MAX)
        what = {
            "exact": "matched exactly",
            "fuzzy": "matched by evidence" if logged.decision == "auto" else "suggested",
            "group": "in a group" if logged.decision == "auto" else "suggested in a group",
            "netted": "netted",
        }.get(logged.match_type, "unmatched")
        return f"{name} · {record.amount} {record.currency} · {what}"

    def document(self) -> dict[str, Any]:
        """Return what the service answers as JSON."""
        logged = self.logged
        return {
            "log_id": logged.log_id,
            "run_id": logged.run_id,
            "source": logged.source,
            "date": logged.business_date,
            "attempt": logged.attempt,
            "dry_run": logged.dry_run,
            "decided_at": logged.decided_at,
            "record_id": logged.record_id,
            "title": self.title,
            "decision": logged.decision,
            "match_type": logged.match_type,
            "score": logged.score,
            "cause": logged.cause,
            "reason": logged.reason,
            "policy": logged.policy.model_dump(mode="json"),
            "records": [one.document() for one in logged.records],
            "records_count": logged.records_count,
            "items": [one.document() for one in logged.items],
            "items_count": logged.items_count,
            "conditions": list(self.conditions),
            "weighing": None if self.weighing is None else _weighed(self.weighing, logged),
            "alternatives": _alternatives(logged),
            "group": self.group,
            "netted": self.netted,
        }

    @property
    def has_picture(self) -> bool:
        """Whether there is more to draw than a sentence."""
        parts = (self.weighing, self.group, self.netted, self.conditions or None)
        return any(part is not None for part in parts)

    def picture(self) -> str:
        """Return the SVG of it."""
        if self.weighing is not None:
            return draw(_bits_waterfall(self, self.weighing))
        if self.group is not None and self.logged.records and self.logged.items:
            return draw(_amounts_waterfall(self))
        if self.netted is not None:
            return draw(_netted_waterfall(self))
        rows = [
            (one["condition"], f"{one['record']} · {one['ledger']}", one["finding"])
            for one in self.conditions
        ]
        return draw_list(self.title, self.logged.reason, rows)


def explain(logged: Logged) -> Story:
    """Return the story of a decision; evidence of a kind that is not known tells its reason."""
    evidence = logged.evidence
    found = evidence.get("pass")
    return Story(
        logged,
        conditions=_conditions(logged) if found in ("exact", "fee") else (),
        weighing=weigh(evidence, logged.score),
        group=_group(logged) if found == "group" else None,
        netted={"by": evidence.get("by"), "partner": evidence.get("with")}
        if found == "netted"
        else None,
    )


def _conditions(logged: Logged) -> tuple[dict[str, str], ...]:
    """Return what an exact match needs, and what both sides had."""
    record, item, policy = logged.record, logged.items[0], logged.policy
    window = policy.window
    lag = _lag(record, item, window)
    unit = window.unit.replace("_", " ")
    twins = logged.evidence.get("interchangeable")
    return (
        _condition("Transaction id", record.reference, item.reference, "equal"),
        _condition("Currency", record.currency, item.currency, "equal"),
        _condition("Amount", record.amount, item.amount, _difference(logged)),
        _condition(
            "Date",
            str(record.on),
            str(item.on),
            f"lag {lag:+d} {unit}, allowed -{window.before_days} to +{window.after_days}"
            if lag
            else f"same day, allowed -{window.before_days} to +{window.after_days} {unit}",
        ),
        _condition(
            "Only answer",
            str(logged.evidence.get("key")),
            "both sides",
            f"{twins} equal lines on each side are interchangeable, paired in the order of time"
            if twins
            else "no other line or item with this key fits",
        ),
    )


def _difference(logged: Logged) -> str:
    """Say why the amounts agree: they are equal, within the tolerance, or apart by a fee."""
    residual, scale = logged.residual_minor or 0, logged.record.scale
    tolerance, fee = logged.policy.amount_tolerance, logged.evidence.get("fee")
    if residual == 0:
        return "equal"
    if isinstance(fee, dict):
        taken = f"less a fee of {decimals(-residual, scale)} ({fee.get('rule')})"
        is_declared = logged.evidence.get("pass") == "exact"
        return taken if is_declared else f"{taken}, learned and not declared"
    apart = f"differs by {decimals(residual, scale)}"
    return f"{apart}, within {tolerance.absolute} or {tolerance.percent} %"


def _condition(name: str, record: str | None, ledger: str | None, finding: str) -> dict[str, str]:
    return {
        "condition": name,
        "record": record or "",
        "ledger": ledger or "",
        "finding": finding,
    }


def _lag(record: Party, item: Party, window: Window) -> int:
    """Return the record's date minus the ledger's, in the unit of the window."""
    if window.unit == "calendar_days":
        return (record.on - item.on).days
    days = np.array([record.on, item.on], dtype="datetime64[D]").astype(np.int64)
    numbers = business_day_numbers(window.calendar or record.currency, days)
    return int(numbers[0] - numbers[1])


def _group(logged: Logged) -> dict[str, Any]:
    evidence, scale = logged.evidence, logged.record.scale
    sums = {"sum": evidence.get("sum_minor"), "residual": evidence.get("residual_minor")}
    plain = ("by", "key", "solutions", "interchangeable", "by_chance", "rivals", "truncated", "fee")
    return {name: evidence.get(name) for name in plain} | {
        name: None if minor is None else decimals(int(minor), scale) for name, minor in sums.items()
    }


def _weighed(weighing: Weighing, logged: Logged) -> dict[str, Any]:
    found = asdict(weighing) | {"formula": FORMULA, "steps": [asdict(s) for s in weighing.steps]}
    return found | {
        "auto_threshold": logged.policy.automatic_from,
        "suggest_threshold": logged.policy.suggest_threshold,
    }


def _alternatives(logged: Logged) -> list[dict[str, Any]]:
    """Return the other candidates; of an unmatched record the first is the one that is weighed."""
    found = logged.evidence.get("alternatives") or logged.evidence.get("candidates") or []
    return [
        {"internal_id": str(one["internal_id"]), "score": one["score"], "bits": one["bits"]}
        for one in found
    ]


def _bits_waterfall(story: Story, weighing: Weighing) -> Waterfall:
    bars = [
        Bar(step.label, step.level, step.bits, f"{step.bits:+.2f}", is_neutral=step.kind == "prior")
        for step in weighing.steps
    ]
    last = weighing.steps[-1].running
    bars.append(
        Bar(
            "Probability",
            f"{last:+.2f} bits are left",
            last,
            f"p = {weighing.probability:.4g}",
            is_total=True,
        )
    )
    return Waterfall(
        title=story.title,
        verdict=story.logged.reason,
        bars=bars,
        axis="bits: to the right it speaks for the pair, to the left against it",
        zero="even odds",
    )


def _amounts_waterfall(story: Story) -> Waterfall:
    """Draw the members of the longer side adding up to the other one."""
    logged = story.logged
    many, ones = logged.items, logged.records
    if len(ones) > len(many):
        many, ones = ones, many
    bars = [_amount_bar(one, logged) for one in many[:_MEMBER_BARS_MAX]]
    rest = many[_MEMBER_BARS_MAX:]
    if rest:
        bars.append(_sum_bar(f"{len(rest)} more", "", rest, logged, is_total=False))
    first, second = _sum_minor(ones, logged), _sum_minor(many, logged)
    if first != second:
        scale = ones[0].scale
        figure = decimals(first - second, scale)
        bars.append(Bar("Difference", logged.cause or "", (first - second) / 10**scale, figure))
    label = "Bank line" if ones is logged.records else "Ledger item"
    name = ones[0].reference or ones[0].id if len(ones) == 1 else f"{len(ones)} together"
    bars.append(_sum_bar(label, name, ones, logged, is_total=True))
    return Waterfall(
        title=story.title,
        verdict=logged.reason,
        bars=bars,
        axis=f"{ones[0].currency}: the members one after the other, and what they add up to",
    )


def _netted_waterfall(story: Story) -> Waterfall:
    logged = story.logged
    bars = [
        Bar(one.reference or one.id, str(one.on), one.amount_minor / 10**one.scale, one.amount)
        for one in logged.records
    ]
    left = sum(one.amount_minor for one in logged.records)
    scale = logged.record.scale
    bars.append(Bar("What is left", "", left / 10**scale, decimals(left, scale), is_total=True))
    return Waterfall(story.title, logged.reason, bars, axis=logged.record.currency)


def _amount_bar(party: Party, logged: Logged) -> Bar:
    where = " · ".join(part for part in (str(party.on), party.text) if part)
    return _sum_bar(party.reference or party.id, where, (party,), logged, is_total=False)


def _sum_bar(
    label: str, detail: str, parties: tuple[Party, ...], logged: Logged, *, is_total: bool
) -> Bar:
    total, scale = _sum_minor(parties, logged), parties[0].scale
    return Bar(label, detail, total / 10**scale, decimals(total, scale), is_total=is_total)


def _sum_minor(parties: tuple[Party, ...], logged: Logged) -> int:
    """Return a sum; amounts have no sign where records are compared with whole transactions."""
    is_signed = logged.population != ALL_TRANSACTIONS
    return sum(one.amount_minor if is_signed else abs(one.amount_minor) for one in parties)

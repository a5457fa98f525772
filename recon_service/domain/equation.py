"""The population equation: every line and every ledger item ends in exactly one bucket (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Values = Mapping[str, int]
"""currency -> sum of minor units"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many things a bucket holds and what they are worth by currency."""

    count: int = 0
    values: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lines:
    """The external side: what the file held, and what became of it."""

    lines: int
    rejected: int
    accepted: Bucket
    auto: Bucket
    suggested: Bucket
    unmatched: Bucket
    already_reconciled: Bucket


@dataclass(frozen=True, slots=True)
class Carried:
    """Records left open by earlier days and looked at again."""

    records: Bucket
    auto: Bucket
    suggested: Bucket
    unmatched: Bucket


@dataclass(frozen=True, slots=True)
class Items:
    """The ledger's side: what was read, and what became of it."""

    read: Bucket
    matched: Bucket
    suggested: Bucket
    timing: Bucket
    unmatched: Bucket
    another_day: Bucket


@dataclass(frozen=True, slots=True)
class Term:
    """One equation by name, with both of its sides as they were counted.

    Sides count things, or minor units of `currency` where it is given.
    """

    name: str
    left: int
    right: int
    currency: str | None = None

    @property
    def holds(self) -> bool:
        """Tell whether both sides are equal."""
        return self.left == self.right


def terms(lines: Lines, carried: Carried, items: Items) -> tuple[Term, ...]:
    """Return every equation that a run must prove, by count and by value per currency."""
    line_parts = (lines.auto, lines.suggested, lines.unmatched, lines.already_reconciled)
    carried_parts = (carried.auto, carried.suggested, carried.unmatched)
    item_parts = (items.matched, items.suggested, items.timing, items.unmatched, items.another_day)
    return (
        Term("lines = accepted + rejected", lines.lines, lines.accepted.count + lines.rejected),
        *_sums(
            "accepted",
            "auto + suggested + unmatched + already reconciled",
            lines.accepted,
            line_parts,
        ),
        *_sums("carried", "auto + suggested + unmatched", carried.records, carried_parts),
        *_sums(
            "items read",
            "matched + suggested + timing + unmatched + another day",
            items.read,
            item_parts,
        ),
        Term(
            "records matched = items matched",
            lines.auto.count + carried.auto.count,
            items.matched.count,
        ),
        Term(
            "records suggested = items suggested",
            lines.suggested.count + carried.suggested.count,
            items.suggested.count,
        ),
    )


def failures(proof: tuple[Term, ...]) -> tuple[Term, ...]:
    """Return the terms that do not hold; a run with any fails closed."""
    return tuple(term for term in proof if not term.holds)


def _sums(whole: str, parts: str, total: Bucket, buckets: tuple[Bucket, ...]) -> tuple[Term, ...]:
    counted = Term(f"{whole} = {parts}", total.count, sum(bucket.count for bucket in buckets))
    currencies = sorted({code for bucket in (total, *buckets) for code in bucket.values})
    return (
        counted,
        *(
            Term(
                f"{whole} = {parts}",
                total.values.get(code, 0),
                sum(bucket.values.get(code, 0) for bucket in buckets),
                currency=code,
            )
            for code in currencies
        ),
    )

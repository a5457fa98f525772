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
    netted: Bucket
    already_reconciled: Bucket


@dataclass(frozen=True, slots=True)
class Carried:
    """Records left open by earlier days and looked at again."""

    records: Bucket
    auto: Bucket
    suggested: Bucket
    unmatched: Bucket
    netted: Bucket


@dataclass(frozen=True, slots=True)
class Items:
    """The ledger's side: what was read, and what became of it."""

    read: Bucket
    matched: Bucket
    suggested: Bucket
    timing: Bucket
    unmatched: Bucket
    netted: Bucket
    another_day: Bucket


@dataclass(frozen=True, slots=True)
class Tied:
    """What matches of one kind hold: pairs, and the members of those that are no pairs."""

    pairs: int = 0
    records: int = 0
    items: int = 0


@dataclass(frozen=True, slots=True)
class Ties:
    """How the two sides hang together.

    `compared` is what the automatically matched records are worth as the matcher sees them
    (without a sign where the ledger's side has none), `differences` what they are worth more than
    their ledger items.
    """

    auto: Tied
    suggested: Tied
    netted: Tied
    compared: Values
    differences: Values


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


def terms(lines: Lines, carried: Carried, items: Items, ties: Ties) -> tuple[Term, ...]:
    """Return every equation that a run must prove, by count and by value per currency."""
    return (
        Term("lines = accepted + rejected", lines.lines, lines.accepted.count + lines.rejected),
        *_sums(
            "accepted",
            "auto + suggested + unmatched + netted + already reconciled",
            lines.accepted,
            (
                lines.auto,
                lines.suggested,
                lines.unmatched,
                lines.netted,
                lines.already_reconciled,
            ),
        ),
        *_sums(
            "carried",
            "auto + suggested + unmatched + netted",
            carried.records,
            (carried.auto, carried.suggested, carried.unmatched, carried.netted),
        ),
        *_sums(
            "items read",
            "matched + suggested + timing + unmatched + netted + another day",
            items.read,
            (
                items.matched,
                items.suggested,
                items.timing,
                items.unmatched,
                items.netted,
                items.another_day,
            ),
        ),
        *_tied("matched", ties.auto, lines.auto.count + carried.auto.count, items.matched.count),
        *_tied(
            "suggested",
            ties.suggested,
            lines.suggested.count + carried.suggested.count,
            items.suggested.count,
        ),
        *_tied(
            "netted", ties.netted, lines.netted.count + carried.netted.count, items.netted.count
        ),
        *_by_value(
            "records matched = items matched + differences",
            ties.compared,
            _added(items.matched.values, ties.differences),
        ),
        *_by_value("records netted = 0", _added(lines.netted.values, carried.netted.values), {}),
        *_by_value("items netted = 0", items.netted.values, {}),
    )


def failures(proof: tuple[Term, ...]) -> tuple[Term, ...]:
    """Return the terms that do not hold; a run with any fails closed."""
    return tuple(term for term in proof if not term.holds)


def _sums(whole: str, parts: str, total: Bucket, buckets: tuple[Bucket, ...]) -> tuple[Term, ...]:
    name = f"{whole} = {parts}"
    counted = Term(name, total.count, sum(bucket.count for bucket in buckets))
    return counted, *_by_value(name, total.values, _added(*(one.values for one in buckets)))


def _tied(kind: str, tied: Tied, records: int, items: int) -> tuple[Term, Term]:
    return (
        Term(f"records {kind} = in pairs + in groups", records, tied.pairs + tied.records),
        Term(f"items {kind} = in pairs + in groups", items, tied.pairs + tied.items),
    )


def _by_value(name: str, left: Values, right: Values) -> tuple[Term, ...]:
    return tuple(
        Term(name, left.get(code, 0), right.get(code, 0), currency=code)
        for code in sorted(left.keys() | right.keys())
    )


def _added(*parts: Values) -> Values:
    codes = {code for part in parts for code in part}
    return {code: sum(part.get(code, 0) for part in parts) for code in codes}

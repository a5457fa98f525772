"""Drives any reconciliation through random days and compares it with a model that re-reads all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

FIRST_DAY = date(2025, 7, 1)
TODAY = FIRST_DAY + timedelta(days=30)
DAYS = 9
PAYMENTS = 6
SOURCES = ("bank", "card")
BEFORE_DAYS, AFTER_DAYS = 1, 2
# Payments that belong together: two lines for two items, one line for two items, and two that
# cancel each other out where the other side knows neither.
GROUP, BATCH, REVERSED = (0, 1), (2, 3), (4, 5)


@dataclass(frozen=True)
class Payment:
    """One payment as the ledger and a statement would tell it; `number` names it."""

    number: int
    event_day: date
    record_day: date
    amounts_agree: bool

    def fits(self, item: "Payment") -> bool:
        """Tell whether this payment's line may stand for the item of another."""
        return -BEFORE_DAYS <= (self.record_day - item.event_day).days <= AFTER_DAYS


@dataclass(frozen=True)
class Line:
    """A statement line: a payment, and which of several equal lines it is."""

    number: int
    ordinal: int = 1


@dataclass(frozen=True)
class Match:
    """Lines and items that belong together, or cancel out within their own side."""

    lines: frozenset[Line]
    items: frozenset[int]
    decision: str


@dataclass(frozen=True)
class Report:
    """What a run says it did, in the terms of lines and payment numbers."""

    attempt: int
    dispositions: Mapping[Line, str]
    carried: Mapping[Line, str]
    equation_holds: bool


@dataclass(frozen=True)
class View:
    """What is shown after a run: active matches, open records by source, remembered items."""

    matches: frozenset[tuple[str, frozenset[Line], frozenset[int]]]
    open_records: Mapping[tuple[str, Line], str]
    items: Mapping[int, str]


class System(Protocol):
    """A reconciliation under test."""

    def post(self, payment: Payment) -> None:
        """Record the payment in the ledger."""

    def run(self, source: str, day: date, lines: Sequence[Line], rejected: int) -> Report | None:
        """Reconcile; None where it is refused because a later run depends on the last one."""

    def fail(self, source: str, day: date) -> None:
        """Begin a run that fails."""

    def view(self) -> View:
        """Return what is shown now."""


@dataclass
class ModelRun:
    source: str
    day: date
    records: list[Line]
    matches: list[Match]
    already: dict[Line, "ModelRun"]
    covered: tuple[date, date]

    @property
    def held(self) -> set[Line]:
        return {line for one in self.matches for line in one.lines}

    @property
    def items(self) -> set[int]:
        return {number for one in self.matches for number in one.items}


@dataclass
class Model:
    """Reads the whole ledger at every run and keeps no memory but the current runs."""

    payments: Mapping[int, Payment]
    posted: list[int] = field(default_factory=list)
    current: list[ModelRun] = field(default_factory=list)
    attempts: dict[tuple[str, date], int] = field(default_factory=dict)
    items: dict[int, str] = field(default_factory=dict)
    record_states: dict[tuple[str, Line], str] = field(default_factory=dict)

    def run(self, source: str, day: date, lines: Sequence[Line]) -> Report | None:
        if self.refuses(source, day):
            return None
        last = self._in_force(source, day)
        others = [run for run in self.current if run is not last]
        if last is not None:
            self._end_matches_of_lines_gone(source, lines, others)
        held = {(r.source, line): r for r in others for line in r.held}
        own_open = {
            line
            for run in others
            if run.source == source
            for line in run.records
            if (source, line) not in held
        }
        free = [line for line in lines if (source, line) not in held]
        carried = sorted(own_open - set(lines), key=lambda line: (line.number, line.ordinal))
        taken = {number for run in others for number in run.items}
        found = match([*free, *carried], [n for n in self.posted if n not in taken], self.payments)
        run = ModelRun(
            source,
            day,
            list(lines),
            [one for one in found if one.decision != "suggested"],
            {line: held[source, line] for line in lines if (source, line) in held},
            self._covered(day, lines),
        )
        self.current = [*others, run]
        self.attempts[source, day] = self.attempts.get((source, day), 0) + 1
        self._remember(source, [one for one in found if one.decision == "suggested"])
        outcome = dict.fromkeys([*free, *carried], "unmatched")
        outcome |= {line: one.decision for one in found for line in one.lines}
        dispositions = {line: outcome.get(line, "already_reconciled") for line in lines}
        return Report(
            self.attempts[source, day], dispositions, {c: outcome[c] for c in carried}, True
        )

    def _end_matches_of_lines_gone(
        self, source: str, lines: Sequence[Line], others: Sequence[ModelRun]
    ) -> None:
        """A match one of whose lines stands in no statement any more proves nothing: it ends."""
        own = [run for run in others if run.source == source]
        kept = {*lines, *(line for run in own for line in run.records)}
        for run in own:
            run.matches = [one for one in run.matches if one.lines <= kept]

    def refuses(self, source: str, day: date) -> bool:
        """Tell whether a later day counts lines as reconciled by the date's attempt in force."""
        last = self._in_force(source, day)
        later = [run for run in self.current if run.source == source and run.day > day]
        return any(held is last for run in later for held in run.already.values())

    def _in_force(self, source: str, day: date) -> ModelRun | None:
        return next((r for r in self.current if (r.source, r.day) == (source, day)), None)

    def fail(self, source: str, day: date) -> None:
        self.attempts[source, day] = self.attempts.get((source, day), 0) + 1

    def view(self) -> View:
        matches = {(r.source, one.lines, one.items) for r in self.current for one in r.matches}
        return View(frozenset(matches), dict(self.record_states), dict(self.items))

    def _covered(self, day: date, lines: Iterable[Line]) -> tuple[date, date]:
        days = [day, *(self.payments[line.number].record_day for line in lines)]
        return min(days), max(days)

    def _remember(self, source: str, suggested: Iterable[Match]) -> None:
        first = min(run.covered[0] for run in self.current)
        last = max(run.covered[1] for run in self.current)
        matched = {number for run in self.current for number in run.items}
        maybe_items = {number for one in suggested for number in one.items}
        self.items = {}
        for number in self.posted:
            day = self.payments[number].event_day
            if number in matched:
                continue
            if number in maybe_items:
                self.items[number] = "suggested"
            elif first <= day <= last:
                overdue = (last - day).days >= AFTER_DAYS
                self.items[number] = "open" if overdue else "timing"
            elif (day - first).days >= -AFTER_DAYS and (day - last).days <= BEFORE_DAYS:
                self.items[number] = "outside"
        held = {(run.source, line) for run in self.current for line in run.held}
        own = {line for run in self.current if run.source == source for line in run.records}
        maybe_lines = {line for one in suggested for line in one.lines}
        kept = {key: state for key, state in self.record_states.items() if key[0] != source}
        self.record_states = kept | {
            (source, line): "suggested" if line in maybe_lines else "open"
            for line in own
            if (source, line) not in held
        }


def match(
    lines: Sequence[Line], items: Sequence[int], payments: Mapping[int, Payment]
) -> list[Match]:
    """Match what belongs together in the window: alike automatically, else suggested."""
    free_lines = sorted(lines, key=lambda line: (line.ordinal, line.number))
    free_items = set(items)
    found: list[Match] = []

    def take(own: Sequence[Line], theirs: Sequence[int], decision: str) -> None:
        found.append(Match(frozenset(own), frozenset(theirs), decision))
        free_items.difference_update(theirs)
        for line in own:
            free_lines.remove(line)

    def sure(numbers: Iterable[int]) -> str:
        return "auto" if all(payments[n].amounts_agree for n in numbers) else "suggested"

    both = [Line(number) for number in GROUP]
    if (
        set(both) <= set(free_lines)
        and set(GROUP) <= free_items
        and all(payments[number].fits(payments[number]) for number in GROUP)
    ):
        take(both, GROUP, sure(GROUP))
    one = Line(BATCH[0])
    if (
        one in free_lines
        and set(BATCH) <= free_items
        and BATCH[1] not in {line.number for line in lines}
        and all(payments[one.number].fits(payments[number]) for number in BATCH)
    ):
        take([one], BATCH, sure(BATCH))
    for line in list(free_lines):
        payment = payments[line.number]
        if line.number in free_items and payment.fits(payment):
            take([line], [line.number], sure([line.number]))
    reversed_lines = [Line(number) for number in REVERSED]
    if set(reversed_lines) <= set(free_lines):
        take(reversed_lines, [], "netted")
    days = sorted(payments[line.number].record_day for line in lines)
    if set(REVERSED) <= free_items and all(
        days and days[0] <= payments[number].event_day <= days[-1] for number in REVERSED
    ):
        take([], REVERSED, "netted")
    return found


def draw_payments(*, always_agree: bool) -> st.SearchStrategy[list[Payment]]:
    """Return the payments of one example, some with a lag outside of the window."""

    def build(number: int) -> st.SearchStrategy[Payment]:
        return st.builds(
            lambda day, lag, agree: Payment(
                number,
                FIRST_DAY + timedelta(days=day),
                FIRST_DAY + timedelta(days=day + lag),
                agree,
            ),
            st.integers(0, DAYS - 1),
            st.sampled_from([0, 0, 0, 1, 1, 2, -1, 4]),
            st.just(True) if always_agree else st.sampled_from([True, True, True, True, False]),
        )

    return st.tuples(*(build(number) for number in range(PAYMENTS))).map(list)


days = st.integers(0, DAYS).map(lambda day: FIRST_DAY + timedelta(days=day))
sources = st.sampled_from(SOURCES)
# What belongs together comes together often enough.
numbers = st.one_of(
    st.sets(st.integers(0, PAYMENTS - 1), max_size=4),
    st.sampled_from([set(GROUP), {BATCH[0]}, set(REVERSED), {*GROUP, BATCH[0]}, {GROUP[0]}]),
)


class HistoryMachine(RuleBasedStateMachine):
    """Posts, runs, runs again, overlaps and fails in any order; subclasses bring the system."""

    system: System
    model: Model

    @rule(chosen=st.one_of(numbers, st.just(set(range(PAYMENTS)))))
    def post(self, chosen: set[int]) -> None:
        """Record payments, often long after the days they belong to were reconciled."""
        for number in sorted(chosen - set(self.model.posted)):
            self.system.post(self.model.payments[number])
            self.model.posted.append(number)

    @rule(source=sources, day=days, chosen=numbers, twice=st.booleans(), bad=st.integers(0, 2))
    def run(self, source: str, day: date, chosen: set[int], twice: bool, bad: int) -> None:
        """Reconcile any lines for any date: first run, re-run and overlap are all the same call."""
        lines = [Line(number) for number in sorted(chosen)]
        if twice and lines and self.equal_lines:
            lines.append(Line(lines[0].number, ordinal=2))
        reported = self.system.run(source, day, lines, bad)
        expected = self.model.run(source, day, lines)
        self.compare_reports(reported, expected)
        self.compare()

    @precondition(lambda self: bool(self.model.current))
    @rule(pick=st.integers(0, 9), chosen=numbers, bad=st.integers(0, 1))
    def run_again(self, pick: int, chosen: set[int], bad: int) -> None:
        """Run one of the current dates again with another statement."""
        last = self.model.current[pick % len(self.model.current)]
        self.run(last.source, last.day, chosen, False, bad)

    @rule(source=sources, day=days)
    def fail(self, source: str, day: date) -> None:
        """A failed attempt leaves the one before in force."""
        if self.model.refuses(source, day):
            return
        before = self.system.view()
        self.system.fail(source, day)
        self.model.fail(source, day)
        assert self.system.view() == before

    equal_lines = True

    def compare_reports(self, reported: Report | None, expected: Report | None) -> None:
        """The run says it did what the model did."""
        assert reported == expected

    def compare(self) -> None:
        """What is shown is what the current runs say, each thing in one match at most."""
        shown = self.system.view()
        assert shown == self.model.view()
        lines = [(source, line) for source, own, _ in shown.matches for line in own]
        items = [number for _, _, theirs in shown.matches for number in theirs]
        assert len(set(items)) == len(items)
        assert len(set(lines)) == len(lines)
        assert not set(lines) & set(shown.open_records)
        held = {(run.source, line) for run in self.model.current for line in run.records}
        assert set(lines) <= held, "a match rests on a line that no statement holds"
        assert not set(items) & set(shown.items)

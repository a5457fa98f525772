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


@dataclass(frozen=True)
class Payment:
    """One payment as the ledger and a statement would tell it; `number` names it."""

    number: int
    event_day: date
    record_day: date
    amounts_agree: bool

    @property
    def in_window(self) -> bool:
        return -BEFORE_DAYS <= (self.record_day - self.event_day).days <= AFTER_DAYS


@dataclass(frozen=True)
class Line:
    """A statement line: a payment, and which of several equal lines it is."""

    number: int
    ordinal: int = 1


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

    matches: Mapping[tuple[str, Line], int]
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
    matches: dict[Line, int]
    already: dict[Line, "ModelRun"]
    covered: tuple[date, date]


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
        held = {(r.source, line): r for r in others for line in r.matches}
        own_open = {
            line
            for run in others
            if run.source == source
            for line in run.records
            if (source, line) not in held
        }
        free = [line for line in lines if (source, line) not in held]
        carried = sorted(own_open - set(lines), key=lambda line: (line.number, line.ordinal))
        taken = {number for run in others for number in run.matches.values()}
        auto, suggested = match(
            [*free, *carried], [n for n in self.posted if n not in taken], self.payments
        )
        run = ModelRun(
            source,
            day,
            list(lines),
            auto,
            {line: held[source, line] for line in lines if (source, line) in held},
            self._covered(day, lines),
        )
        self.current = [*others, run]
        self.attempts[source, day] = self.attempts.get((source, day), 0) + 1
        self._remember(source, auto, suggested)
        outcome = dict.fromkeys([*free, *carried], "unmatched")
        outcome |= dict.fromkeys(auto, "auto") | dict.fromkeys(suggested, "suggested")
        dispositions = {line: outcome.get(line, "already_reconciled") for line in lines}
        return Report(
            self.attempts[source, day], dispositions, {c: outcome[c] for c in carried}, True
        )

    def _end_matches_of_lines_gone(
        self, source: str, lines: Sequence[Line], others: Sequence[ModelRun]
    ) -> None:
        """A match whose line stands in no statement any more proves nothing: it ends."""
        own = [run for run in others if run.source == source]
        kept = {*lines, *(line for run in own for line in run.records)}
        for run in own:
            run.matches = {line: n for line, n in run.matches.items() if line in kept}

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
        matches = {(r.source, line): n for r in self.current for line, n in r.matches.items()}
        return View(matches, dict(self.record_states), dict(self.items))

    def _covered(self, day: date, lines: Iterable[Line]) -> tuple[date, date]:
        days = [day, *(self.payments[line.number].record_day for line in lines)]
        return min(days), max(days)

    def _remember(
        self, source: str, auto: Mapping[Line, int], suggested: Mapping[Line, int]
    ) -> None:
        first = min(run.covered[0] for run in self.current)
        last = max(run.covered[1] for run in self.current)
        matched = {number for run in self.current for number in run.matches.values()}
        self.items = {}
        for number in self.posted:
            day = self.payments[number].event_day
            if number in matched:
                continue
            if number in suggested.values():
                self.items[number] = "suggested"
            elif first <= day <= last:
                overdue = (last - day).days >= AFTER_DAYS
                self.items[number] = "open" if overdue else "timing"
            elif (day - first).days >= -AFTER_DAYS and (day - last).days <= BEFORE_DAYS:
                self.items[number] = "outside"
        held = {(run.source, line) for run in self.current for line in run.matches}
        own = {line for run in self.current if run.source == source for line in run.records}
        kept = {key: state for key, state in self.record_states.items() if key[0] != source}
        self.record_states = kept | {
            (source, line): "suggested" if line in suggested else "open"
            for line in own
            if (source, line) not in held
        }


def match(
    lines: Sequence[Line], items: Sequence[int], payments: Mapping[int, Payment]
) -> tuple[dict[Line, int], dict[Line, int]]:
    """Pair lines and items of one payment in the window: alike automatically, else suggested."""
    free = set(items)
    auto: dict[Line, int] = {}
    suggested: dict[Line, int] = {}
    for line in sorted(lines, key=lambda line: (line.ordinal, line.number)):
        payment = payments[line.number]
        if line.number in free and payment.in_window:
            (auto if payment.amounts_agree else suggested)[line] = line.number
            free.remove(line.number)
    return auto, suggested


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
            st.sampled_from([0, 0, 1, 2, -1, 4]),
            st.just(True) if always_agree else st.sampled_from([True, True, False]),
        )

    return st.tuples(*(build(number) for number in range(PAYMENTS))).map(list)


days = st.integers(0, DAYS).map(lambda day: FIRST_DAY + timedelta(days=day))
sources = st.sampled_from(SOURCES)
numbers = st.sets(st.integers(0, PAYMENTS - 1), max_size=4)


class HistoryMachine(RuleBasedStateMachine):
    """Posts, runs, runs again, overlaps and fails in any order; subclasses bring the system."""

    system: System
    model: Model

    @rule(number=st.integers(0, PAYMENTS - 1))
    def post(self, number: int) -> None:
        """Record a payment, often long after the days it belongs to were reconciled."""
        if number not in self.model.posted:
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
        assert len(set(shown.matches.values())) == len(shown.matches)
        assert not set(shown.matches) & set(shown.open_records)
        held = {(run.source, line) for run in self.model.current for line in run.records}
        assert set(shown.matches) <= held, "a match rests on a line that no statement holds"
        assert not set(shown.matches.values()) & set(shown.items)

"""The pure history keeps one-to-one and the equation, and forgets nothing, in any order of days."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from hypothesis import settings
from hypothesis.stateful import initialize

from recon_service.domain import equation, history
from recon_service.domain.equation import Bucket
from recon_service.domain.history import LIVE, Days, Margins, Side, State
from tests.property.history_machine import (
    AFTER_DAYS,
    BEFORE_DAYS,
    TODAY,
    HistoryMachine,
    Line,
    Match,
    Model,
    Payment,
    Report,
    View,
    draw_payments,
    match,
)

MARGINS = Margins(BEFORE_DAYS, AFTER_DAYS)


@dataclass
class StoredRun:
    facts: history.PastRun
    records: list[str]
    matches: list[Match]
    already: dict[str, str]

    @property
    def held(self) -> set[str]:
        return {_record_id(self.facts.source, line) for one in self.matches for line in one.lines}

    @property
    def items(self) -> set[str]:
        return {str(number) for one in self.matches for number in one.items}


@dataclass
class MemorySystem:
    """Composes the pure functions as the engine does, over lists instead of tables."""

    payments: dict[int, Payment]
    ledger: list[Payment] = field(default_factory=list)
    runs: list[StoredRun] = field(default_factory=list)
    superseded: set[str] = field(default_factory=set)
    events: list[tuple[str, history.Change]] = field(default_factory=list)
    attempts: dict[tuple[str, date], int] = field(default_factory=lambda: defaultdict(int))

    def post(self, payment: Payment) -> None:
        self.ledger.append(payment)

    def fail(self, source: str, day: date) -> None:
        self.attempts[source, day] += 1

    def run(self, source: str, day: date, lines: Sequence[Line], rejected: int) -> Report | None:
        current = [run for run in self.runs if run.facts.run_id not in self.superseded]
        last = next(
            (r for r in current if (r.facts.source, r.facts.business_date) == (source, day)), None
        )
        own = [run for run in current if run.facts.source == source]
        if last is not None:
            held_by_last = [r.facts for r in own if last.facts.run_id in r.already.values()]
            if history.first_dependent(last.facts, held_by_last):
                return None
        others = [run for run in current if run is not last]
        record_ids = [_record_id(source, line) for line in lines]
        in_statements = {r for run in others if run.facts.source == source for r in run.records}
        ended_records, ended_items = _end_orphans(last, others, record_ids, in_statements)
        known_records, known_items = self._live(Side.EXTERNAL), self._live(Side.LEDGER)
        if last is not None:
            known_records += sorted(last.held)
            known_items += sorted(last.items)
        known_records += sorted(ended_records)
        known_items += sorted(ended_items)
        remembered = [record for record in known_records if record.split()[0] == source]
        universe = history.select_universe(
            lines=record_ids,
            remembered=sorted(remembered, key=_order),
            referred_to=in_statements,
            taken={r: run.facts.run_id for run in others for r in run.held},
        )
        line_days = _days_of(self.payments[line.number].record_day for line in lines)
        own_days = history.covered_days(business_date=day, line_days=line_days, today=TODAY)
        facts = [run.facts for run in others]
        reading = history.plan_reading(
            covered=own_days, line_days=line_days, others=facts, margins=MARGINS
        )
        items = self._read(reading, set(known_items))
        taken_items = {item for run in others for item in run.items}
        found = match(
            [_line(record) for record in (*universe.free, *universe.carried)],
            [int(item) for item in items if item not in taken_items],
            self.payments,
        )
        before = history.coverage(facts[1:], facts[0].covered) if facts else None
        settled = history.settle(
            universe=universe,
            items=items,
            taken_items=taken_items,
            matches=_matches(source, found),
            covered_before=before,
            covered=own_days.joined(before),
            memory=history.Memory(self._states(Side.EXTERNAL), self._states(Side.LEDGER)),
            margins=MARGINS,
            watermark=reading.after_seq,
        )
        self.attempts[source, day] += 1
        run_id = f"{source} {day} {self.attempts[source, day]}"
        self.superseded |= {last.facts.run_id} if last else set()
        past = history.PastRun(
            run_id, source, day, self.attempts[source, day], own_days, len(self.ledger)
        )
        matches = [one for one in found if one.decision != "suggested"]
        self.runs.append(StoredRun(past, record_ids, matches, dict(universe.already_reconciled)))
        self.events += [(run_id, change) for change in settled.changes]
        return Report(
            attempt=past.attempt,
            dispositions={_line(key): value.value for key, value in settled.lines.items()},
            carried={_line(key): value.value for key, value in settled.carried.items()},
            equation_holds=_equation_holds(settled, found, len(lines), rejected, len(items)),
        )

    def view(self) -> View:
        current = [run for run in self.runs if run.facts.run_id not in self.superseded]
        records, items = self._states(Side.EXTERNAL), self._states(Side.LEDGER)
        return View(
            matches=frozenset(
                (run.facts.source, one.lines, one.items) for run in current for one in run.matches
            ),
            open_records={
                (record.split()[0], _line(record)): state.value
                for record, state in records.items()
                if state in LIVE
            },
            items={int(item): state.value for item, state in items.items() if state in LIVE},
        )

    def _states(self, side: Side) -> dict[str, State]:
        return {change.key: change.state for _, change in self.events if change.side is side}

    def _live(self, side: Side) -> list[str]:
        return [key for key, state in self._states(side).items() if state in LIVE]

    def _read(self, reading: history.Reading, known: set[str]) -> dict[str, history.Item]:
        read = {}
        for seq, payment in enumerate(self.ledger, start=1):
            in_days = reading.days.first <= payment.event_day <= reading.days.last
            new = reading.after_seq is not None and seq > reading.after_seq
            if in_days or new or str(payment.number) in known:
                read[str(payment.number)] = history.Item(payment.event_day, seq)
        return read


def _end_orphans(
    last: StoredRun | None, others: list[StoredRun], lines: list[str], in_statements: set[str]
) -> tuple[set[str], set[str]]:
    """End the matches of records that no statement holds any more; return both sides of them."""
    orphans = history.orphaned(
        superseded=last.records if last else (),
        lines=lines,
        referred_to=in_statements,
        taken={r for run in others for r in run.held},
    )
    records: set[str] = set()
    items: set[str] = set()
    for run in others:
        for one in list(run.matches):
            own = {_record_id(run.facts.source, line) for line in one.lines}
            if own & orphans:
                run.matches.remove(one)
                records |= own
                items |= {str(number) for number in one.items}
    return records, items


def _matches(source: str, found: list[Match]) -> history.Matches:
    return history.Matches(
        auto=_members(source, found, "auto"),
        suggested=_members(source, found, "suggested"),
        netted=_members(source, found, "netted"),
    )


def _members(source: str, found: list[Match], decision: str) -> history.Members:
    wanted = [one for one in found if one.decision == decision]
    return history.Members(
        frozenset(_record_id(source, line) for one in wanted for line in one.lines),
        frozenset(str(number) for one in wanted for number in one.items),
    )


def _equation_holds(
    settled: history.Settlement, found: list[Match], lines: int, rejected: int, items: int
) -> bool:
    def count(values: Sequence[str]) -> dict[str, Bucket]:
        names = ("auto", "suggested", "unmatched", "netted")
        return {name: Bucket(values.count(name)) for name in names}

    def tied(decision: str) -> equation.Tied:
        wanted = [one for one in found if one.decision == decision]
        return equation.Tied(
            records=sum(len(one.lines) for one in wanted),
            items=sum(len(one.items) for one in wanted),
        )

    decided = [value.value for value in settled.lines.values()]
    carried = [value.value for value in settled.carried.values()]
    classes = [value.value for value in settled.items.values()]
    proof = equation.terms(
        equation.Lines(
            lines=lines + rejected,
            rejected=rejected,
            accepted=Bucket(lines),
            already_reconciled=Bucket(decided.count("already_reconciled")),
            **count(decided),
        ),
        equation.Carried(records=Bucket(len(carried)), **count(carried)),
        equation.Items(
            read=Bucket(items),
            **{name: Bucket(classes.count(name)) for name in equation.Items.__slots__[1:]},
        ),
        equation.Ties(tied("auto"), tied("suggested"), tied("netted"), {}, {}),
    )
    return not equation.failures(proof)


def _record_id(source: str, line: Line) -> str:
    return f"{source} {line.number} {line.ordinal}"


def _line(record: str) -> Line:
    _, number, ordinal = record.split()
    return Line(int(number), int(ordinal))


def _order(record: str) -> tuple[int, int]:
    line = _line(record)
    return line.number, line.ordinal


def _days_of(found: Iterable[date]) -> Days | None:
    listed = sorted(found)
    return Days(listed[0], listed[-1]) if listed else None


class PureHistory(HistoryMachine):
    @initialize(payments=draw_payments(always_agree=False))
    def begin(self, payments: list[Payment]) -> None:
        by_number = {payment.number: payment for payment in payments}
        self.system = MemorySystem(by_number)
        self.model = Model(by_number)


TestPureHistory = PureHistory.TestCase
TestPureHistory.settings = settings(max_examples=250, stateful_step_count=25, deadline=None)

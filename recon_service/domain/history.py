"""What a run may look at and what follows from its matches, given the runs before it (pure).

A population (a ledger account, or all transactions) is remembered across runs like this:

    coverage   the days for which statements have been reconciled, from the first to the last
    known      every ledger item of those days up to the highest sequence read (the watermark) is
               in an active match or remembered in a state of its own
    so a run   reads new items by sequence, days never covered by date, and the rest from memory

A new attempt of a date supersedes the last: the last one's matches are free again, and what it
had matched is looked at once more, so that nothing of it is lost and its states are overwritten.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from recon_service.domain.calendars import calendar_days_max
from recon_service.domain.config import SourceConfig


class Side(StrEnum):
    """Which side of the reconciliation a thing belongs to."""

    EXTERNAL = "external"
    LEDGER = "ledger"


class State(StrEnum):
    """How a record or ledger item without an active match stands; `live` ones are remembered."""

    OPEN = "open"
    SUGGESTED = "suggested"
    TIMING = "timing"
    OUTSIDE = "outside"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"


LIVE = frozenset({State.OPEN, State.SUGGESTED, State.TIMING, State.OUTSIDE})


class Disposition(StrEnum):
    """What became of an accepted line or of a record carried in from an earlier day."""

    AUTO = "auto"
    SUGGESTED = "suggested"
    UNMATCHED = "unmatched"
    NETTED = "netted"
    ALREADY_RECONCILED = "already_reconciled"


class ItemClass(StrEnum):
    """What became of a ledger item that a run read."""

    MATCHED = "matched"
    SUGGESTED = "suggested"
    TIMING = "timing"
    UNMATCHED = "unmatched"
    NETTED = "netted"
    ANOTHER_DAY = "another_day"


@dataclass(frozen=True, slots=True)
class Days:
    """A span of calendar days, both ends included."""

    first: date
    last: date

    def joined(self, other: "Days | None") -> "Days":
        """Return the shortest span that holds both."""
        if other is None:
            return self
        return Days(min(self.first, other.first), max(self.last, other.last))


@dataclass(frozen=True, slots=True)
class Margins:
    """How far a record's day may lie from its ledger item's: in [-before_days, +after_days]."""

    before_days: int
    after_days: int

    @classmethod
    def of(cls, config: SourceConfig) -> "Margins":
        """Return the source's window in calendar days: for business days, the most they span."""
        window = config.policy.window
        if window.unit == "calendar_days":
            return cls(before_days=window.before_days, after_days=window.after_days)
        own = (config.fixed_currency,) if config.fixed_currency else config.currencies
        names = (window.calendar,) if window.calendar else own or (None,)
        return cls(
            before_days=max(calendar_days_max(name, window.before_days) for name in names),
            after_days=max(calendar_days_max(name, window.after_days) for name in names),
        )

    def around(self, days: Days) -> Days:
        """Return the days of the ledger items that can belong to records of `days`."""
        return Days(
            days.first - timedelta(days=self.after_days),
            days.last + timedelta(days=self.before_days),
        )


@dataclass(frozen=True, slots=True)
class PastRun:
    """A current (finished, not superseded) run of the population."""

    run_id: str
    source: str
    business_date: date
    attempt: int
    covered: Days
    read_to_seq: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What to read from the ledger: items of `days`, and any recorded after `after_seq`.

    `after_seq` is None where no run came before: then the days alone are read.
    """

    days: Days
    after_seq: int | None


@dataclass(frozen=True, slots=True)
class Universe:
    """The records of a run: free lines, lines reconciled before, open ones carried in, and those
    that no current statement holds any more."""

    free: tuple[str, ...]
    already_reconciled: Mapping[str, str]
    """record id -> the run whose match holds it"""
    carried: tuple[str, ...]
    withdrawn: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """Matches of other runs that end as a whole: no statement in force holds one of their records.

    `items` are (population, ledger item): a source may have moved to another account since.
    """

    records: frozenset[str] = frozenset()
    items: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Members:
    """The records and ledger items that are in matches of one kind."""

    records: frozenset[str] = frozenset()
    items: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Matches:
    """Who is in a match of each kind; `netted` ones cancel out within their own side."""

    auto: Members = Members()
    suggested: Members = Members()
    netted: Members = Members()


@dataclass(frozen=True, slots=True)
class Item:
    """A ledger item as far as history cares."""

    day: date
    seq: int


@dataclass(frozen=True, slots=True)
class Memory:
    """The last states of the source's records and of the population's items, as far as known."""

    records: Mapping[str, State] = field(default_factory=dict)
    items: Mapping[str, State] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """A new state of a record or item, to be appended to the break events."""

    side: Side
    key: str
    state: State
    late: bool = False
    """recorded after the days it belongs to had been reconciled"""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a run's matches mean for every line, carried record and item that it looked at."""

    lines: Mapping[str, Disposition]
    carried: Mapping[str, Disposition]
    items: Mapping[str, ItemClass]
    changes: tuple[Change, ...]


def covered_days(*, business_date: date, line_days: Days | None, today: date) -> Days:
    """Return the days that a statement covers: its own lines' and the business date.

    A line dated after `today` covers nothing: no statement can vouch for days to come.
    """
    covered = Days(business_date, business_date)
    if line_days is None:
        return covered
    last = min(line_days.last, max(today, business_date))
    return covered.joined(Days(min(line_days.first, last), last))


def coverage(runs: Iterable[PastRun], own: Days) -> Days:
    """Return the days reconciled by the population's current runs and by this one."""
    whole = own
    for run in runs:
        whole = whole.joined(run.covered)
    return whole


def plan_reading(
    *, covered: Days, line_days: Days | None, others: Sequence[PastRun], margins: Margins
) -> Reading:
    """Return what this run reads, given the population's `others` (less the superseded run).

    The days reach from the lines' own to the coverage so far, so that no day between is skipped
    whatever order the dates are run in.
    """
    wanted = covered.joined(line_days)
    if others:
        before = coverage(others[1:], others[0].covered)
        wanted = Days(
            min(wanted.first, before.last + timedelta(days=1)),
            max(wanted.last, before.first - timedelta(days=1)),
        )
    after_seq = max((run.read_to_seq for run in others), default=None)
    return Reading(margins.around(wanted), after_seq)


def orphaned(
    *,
    superseded: Iterable[str],
    lines: Container[str],
    referred_to: Container[str],
    taken: Container[str],
) -> frozenset[str]:
    """Return records whose match by another run must end: no statement in force holds them now.

    `superseded`: the records of the superseded statement. `referred_to`: those of them in the
    statement of another run in force. `taken`: those in an active match of another run.
    """
    return frozenset(
        record
        for record in superseded
        if record in taken and record not in lines and record not in referred_to
    )


def select_universe(
    *,
    lines: Sequence[str],
    remembered: Iterable[str],
    referred_to: Container[str],
    taken: Mapping[str, str],
) -> Universe:
    """Return which records this run matches.

    `remembered`: records in a live state, and those that the superseded attempt matched.
    `referred_to`: those of them in the statement of a current run other than that attempt.
    `taken`: record -> run, for records in an active match of another run.
    """
    in_file = set(lines)
    others = [
        record
        for record in dict.fromkeys(remembered)
        if record not in in_file and record not in taken
    ]
    return Universe(
        free=tuple(record for record in lines if record not in taken),
        already_reconciled={record: taken[record] for record in lines if record in taken},
        carried=tuple(record for record in others if record in referred_to),
        withdrawn=tuple(record for record in others if record not in referred_to),
    )


def settle(
    *,
    universe: Universe,
    items: Mapping[str, Item],
    taken_items: Container[str],
    matches: Matches,
    memory: Memory,
    covered_before: Days | None,
    covered: Days,
    margins: Margins,
    watermark: int | None,
) -> Settlement:
    """Return what the run's matches mean.

    `covered_before` is the population's coverage without this run, `covered` with it.
    """
    record_states = dict.fromkeys(universe.withdrawn, State.WITHDRAWN)
    lines = dict.fromkeys(universe.already_reconciled, Disposition.ALREADY_RECONCILED)
    carried: dict[str, Disposition] = {}
    for records, into in ((universe.free, lines), (universe.carried, carried)):
        for record in records:
            into[record], record_states[record] = _record_outcome(record, matches)
    classes: dict[str, ItemClass] = {}
    item_states: dict[str, State] = {}
    for key, item in items.items():
        if key in taken_items:
            classes[key] = ItemClass.ANOTHER_DAY
        elif key in matches.auto.items:
            classes[key], item_states[key] = ItemClass.MATCHED, State.RESOLVED
        elif key in matches.suggested.items:
            classes[key], item_states[key] = ItemClass.SUGGESTED, State.SUGGESTED
        elif key in matches.netted.items:
            classes[key], item_states[key] = ItemClass.NETTED, State.RESOLVED
        else:
            item_states[key] = judge_day(item.day, covered, margins)
            classes[key] = _CLASS_OF_STATE[item_states[key]]
    late = _late(items, covered_before, watermark)
    changes = (
        *_changes(Side.EXTERNAL, memory.records, record_states, late=frozenset()),
        *_changes(Side.LEDGER, memory.items, item_states, late=late),
    )
    return Settlement(lines=lines, carried=carried, items=classes, changes=changes)


def judge_day(day: date, coverage: Days, margins: Margins) -> State:
    """Return how a ledger item of `day` without a record stands once `coverage` is reconciled."""
    if coverage.first <= day <= coverage.last:
        overdue = day + timedelta(days=margins.after_days) <= coverage.last
        return State.OPEN if overdue else State.TIMING
    near = margins.around(coverage)
    return State.OUTSIDE if near.first <= day <= near.last else State.WITHDRAWN


def first_dependent(superseded: PastRun, dependents: Iterable[PastRun]) -> PastRun | None:
    """Return the earliest run of a later business date among `dependents`, if there is one.

    `dependents` are the source's current runs that count a line as reconciled already by a match
    of `superseded`. Later dates must be run again first, so the order never locks itself out.
    """
    later = [run for run in dependents if run.business_date > superseded.business_date]
    return min(later, key=lambda run: run.business_date, default=None)


_CLASS_OF_STATE = {
    State.OPEN: ItemClass.UNMATCHED,
    State.TIMING: ItemClass.TIMING,
    State.OUTSIDE: ItemClass.ANOTHER_DAY,
    State.WITHDRAWN: ItemClass.ANOTHER_DAY,
}


def _record_outcome(record: str, matches: Matches) -> tuple[Disposition, State]:
    if record in matches.auto.records:
        return Disposition.AUTO, State.RESOLVED
    if record in matches.suggested.records:
        return Disposition.SUGGESTED, State.SUGGESTED
    if record in matches.netted.records:
        return Disposition.NETTED, State.RESOLVED
    return Disposition.UNMATCHED, State.OPEN


def _late(
    items: Mapping[str, Item], covered_before: Days | None, watermark: int | None
) -> frozenset[str]:
    if watermark is None or covered_before is None:
        return frozenset()
    return frozenset(
        key
        for key, item in items.items()
        if item.seq > watermark and covered_before.first <= item.day <= covered_before.last
    )


def _changes(
    side: Side,
    before: Mapping[str, State],
    after: Mapping[str, State],
    *,
    late: Container[str],
) -> Iterable[Change]:
    """Yield what differs; a thing that was never remembered and need not be gives nothing."""
    for key, state in after.items():
        known = before.get(key)
        if state is not known and (known is not None or state in LIVE):
            yield Change(side, key, state, late=key in late)

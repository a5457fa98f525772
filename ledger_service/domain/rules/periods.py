"""The rules of periods: open one, close it softly or hard, open a softly closed one again.

No two periods overlap, and a period is closed only once it has ended: so every instant belongs to
one period at most, and the present to none that is closed.
"""

from datetime import datetime

from ledger_service.domain.commands import ClosePeriod, OpenPeriod
from ledger_service.domain.entries import Entry, EntryKind, PeriodChanged
from ledger_service.domain.model import Period, PeriodStatus
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.state import State


def open_period(state: State, command: OpenPeriod, recorded_at: datetime) -> Entry | Refused:
    """Return the entry that opens a period, or why there is none."""
    starts_at, ends_at = command.starts_at, command.ends_at
    if starts_at >= ends_at:
        return Refused(
            Refusal.PERIOD_EMPTY,
            f"a period that starts at {starts_at.isoformat()} cannot end at {ends_at.isoformat()}",
            {"starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat()},
        )
    for other in sorted(state.periods.values(), key=lambda period: period.starts_at):
        if starts_at < other.ends_at and other.starts_at < ends_at:
            return Refused(
                Refusal.PERIOD_OVERLAPS,
                f"the period {other.name} lies from {other.starts_at.isoformat()} "
                f"to {other.ends_at.isoformat()}",
                _numbers(other),
            )
    period = Period(command.period_id, command.name, starts_at, ends_at)
    body = PeriodChanged(EntryKind.PERIOD_OPENED, period, command.metadata)
    return Entry(state.last_seq + 1, command.period_id, recorded_at, recorded_at, None, body)


def close_period(state: State, command: ClosePeriod, recorded_at: datetime) -> Entry | Refused:
    """Return the entry that closes a period or opens it again, or why it stays as it is.

    Hard is final. A softly closed period can be closed hard, or softly once more.
    """
    period = state.periods.get(command.period_id)
    if period is None:
        return Refused(
            Refusal.UNKNOWN_PERIOD,
            f"there is no period {command.period_id}",
            {"period_id": str(command.period_id)},
        )
    if period.status is PeriodStatus.HARD:
        return Refused(
            Refusal.PERIOD_CLOSED, f"the period {period.name} is closed for good", _numbers(period)
        )
    kind = EntryKind.PERIOD_CLOSED
    if command.status is PeriodStatus.OPEN:
        if period.status is PeriodStatus.OPEN:
            return Refused(
                Refusal.PERIOD_NOT_CLOSED, f"the period {period.name} is open", _numbers(period)
            )
        kind = EntryKind.PERIOD_REOPENED
    elif recorded_at < period.ends_at:
        return Refused(
            Refusal.PERIOD_NOT_OVER,
            f"the period {period.name} ends at {period.ends_at.isoformat()}",
            _numbers(period) | {"now": recorded_at.isoformat()},
        )
    after = period._replace(status=command.status, late=command.late)
    body = PeriodChanged(kind, after, command.metadata)
    return Entry(state.last_seq + 1, command.entry_id, recorded_at, recorded_at, None, body)


def _numbers(period: Period) -> dict[str, str]:
    return {
        "period_id": str(period.period_id),
        "period": period.name,
        "status": period.status.value,
        "starts_at": period.starts_at.isoformat(),
        "ends_at": period.ends_at.isoformat(),
    }

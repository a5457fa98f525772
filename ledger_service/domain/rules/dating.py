"""When a posting counts: not in the future, and not in a period that is closed.

The present always lies in an open period, for a period is closed only once it has ended.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from ledger_service.domain.entries import Dating
from ledger_service.domain.model import LatePolicy, Period, PeriodStatus
from ledger_service.domain.refusals import Refusal, Refused


class Dated(NamedTuple):
    """The effective time of a posting, and what a closed period had to say about it."""

    effective_at: datetime
    dating: Dating | None = None


def dated(
    periods: Mapping[UUID, Period],
    asked_at: datetime | None,
    recorded_at: datetime,
    *,
    is_adjusting: bool = False,
) -> Dated | Refused:
    """Return when a posting counts that was asked to count at `asked_at`, None for now.

    What a hard-closed period with the policy `next_open_day` does not take counts from the first
    midnight (UTC) on that no closed period holds, softly closed ones included: nobody asked for
    those. An adjusting entry belongs into a period that is closed softly, without a warning; out
    of one that is closed hard it is never moved, for elsewhere it would adjust something else.
    """
    if asked_at is None:
        return Dated(recorded_at)
    if asked_at > recorded_at:
        return _in_future(asked_at, recorded_at)
    period = _holding(periods.values(), asked_at)
    if period is None or period.status is PeriodStatus.OPEN:
        return Dated(asked_at)
    if period.status is PeriodStatus.SOFT:
        warning = None if is_adjusting else Dating(period.period_id, PeriodStatus.SOFT)
        return Dated(asked_at, warning)
    if period.late is LatePolicy.REFUSE or is_adjusting:
        return _closed(period, asked_at)
    moved_to = _next_open_day(periods.values(), asked_at)
    return Dated(min(moved_to, recorded_at), Dating(period.period_id, PeriodStatus.HARD, asked_at))


def _holding(periods: Iterable[Period], instant: datetime) -> Period | None:
    return next((period for period in periods if period.holds(instant)), None)


def _next_open_day(periods: Iterable[Period], instant: datetime) -> datetime:
    """Return the first midnight (UTC) at or after `instant` that no closed period holds."""
    closed = sorted(
        (period for period in periods if period.status is not PeriodStatus.OPEN),
        key=lambda period: period.starts_at,
    )
    for period in closed:
        if period.holds(instant):
            instant = _midnight_from(period.ends_at)
    return instant


def _midnight_from(instant: datetime) -> datetime:
    midnight = instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if midnight == instant else midnight + timedelta(days=1)


def _in_future(effective_at: datetime, recorded_at: datetime) -> Refused:
    return Refused(
        Refusal.EFFECTIVE_IN_FUTURE,
        f"{effective_at.isoformat()} lies after {recorded_at.isoformat()}",
        {"effective_at": effective_at.isoformat(), "now": recorded_at.isoformat()},
    )


def _closed(period: Period, asked_at: datetime) -> Refused:
    return Refused(
        Refusal.PERIOD_CLOSED,
        f"{asked_at.isoformat()} lies in the period {period.name}, which is closed",
        {
            "effective_at": asked_at.isoformat(),
            "period_id": str(period.period_id),
            "period": period.name,
            "starts_at": period.starts_at.isoformat(),
            "ends_at": period.ends_at.isoformat(),
        },
    )

"""Periods open, close and open again by rule, and say when a posting counts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from ledger_service.domain.commands import ClosePeriod, OpenPeriod
from ledger_service.domain.decide import decide
from ledger_service.domain.entries import Dating, Entry, EntryKind
from ledger_service.domain.evolve import advance
from ledger_service.domain.model import LatePolicy, Period, PeriodStatus
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.rules.dating import Dated, dated
from ledger_service.domain.state import State
from tests.unit.ledger.builders import NOON, a_transfer, books

MAY, JUNE, JULY, AUGUST = (datetime(2025, month, 1, tzinfo=UTC) for month in (5, 6, 7, 8))
IN_MAY, IN_JUNE = (begin + timedelta(days=14, hours=3) for begin in (MAY, JUNE))
MAYS, JUNES = UUID(int=205), UUID(int=206)


def a_month(
    period_id: UUID,
    starts_at: datetime,
    ends_at: datetime,
    status: PeriodStatus = PeriodStatus.OPEN,
    late: LatePolicy = LatePolicy.REFUSE,
) -> Period:
    return Period(period_id, f"{starts_at:%Y-%m}", starts_at, ends_at, status, late)


def books_with(*periods: Period) -> State:
    return replace(books(), periods={period.period_id: period for period in periods})


def opening(starts_at: datetime, ends_at: datetime) -> OpenPeriod:
    return OpenPeriod(UUID(int=300), "new", starts_at, ends_at, {})


def closing(
    status: PeriodStatus, late: LatePolicy = LatePolicy.REFUSE, period_id: UUID = JUNES
) -> ClosePeriod:
    return ClosePeriod(UUID(int=301), period_id, status, late, {})


def test_a_period_begins_where_another_ends() -> None:
    state = books_with(a_month(JUNES, JUNE, JULY))
    entry = decide(state, opening(JULY, AUGUST), NOON)
    assert isinstance(entry, Entry)
    assert (entry.kind, entry.seq) == (EntryKind.PERIOD_OPENED, state.last_seq + 1)
    advance(state, entry)
    assert state.periods[UUID(int=300)].status is PeriodStatus.OPEN


@pytest.mark.parametrize(
    ("starts_at", "ends_at"),
    [(MAY, JUNE + timedelta(microseconds=1)), (IN_JUNE, AUGUST), (MAY, AUGUST), (JUNE, JULY)],
)
def test_periods_do_not_overlap(starts_at: datetime, ends_at: datetime) -> None:
    refused = decide(books_with(a_month(JUNES, JUNE, JULY)), opening(starts_at, ends_at), NOON)
    assert isinstance(refused, Refused)
    assert refused.refusal is Refusal.PERIOD_OVERLAPS
    assert refused.numbers["period_id"] == str(JUNES)
    assert refused.numbers["ends_at"] == JULY.isoformat()


def test_a_period_ends_after_its_beginning() -> None:
    refused = decide(books(), opening(JULY, JULY), NOON)
    assert isinstance(refused, Refused)
    assert refused.refusal is Refusal.PERIOD_EMPTY


@pytest.mark.parametrize("status", [PeriodStatus.SOFT, PeriodStatus.HARD])
def test_a_period_is_closed_only_once_it_has_ended(status: PeriodStatus) -> None:
    state = books_with(a_month(JUNES, JUNE, JULY))
    early = decide(state, closing(status), JULY - timedelta(microseconds=1))
    assert isinstance(early, Refused)
    assert early.refusal is Refusal.PERIOD_NOT_OVER
    assert early.numbers["ends_at"] == JULY.isoformat()
    entry = decide(state, closing(status, LatePolicy.NEXT_OPEN_DAY), JULY)
    assert isinstance(entry, Entry)
    advance(state, entry)
    assert state.periods[JUNES][4:] == (status, LatePolicy.NEXT_OPEN_DAY)


def test_only_a_soft_close_can_be_taken_back() -> None:
    soft = books_with(a_month(JUNES, JUNE, JULY, PeriodStatus.SOFT))
    entry = decide(soft, closing(PeriodStatus.OPEN), NOON)
    assert isinstance(entry, Entry)
    assert entry.kind is EntryKind.PERIOD_REOPENED
    hard = books_with(a_month(JUNES, JUNE, JULY, PeriodStatus.HARD))
    for status in PeriodStatus:
        refused = decide(hard, closing(status), NOON)
        assert isinstance(refused, Refused)
        assert refused.refusal is Refusal.PERIOD_CLOSED
    never_closed = decide(books_with(a_month(JUNES, JUNE, JULY)), closing(PeriodStatus.OPEN), NOON)
    assert isinstance(never_closed, Refused)
    assert never_closed.refusal is Refusal.PERIOD_NOT_CLOSED


def test_an_unknown_period_is_named() -> None:
    refused = decide(books(), closing(PeriodStatus.SOFT), NOON)
    assert isinstance(refused, Refused)
    assert refused.refusal is Refusal.UNKNOWN_PERIOD
    assert refused.numbers == {"period_id": str(JUNES)}


def test_a_softly_closed_period_warns_unless_the_entry_adjusts_it() -> None:
    periods = {JUNES: a_month(JUNES, JUNE, JULY, PeriodStatus.SOFT)}
    assert dated(periods, IN_JUNE, NOON) == Dated(IN_JUNE, Dating(JUNES, PeriodStatus.SOFT))
    assert dated(periods, IN_JUNE, NOON, is_adjusting=True) == Dated(IN_JUNE)
    assert dated(periods, JULY, NOON) == Dated(JULY)


def test_a_hard_closed_period_refuses_with_its_bounds() -> None:
    periods = {JUNES: a_month(JUNES, JUNE, JULY, PeriodStatus.HARD)}
    refused = dated(periods, IN_JUNE, NOON)
    assert isinstance(refused, Refused)
    assert refused.refusal is Refusal.PERIOD_CLOSED
    assert refused.numbers["period_id"] == str(JUNES)
    assert dated(periods, None, NOON) == Dated(NOON)


def test_a_late_posting_moves_to_the_next_open_day() -> None:
    periods = {
        MAYS: a_month(MAYS, MAY, JUNE, PeriodStatus.HARD, LatePolicy.NEXT_OPEN_DAY),
    }
    moved = dated(periods, IN_MAY, NOON)
    assert moved == Dated(JUNE, Dating(MAYS, PeriodStatus.HARD, IN_MAY))


@pytest.mark.parametrize("status", [PeriodStatus.SOFT, PeriodStatus.HARD])
def test_the_next_open_day_lies_in_no_closed_period(status: PeriodStatus) -> None:
    periods = {
        JUNES: a_month(JUNES, JUNE, JULY + timedelta(hours=6), status),
        MAYS: a_month(MAYS, MAY, JUNE, PeriodStatus.HARD, LatePolicy.NEXT_OPEN_DAY),
    }
    moved = dated(periods, IN_MAY, NOON)
    assert isinstance(moved, Dated)
    assert moved.effective_at == JULY + timedelta(days=1)


def test_no_posting_is_moved_into_the_future() -> None:
    just_over = NOON - timedelta(hours=1)
    periods = {
        MAYS: a_month(MAYS, MAY, just_over, PeriodStatus.HARD, LatePolicy.NEXT_OPEN_DAY),
    }
    assert dated(periods, IN_MAY, NOON) == Dated(NOON, Dating(MAYS, PeriodStatus.HARD, IN_MAY))


def test_an_adjusting_entry_is_never_moved() -> None:
    periods = {MAYS: a_month(MAYS, MAY, JUNE, PeriodStatus.HARD, LatePolicy.NEXT_OPEN_DAY)}
    refused = dated(periods, IN_MAY, NOON, is_adjusting=True)
    assert isinstance(refused, Refused)
    assert refused.refusal is Refusal.PERIOD_CLOSED


def test_a_transfer_keeps_what_a_closed_period_made_of_its_time() -> None:
    state = books_with(a_month(MAYS, MAY, JUNE, PeriodStatus.HARD, LatePolicy.NEXT_OPEN_DAY))
    entry = decide(state, a_transfer(effective_at=IN_MAY), NOON)
    assert isinstance(entry, Entry)
    assert entry.effective_at == JUNE
    assert entry.body.dating == Dating(MAYS, PeriodStatus.HARD, IN_MAY)  # type: ignore[union-attr]

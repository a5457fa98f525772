"""Periods, and the postings that were recorded after the end of the one in which they count."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.entries import Entry
from ledger_service.domain.model import LatePolicy, Period, PeriodStatus
from ledger_service.repositories.pages import seq_before_effective
from ledger_service.repositories.rows import ENTRY_COLUMNS, is_transaction
from ledger_service.state_reader import entry_of
from ledger_service.tables import journal, periods
from shared.rows import fetch_page

_PERIOD = (
    periods.c.period_id,
    periods.c.name,
    periods.c.starts_at,
    periods.c.ends_at,
    periods.c.status,
    periods.c.late,
)


async def find_period(database: AsyncEngine, ledger_id: int, period_id: UUID) -> Period | None:
    """Return one period, None where there is none."""
    statement = _periods(ledger_id).where(periods.c.period_id == period_id)
    async with database.connect() as connection:
        row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _period(row)


async def periods_page(
    database: AsyncEngine, ledger_id: int, *, after: tuple[datetime, UUID] | None, limit: int
) -> tuple[list[Period], bool]:
    """Return periods in the order of their beginnings, and whether more follow."""
    key = (periods.c.starts_at, periods.c.period_id)
    statement = _periods(ledger_id).order_by(*key)
    if after is not None:
        statement = statement.where(tuple_(*key) > tuple_(*after))
    rows, more = await fetch_page(database, statement, limit)
    return [_period(row) for row in rows], more


async def late_page(
    database: AsyncEngine, ledger_id: int, period: Period, *, after_seq: int, limit: int
) -> tuple[Sequence[Entry], int | None]:
    """Return what counts in the period but was recorded after its end, in the order of seq.

    And the last one's seq if more follow. Only backdated entries can be late: they have an index.
    """
    first = await seq_before_effective(database, ledger_id, period.ends_at)
    statement = (
        select(*ENTRY_COLUMNS)
        .where(
            journal.c.ledger_id == ledger_id,
            journal.c.seq > max(first, after_seq),
            journal.c.effective_at < journal.c.recorded_at,
            journal.c.effective_at >= period.starts_at,
            journal.c.effective_at < period.ends_at,
            is_transaction(journal.c.kind),
        )
        .order_by(journal.c.seq)
    )
    rows, more = await fetch_page(database, statement, limit)
    return [entry_of(row._mapping) for row in rows], rows[-1].seq if more else None


def _periods(ledger_id: int) -> Select[Any]:
    return select(*_PERIOD).where(periods.c.ledger_id == ledger_id)


def _period(row: Any) -> Period:
    status, late = PeriodStatus(row.status), LatePolicy(row.late)
    return Period(*row)._replace(status=status, late=late)

"""Ids with which the examples of the OpenAPI document work in this very ledger."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.entries import EntryKind
from ledger_service.domain.model import AccountType, HoldStatus, PeriodStatus
from ledger_service.repositories.rows import is_transaction
from ledger_service.tables import accounts, holds, journal, periods

EXAMPLE_CURRENCY, OTHER_CURRENCY = "USD", "EUR"
ROWS_LOOKED_AT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class ExampleIds:
    """Early accounts of each type, in dollars and in euros; an early transfer; the last
    open hold; the last period that can be closed; None for none.

    `exchange_account` is the second internal account in dollars.
    """

    internal_account: UUID | None
    user_account: UUID | None
    exchange_account: UUID | None
    internal_euros: UUID | None
    user_euros: UUID | None
    transaction: UUID | None
    open_hold: UUID | None
    closable_period: UUID | None


async def example_ids(database: AsyncEngine, ledger_id: int) -> ExampleIds:
    """Return ids that exist, in one statement."""
    internal, user = AccountType.INTERNAL, AccountType.USER
    statement = select(
        _account(ledger_id, internal).label("internal_account"),
        _account(ledger_id, user).label("user_account"),
        _account(ledger_id, internal, place=1).label("exchange_account"),
        _account(ledger_id, internal, OTHER_CURRENCY).label("internal_euros"),
        _account(ledger_id, user, OTHER_CURRENCY).label("user_euros"),
        _transfer(ledger_id).label("transaction"),
        _open_hold(ledger_id).label("open_hold"),
        _closable_period(ledger_id).label("closable_period"),
    )
    async with database.connect() as connection:
        return ExampleIds(**(await connection.execute(statement)).mappings().one())


def _account(
    ledger_id: int, kind: AccountType, currency: str = EXAMPLE_CURRENCY, *, place: int = 0
) -> ScalarSelect[UUID]:
    """Return an account of this type and currency, the first one where `place` is 0."""
    first = (
        select(accounts)
        .where(accounts.c.ledger_id == ledger_id)
        .order_by(accounts.c.opened_seq)
        .limit(ROWS_LOOKED_AT_MAX)
        .subquery()
    )
    return (
        select(first.c.account_id)
        .where(first.c.type == kind.value, first.c.currency == currency)
        .order_by(first.c.opened_seq)
        .offset(place)
        .limit(1)
        .scalar_subquery()
    )


def _transfer(ledger_id: int) -> ScalarSelect[UUID]:
    """Return an early transfer: of two lines, so that a part of it can be reversed."""
    first = (
        select(journal.c.entry_id, journal.c.kind)
        .where(journal.c.ledger_id == ledger_id, is_transaction(journal.c.kind))
        .order_by(journal.c.effective_at, journal.c.seq)
        .limit(ROWS_LOOKED_AT_MAX)
        .subquery()
    )
    transfers = select(first.c.entry_id).where(first.c.kind == EntryKind.TRANSFER.value)
    return transfers.limit(1).scalar_subquery()


def _open_hold(ledger_id: int) -> ScalarSelect[UUID]:
    return (
        select(holds.c.hold_id)
        .where(holds.c.ledger_id == ledger_id, holds.c.status == HoldStatus.OPEN.value)
        .order_by(holds.c.hold_id.desc())
        .limit(1)
        .scalar_subquery()
    )


def _closable_period(ledger_id: int) -> ScalarSelect[UUID]:
    return (
        select(periods.c.period_id)
        .where(
            periods.c.ledger_id == ledger_id,
            periods.c.status != PeriodStatus.HARD.value,
            periods.c.ends_at <= func.now(),
        )
        .order_by(periods.c.starts_at.desc())
        .limit(1)
        .scalar_subquery()
    )

"""Ids with which the examples of the OpenAPI document work in this very ledger."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ScalarSelect, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.model import AccountType
from ledger_service.tables import accounts, events

EXAMPLE_CURRENCY = "USD"
ACCOUNTS_LOOKED_AT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class ExampleIds:
    """An early dollar account of each type and the first transaction; None where there is none."""

    internal_account: UUID | None
    user_account: UUID | None
    transaction: UUID | None


async def example_ids(database: AsyncEngine, ledger_id: int) -> ExampleIds:
    """Return ids that exist, in one statement."""
    transaction = (
        select(events.c.transaction_id)
        .where(events.c.ledger_id == ledger_id)
        .order_by(events.c.seq, events.c.line)
        .limit(1)
        .scalar_subquery()
    )
    statement = select(
        _first_account(ledger_id, AccountType.INTERNAL).label("internal_account"),
        _first_account(ledger_id, AccountType.USER).label("user_account"),
        transaction.label("transaction"),
    )
    async with database.connect() as connection:
        return ExampleIds(**(await connection.execute(statement)).mappings().one())


def _first_account(ledger_id: int, kind: AccountType) -> ScalarSelect[UUID]:
    first = (
        select(accounts)
        .where(accounts.c.ledger_id == ledger_id)
        .order_by(accounts.c.opened_seq)
        .limit(ACCOUNTS_LOOKED_AT_MAX)
        .subquery()
    )
    return (
        select(first.c.account_id)
        .where(first.c.type == kind.value, first.c.currency == EXAMPLE_CURRENCY)
        .order_by(first.c.opened_seq)
        .limit(1)
        .scalar_subquery()
    )

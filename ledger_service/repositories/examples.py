"""Ids with which the examples of the OpenAPI document work in this very ledger."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ScalarSelect, literal_column, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.model import AccountType
from ledger_service.tables import accounts, journal

EXAMPLE_CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class ExampleIds:
    """The first dollar account of each type and the first transaction; None where there is none."""

    internal_account: UUID | None
    user_account: UUID | None
    transaction: UUID | None


async def example_ids(database: AsyncEngine, ledger_id: int) -> ExampleIds:
    """Return ids that exist, in one statement."""
    transaction = (
        select(journal.c.entry_id)
        .where(
            journal.c.ledger_id == ledger_id, journal.c.kind != literal_column("'account_opened'")
        )
        .order_by(journal.c.seq)
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
    return (
        select(accounts.c.account_id)
        .where(
            accounts.c.ledger_id == ledger_id,
            accounts.c.type == kind.value,
            accounts.c.currency == EXAMPLE_CURRENCY,
        )
        .order_by(accounts.c.opened_seq)
        .limit(1)
        .scalar_subquery()
    )

"""Accounts, and the head of the ledger."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.tables import accounts, ledgers

_ACCOUNT = (
    accounts.c.account_id,
    accounts.c.opened_seq,
    accounts.c.currency,
    accounts.c.scale,
    accounts.c.type,
    accounts.c.normal_side,
    accounts.c.floor_minor,
    accounts.c.ceiling_minor,
    accounts.c.limits_on,
    accounts.c.frozen,
    accounts.c.status,
    accounts.c.code,
    accounts.c.metadata,
    accounts.c.version,
    accounts.c.opened_at,
)


@dataclass(frozen=True, slots=True)
class HeadNow:
    """The last entry of the ledger; `last_recorded_at` is None where there is none yet."""

    name: str
    last_seq: int
    last_recorded_at: datetime | None


async def find_account(
    database: AsyncEngine, ledger_id: int, account_id: UUID
) -> RowMapping | None:
    """Return the row of one account, None where there is none."""
    statement = select(*_ACCOUNT).where(
        accounts.c.ledger_id == ledger_id, accounts.c.account_id == account_id
    )
    async with database.connect() as connection:
        found: RowMapping | None = (await connection.execute(statement)).mappings().one_or_none()
    return found


async def head_now(database: AsyncEngine, ledger_id: int) -> HeadNow:
    """Return where the ledger's history ends."""
    statement = select(ledgers.c.name, ledgers.c.last_seq, ledgers.c.last_recorded_at).where(
        ledgers.c.ledger_id == ledger_id
    )
    async with database.connect() as connection:
        return HeadNow(**(await connection.execute(statement)).mappings().one())


async def all_heads(database: AsyncEngine) -> list[HeadNow]:
    """Return where each ledger's history ends, in the order in which ledgers were added."""
    statement = select(ledgers.c.name, ledgers.c.last_seq, ledgers.c.last_recorded_at)
    async with database.connect() as connection:
        rows = await connection.execute(statement.order_by(ledgers.c.ledger_id))
        return [HeadNow(**row) for row in rows.mappings()]

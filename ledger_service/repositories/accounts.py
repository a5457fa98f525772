"""Accounts, their balances, and the head of the ledger."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, Select, and_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.tables import accounts, balances, ledgers
from shared.rows import fetch_page

_ACCOUNT = (
    accounts.c.account_id,
    accounts.c.opened_seq,
    accounts.c.currency,
    accounts.c.scale,
    accounts.c.type,
    accounts.c.floor_minor,
    accounts.c.status,
    accounts.c.metadata,
    accounts.c.version,
    accounts.c.opened_at,
)


@dataclass(frozen=True, slots=True)
class BalanceNow:
    """An account's totals in minor units, and the last entry of the ledger that they know of."""

    currency: str
    scale: int
    debits_minor: int
    credits_minor: int
    position: int
    seq: int


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
    statement = _accounts(ledger_id).where(accounts.c.account_id == account_id)
    async with database.connect() as connection:
        found: RowMapping | None = (await connection.execute(statement)).mappings().one_or_none()
    return found


async def accounts_page(
    database: AsyncEngine, ledger_id: int, *, after_seq: int | None, limit: int
) -> tuple[list[RowMapping], int | None]:
    """Return accounts in the order of opening, and the last one's entry if more follow."""
    statement = _accounts(ledger_id).order_by(accounts.c.opened_seq)
    if after_seq is not None:
        statement = statement.where(accounts.c.opened_seq > after_seq)
    rows, more = await fetch_page(database, statement, limit)
    return [row._mapping for row in rows], rows[-1].opened_seq if more else None


async def balance_now(database: AsyncEngine, ledger_id: int, account_id: UUID) -> BalanceNow | None:
    """Return an account's balance and the seq as of which it stands, in one statement."""
    statement = (
        select(
            accounts.c.currency,
            accounts.c.scale,
            balances.c.debits_minor,
            balances.c.credits_minor,
            balances.c.position,
            ledgers.c.last_seq.label("seq"),
        )
        .select_from(
            balances.join(
                accounts,
                and_(
                    accounts.c.ledger_id == balances.c.ledger_id,
                    accounts.c.account_id == balances.c.account_id,
                ),
            ).join(ledgers, ledgers.c.ledger_id == balances.c.ledger_id)
        )
        .where(balances.c.ledger_id == ledger_id, balances.c.account_id == account_id)
    )
    async with database.connect() as connection:
        row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else BalanceNow(**row)


async def head_now(database: AsyncEngine, ledger_id: int) -> HeadNow:
    """Return where the ledger's history ends."""
    statement = select(ledgers.c.name, ledgers.c.last_seq, ledgers.c.last_recorded_at).where(
        ledgers.c.ledger_id == ledger_id
    )
    async with database.connect() as connection:
        return HeadNow(**(await connection.execute(statement)).mappings().one())


def _accounts(ledger_id: int) -> Select[Any]:
    return select(*_ACCOUNT).where(accounts.c.ledger_id == ledger_id)

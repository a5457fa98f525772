"""Accounts, their balances, and the head of the ledger."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.tables import accounts, ledgers
from shared.database import Probes

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

# In one statement, and so of one moment: an account's totals and the head.
_BALANCE = """
SELECT a.currency, a.scale, b.debits_minor, b.credits_minor, b.position, l.last_seq
FROM ledger.balances b
JOIN ledger.accounts a ON a.ledger_id = b.ledger_id AND a.account_id = b.account_id
JOIN ledger.ledgers l ON l.ledger_id = b.ledger_id
WHERE b.ledger_id = $1 AND b.account_id = $2
"""


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
    statement = select(*_ACCOUNT).where(
        accounts.c.ledger_id == ledger_id, accounts.c.account_id == account_id
    )
    async with database.connect() as connection:
        found: RowMapping | None = (await connection.execute(statement)).mappings().one_or_none()
    return found


async def balance_now(probes: Probes, ledger_id: int, account_id: UUID) -> BalanceNow | None:
    """Return an account's balance and the seq as of which it stands: three primary keys."""
    row = await probes.row(_BALANCE, ledger_id, account_id)
    return None if row is None else BalanceNow(*row)


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

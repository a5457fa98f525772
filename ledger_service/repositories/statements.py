"""Statements of account, read at one cut through the history."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.model import Direction
from ledger_service.domain.statements import AccountShown, Movement
from ledger_service.repositories.balances import cut_at

_BEGINNING = datetime.min.replace(tzinfo=UTC)

_ACCOUNT = text("""
SELECT account_id, CASE jsonb_typeof(metadata -> 'name') WHEN 'string' THEN metadata ->> 'name' END,
       code, type, currency, scale, normal_side
FROM ledger.accounts
WHERE ledger_id = :ledger_id AND account_id = :account_id AND opened_seq <= :seq
""")

_EVENTS = """
SELECT e.seq, e.line, e.direction, e.amount_minor
FROM ledger.events e JOIN ledger.journal j ON j.ledger_id = e.ledger_id AND j.seq = e.seq
WHERE e.ledger_id = :ledger_id AND e.account_id = :account_id AND j.effective_at >= :from_at
"""

# What was recorded within the time, but for what counts before it; and what was recorded later and
# counts in it all the same. The rest is looked up for the movements alone.
_MOVEMENTS = text(f"""
WITH found AS MATERIALIZED (
    ({_EVENTS} AND e.seq > :first AND e.seq <= :settled_seq)
    UNION ALL
    ({_EVENTS} AND e.seq > :settled_seq AND e.seq <= :seq
     AND j.effective_at < j.recorded_at AND j.effective_at < :before)
    LIMIT :rows
)
SELECT found.seq, found.line, j.entry_id, j.kind, j.effective_at, j.recorded_at, found.direction,
       found.amount_minor, j.reference,
       CASE json_typeof(j.payload #> '{{metadata,description}}') WHEN 'string'
           THEN j.payload #>> '{{metadata,description}}' END,
       coalesce(
           CASE json_typeof(j.payload #> '{{metadata,counterparty}}') WHEN 'string'
               THEN j.payload #>> '{{metadata,counterparty}}' END,
           CASE jsonb_typeof(a.metadata -> 'name') WHEN 'string' THEN a.metadata ->> 'name' END,
           a.code),
       a.account_id,
       coalesce(j.payload ->> 'is_adjusting' = 'true', false)
FROM found
JOIN ledger.journal j ON j.ledger_id = :ledger_id AND j.seq = found.seq
LEFT JOIN LATERAL (
    SELECT min(o.account_id::text)::uuid AS account_id FROM ledger.events o
    WHERE o.ledger_id = :ledger_id AND o.seq = found.seq AND o.account_id <> :account_id
    HAVING count(DISTINCT o.account_id) = 1
) other ON true
LEFT JOIN ledger.accounts a ON a.ledger_id = :ledger_id AND a.account_id = other.account_id
ORDER BY j.effective_at, found.seq, found.line
""")  # noqa: S608


async def account_shown(
    database: AsyncEngine, ledger_id: int, account_id: UUID, *, seq: int
) -> AccountShown | None:
    """Return what reports say of an account; None if it was not open at `seq`."""
    parameters = {"ledger_id": ledger_id, "account_id": account_id, "seq": seq}
    async with database.connect() as connection:
        row = (await connection.execute(_ACCOUNT, parameters)).one_or_none()
    if row is None:
        return None
    values: list[Any] = list(row)
    values[6] = Direction(values[6])
    return AccountShown(*values)


async def movements(
    database: AsyncEngine,
    ledger_id: int,
    account_id: UUID,
    *,
    seq: int,
    from_at: datetime | None,
    to_at: datetime | None,
    limit: int,
) -> list[Movement]:
    """Return the movements that count from `from_at` to `to_at` (exclusive), in that order.

    Of more than `limit` only some `limit` + 1 come, in no useful choice.
    """
    begin = await cut_at(database, ledger_id, seq=seq, before=from_at)
    end = await cut_at(database, ledger_id, seq=seq, before=to_at)
    parameters = {
        "ledger_id": ledger_id,
        "account_id": account_id,
        "first": 0 if from_at is None else begin.settled_seq,
        "from_at": from_at or _BEGINNING,
        "rows": limit + 1,
        **end.parameters,
    }
    async with database.connect() as connection:
        return [_movement(row) for row in await connection.execute(_MOVEMENTS, parameters)]


def _movement(row: Row[Any]) -> Movement:
    values: list[Any] = list(row)
    values[6] = Direction(values[6])
    return Movement(*values)

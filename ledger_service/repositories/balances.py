"""Balances: of now with what holds keep, and as they were at any cut through the history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.model import Direction
from ledger_service.repositories.pages import seq_before_effective
from ledger_service.tables import journal
from shared.database import Probes

# What open holds keep though their time is over by now: nothing any more.
_DUE = """
CASE WHEN b.held_{side}_minor = 0 THEN 0 ELSE (
    SELECT coalesce(sum(greatest(0, amount_minor - captured_minor - released_minor)), 0)::bigint
    FROM (
        SELECT * FROM ledger.holds
        WHERE ledger_id = $1 AND status = 'open' AND expires_at <= $3 OFFSET 0
    ) due
    WHERE {end}_account_id = $2
) END
"""

# In one statement, and so of one moment: an account's totals and the head. Three primary keys;
# holds are looked at only where the account has any.
_NOW = f"""
SELECT a.currency, a.scale, a.normal_side, b.debits_minor, b.credits_minor, b.position,
       b.held_debits_minor - {_DUE.format(side="debits", end="source")},
       b.held_credits_minor - {_DUE.format(side="credits", end="destination")},
       l.last_seq
FROM ledger.balances b
JOIN ledger.accounts a ON a.ledger_id = b.ledger_id AND a.account_id = b.account_id
JOIN ledger.ledgers l ON l.ledger_id = b.ledger_id
WHERE b.ledger_id = $1 AND b.account_id = $2
"""  # noqa: S608

POSTED_AT_CUT = """
coalesce((
    SELECT e.balance_after_minor FROM ledger.events e
    WHERE e.ledger_id = a.ledger_id AND e.account_id = a.account_id AND e.seq <= :settled_seq
    ORDER BY e.seq DESC, e.line DESC LIMIT 1
), 0)
"""
"""Credits less debits of account `a` by all up to the cut's `settled_seq`: one index probe."""

LATE_AT_CUT = """
SELECT e.account_id,
       sum(CASE e.direction WHEN 'credit' THEN e.amount_minor ELSE -e.amount_minor END)::bigint
           AS net_minor
FROM ledger.journal j
JOIN ledger.events e ON e.ledger_id = j.ledger_id AND e.seq = j.seq
WHERE j.ledger_id = :ledger_id AND j.seq > :settled_seq AND j.seq <= :seq
  AND j.effective_at < j.recorded_at AND j.effective_at < :before
"""
"""What was recorded behind the cut's `settled_seq` and counts before it all the same."""

# Balances of the accounts that were there at the cut's seq, in the order of their opening.
_AT_CUT = f"""
WITH chosen AS MATERIALIZED (
    SELECT ledger_id, account_id, opened_seq, code, type, currency, scale, normal_side
    FROM ledger.accounts
    WHERE ledger_id = :ledger_id AND opened_seq <= :seq AND opened_seq > :after
      AND (CAST(:account_ids AS uuid[]) IS NULL OR account_id = ANY (:account_ids))
    ORDER BY opened_seq LIMIT :rows
), late AS (
    {LATE_AT_CUT} AND e.account_id IN (SELECT account_id FROM chosen) GROUP BY e.account_id
)
SELECT a.account_id, a.opened_seq, a.code, a.type, a.currency, a.scale, a.normal_side,
       {POSTED_AT_CUT} + coalesce(late.net_minor, 0) AS balance_minor
FROM chosen a LEFT JOIN late USING (account_id) ORDER BY a.opened_seq
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class BalanceNow:
    """An account's totals in minor units, and the last entry of the ledger that they know of.

    `held_*_minor` are what open holds keep, without those whose time is over.
    """

    currency: str
    scale: int
    normal_side: str
    debits_minor: int
    credits_minor: int
    position: int
    held_debits_minor: int
    held_credits_minor: int
    seq: int

    @property
    def sign(self) -> int:
        return sign_of(self.normal_side)


@dataclass(frozen=True, slots=True)
class BalanceThen:
    """What was on an account at a cut: credits less debits."""

    account_id: UUID
    opened_seq: int
    code: str | None
    type: str
    currency: str
    scale: int
    normal_side: str
    balance_minor: int

    @property
    def sign(self) -> int:
        return sign_of(self.normal_side)


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of the history: what was recorded up to `seq`, and counts before `before`.

    All entries up to `settled_seq` belong to it, and of those behind only backdated ones: none
    counts later than it was recorded, and `recorded_at` never falls from one entry to the next.
    Nothing that is recorded later changes what belongs to a cut.
    """

    seq: int
    settled_seq: int
    before: datetime

    @property
    def parameters(self) -> dict[str, Any]:
        return {"seq": self.seq, "settled_seq": self.settled_seq, "before": self.before}


def sign_of(normal_side: str) -> int:
    """Return by what to multiply credits less debits to see them on the normal side."""
    return -1 if normal_side == Direction.DEBIT else 1


async def balance_now(
    probes: Probes, ledger_id: int, account_id: UUID, now: datetime
) -> BalanceNow | None:
    """Return an account's balance and the seq as of which it stands, None for no account."""
    row = await probes.row(_NOW, ledger_id, account_id, now)
    return None if row is None else BalanceNow(*row)


async def cut_at(
    database: AsyncEngine, ledger_id: int, *, seq: int, before: datetime | None
) -> Cut:
    """Return the cut of what was recorded up to `seq` and counts before `before`, None for all."""
    if before is None:
        return Cut(seq, seq, datetime.max.replace(tzinfo=UTC))
    settled = await seq_before_effective(database, ledger_id, before)
    return Cut(seq, min(seq, settled), before)


async def recorded_at(database: AsyncEngine, ledger_id: int, seq: int) -> datetime | None:
    """Return when an entry was recorded, None where there is none."""
    statement = select(journal.c.recorded_at).where(
        journal.c.ledger_id == ledger_id, journal.c.seq == seq
    )
    async with database.connect() as connection:
        found: datetime | None = (await connection.execute(statement)).scalar_one_or_none()
    return found


async def balances_at(
    database: AsyncEngine,
    ledger_id: int,
    cut: Cut,
    *,
    account_ids: Sequence[UUID] | None = None,
    after_opened_seq: int = 0,
    limit: int,
) -> tuple[list[BalanceThen], bool]:
    """Return balances at a cut in the order of opening, and whether more accounts follow.

    An account that was opened after the cut's `seq` was not there.
    """
    parameters = {
        "ledger_id": ledger_id,
        "account_ids": None if account_ids is None else list(account_ids),
        "after": after_opened_seq,
        "rows": limit + 1,
        **cut.parameters,
    }
    async with database.connect() as connection:
        rows = await connection.execute(text(_AT_CUT), parameters)
        found = [BalanceThen(*row) for row in rows]
    return found[:limit], len(found) > limit

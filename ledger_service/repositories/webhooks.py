"""Webhooks as people set them up: kept, listed, changed, removed; and what came of each attempt."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, insert, literal, select, update
from sqlalchemy import delete as delete_rows
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.entries import EntryKind
from ledger_service.tables import ledgers, webhook_deliveries, webhooks
from shared.rows import Columns, fetch_page, json_rows
from shared.streaming import instant_text

WEBHOOKS_MAX = 100
"""So many webhooks has one ledger at most: each costs a look at every entry."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told of which entries; the next is `next_seq`, the last entry there is `last_seq`.

    `attempts` counts those for the next entry that have failed; `kinds` None means all kinds.
    """

    ledger_id: int
    ledger_name: str
    webhook_id: UUID
    url: str
    secret: str = field(repr=False)
    kinds: tuple[EntryKind, ...] | None
    status: str
    next_seq: int
    last_seq: int
    attempts: int
    next_attempt_at: datetime | None
    leased_until: datetime | None
    created_at: datetime

    @property
    def lag(self) -> int:
        """How many entries there are from `next_seq` on."""
        return max(0, self.last_seq - self.next_seq + 1)

    def is_due(self, now: datetime) -> bool:
        """Tell whether an entry could be sent now, and nobody is at it."""
        return (
            self.status != "paused"
            and self.lag > 0
            and (self.next_attempt_at is None or self.next_attempt_at <= now)
            and (self.leased_until is None or self.leased_until <= now)
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt: the receiver's HTTP status, or why there is none."""

    status_code: int | None
    error: str | None
    milliseconds: int

    @property
    def is_delivered(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300


COLUMNS = (
    webhooks.c.ledger_id,
    ledgers.c.name.label("ledger_name"),
    webhooks.c.webhook_id,
    webhooks.c.url,
    webhooks.c.secret,
    webhooks.c.kinds,
    webhooks.c.status,
    webhooks.c.next_seq,
    ledgers.c.last_seq,
    webhooks.c.attempts,
    webhooks.c.next_attempt_at,
    webhooks.c.leased_until,
    webhooks.c.created_at,
)


def webhook_of(row: Row[Any]) -> Webhook:
    """Return the webhook that a row of COLUMNS holds."""
    facts = dict(row._mapping)
    kinds = facts["kinds"]
    facts["kinds"] = None if kinds is None else tuple(map(EntryKind, kinds))
    return Webhook(**facts)


async def add_webhook(
    database: AsyncEngine,
    ledger_id: int,
    *,
    webhook_id: UUID,
    url: str,
    secret: str,
    kinds: Sequence[EntryKind] | None,
    from_seq: int | None,
    created_at: datetime,
) -> Webhook | None:
    """Keep a webhook; None where the ledger has WEBHOOKS_MAX already.

    It is told of entries from `from_seq` on, without one of those that are yet to come.
    """
    there = select(func.count()).select_from(webhooks).where(webhooks.c.ledger_id == ledger_id)
    new = select(
        ledgers.c.ledger_id,
        literal(webhook_id),
        literal(url),
        literal(secret),
        literal(_texts(kinds), webhooks.c.kinds.type),
        literal("active"),
        ledgers.c.last_seq + 1 if from_seq is None else literal(from_seq),
        literal(0),
        literal(created_at),
    ).where(ledgers.c.ledger_id == ledger_id, there.scalar_subquery() < WEBHOOKS_MAX)
    names = ("ledger_id", "webhook_id", "url", "secret", "kinds", "status", "next_seq")
    async with database.connect() as connection:
        added = insert(webhooks).from_select((*names, "attempts", "created_at"), new)
        await connection.execute(added)
    return await find_webhook(database, ledger_id, webhook_id)


async def find_webhook(database: AsyncEngine, ledger_id: int, webhook_id: UUID) -> Webhook | None:
    """Return a webhook, None where there is none."""
    async with database.connect() as connection:
        statement = _webhooks(ledger_id).where(webhooks.c.webhook_id == webhook_id)
        row = (await connection.execute(statement)).one_or_none()
    return None if row is None else webhook_of(row)


async def all_webhooks(database: AsyncEngine, ledger_id: int | None = None) -> list[Webhook]:
    """Return the webhooks of one ledger, or of all, the oldest first."""
    async with database.connect() as connection:
        rows = await connection.execute(_webhooks(ledger_id))
        return [webhook_of(row) for row in rows]


async def change_webhook(
    database: AsyncEngine, ledger_id: int, webhook_id: UUID, changes: dict[str, Any]
) -> bool:
    """Change columns of a webhook and let it try again at once; False where there is none."""
    if "kinds" in changes:
        changes = changes | {"kinds": _texts(changes["kinds"])}
    async with database.connect() as connection:
        done = await connection.execute(
            update(webhooks)
            .where(webhooks.c.ledger_id == ledger_id, webhooks.c.webhook_id == webhook_id)
            .values(changes | {"attempts": 0, "next_attempt_at": None})
        )
        return bool(done.rowcount)


async def remove_webhook(database: AsyncEngine, ledger_id: int, webhook_id: UUID) -> bool:
    """Remove a webhook and its secret, False where there is none; the log of attempts stays."""
    async with database.connect() as connection:
        done = await connection.execute(
            delete_rows(webhooks).where(
                webhooks.c.ledger_id == ledger_id, webhooks.c.webhook_id == webhook_id
            )
        )
        return bool(done.rowcount)


async def log_attempt(
    database: AsyncEngine,
    webhook: Webhook,
    outcome: Outcome,
    *,
    seq: int | None,
    attempt: int,
    at: datetime,
) -> None:
    """Keep what came of an attempt; `seq` None for a test."""
    async with database.connect() as connection:
        await connection.execute(
            insert(webhook_deliveries).values(
                ledger_id=webhook.ledger_id,
                webhook_id=webhook.webhook_id,
                seq=seq,
                attempt=attempt,
                at=at,
                status_code=outcome.status_code,
                error=outcome.error,
                milliseconds=outcome.milliseconds,
            )
        )


async def deliveries_page(
    database: AsyncEngine, ledger_id: int, webhook_id: UUID, *, before: int | None, limit: int
) -> tuple[list[str], int | None]:
    """Return attempts as JSON rows, the latest first, and the id before which to go on."""
    row = webhook_deliveries.c
    columns: Columns = {
        "seq": row.seq,
        "attempt": row.attempt,
        "at": instant_text(row.at),
        "status_code": row.status_code,
        "error": row.error,
        "milliseconds": row.milliseconds,
    }
    statement = (
        select(row.delivery_id, json_rows(columns))
        .where(row.ledger_id == ledger_id, row.webhook_id == webhook_id)
        .order_by(row.delivery_id.desc())
    )
    if before is not None:
        statement = statement.where(row.delivery_id < before)
    rows, has_more = await fetch_page(database, statement, limit)
    return [document for _, document in rows], rows[-1][0] if has_more else None


def _webhooks(ledger_id: int | None) -> Select[Any]:
    statement = (
        select(*COLUMNS)
        .join_from(webhooks, ledgers, webhooks.c.ledger_id == ledgers.c.ledger_id)
        .order_by(webhooks.c.ledger_id, webhooks.c.webhook_id)
    )
    return statement if ledger_id is None else statement.where(webhooks.c.ledger_id == ledger_id)


def _texts(kinds: Sequence[EntryKind] | None) -> list[str] | None:
    return None if kinds is None else [kind.value for kind in kinds]

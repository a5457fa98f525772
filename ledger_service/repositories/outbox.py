"""What the sender of webhooks asks: whose turn it is, which entries come next, what is done.

The journal is the outbox: nothing is copied, a webhook is a place in it. A lease keeps two senders
from the same webhook. It is a row's columns and no row lock: a transaction that stayed open while
a receiver thinks would keep PostgreSQL from clearing the ledger's head row of its old versions.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Update, case, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.entries import Entry, Event
from ledger_service.domain.model import Direction
from ledger_service.repositories.events import events_of_entries
from ledger_service.repositories.rows import ENTRY_COLUMNS
from ledger_service.repositories.webhooks import COLUMNS, Webhook, webhook_of
from ledger_service.state_reader import entry_of
from ledger_service.tables import events, journal, ledgers, webhooks

ENTRIES_LOOKED_AT_MAX = 2_000
"""So far one page looks for entries of the wanted kinds."""


class Posted(NamedTuple):
    """An entry, its events, and those as the feed shows them (JSON)."""

    entry: Entry
    events: tuple[Event, ...]
    documents: tuple[str, ...]


class Page(NamedTuple):
    """The next entries of a webhook's kinds; those before `next_seq` that are missing are not."""

    posted: list[Posted]
    next_seq: int


async def claim(
    database: AsyncEngine, webhook: Webhook, *, now: datetime, lease_id: UUID, until: datetime
) -> Webhook | None:
    """Take the webhook for one sender; None where another was quicker, or it is not due."""
    row = webhooks.c
    statement = _changed(webhook).where(
        row.status != "paused",
        row.next_seq <= ledgers.c.last_seq,
        or_(row.next_attempt_at.is_(None), row.next_attempt_at <= now),
        or_(row.leased_until.is_(None), row.leased_until <= now),
    )
    return await _one(database, statement.values(lease_id=lease_id, leased_until=until))


async def move(
    database: AsyncEngine,
    webhook: Webhook,
    lease_id: UUID,
    *,
    until: datetime,
    next_seq: int,
    status: str,
    attempts: int,
    next_attempt_at: datetime | None,
) -> Webhook | None:
    """Keep where the webhook stands now; None where it was taken from us, or sent elsewhere.

    Who paused it meanwhile has the last word.
    """
    row = webhooks.c
    return await _one(
        database,
        _changed(webhook)
        .where(row.lease_id == lease_id, row.next_seq == webhook.next_seq)
        .values(
            next_seq=next_seq,
            status=case((row.status == "paused", row.status), else_=status),
            attempts=attempts,
            next_attempt_at=next_attempt_at,
            leased_until=until,
        ),
    )


async def release(database: AsyncEngine, webhook: Webhook, lease_id: UUID) -> None:
    """Let another sender take the webhook."""
    statement = (
        update(webhooks)
        .where(
            webhooks.c.ledger_id == webhook.ledger_id,
            webhooks.c.webhook_id == webhook.webhook_id,
            webhooks.c.lease_id == lease_id,
        )
        .values(lease_id=None, leased_until=None)
    )
    async with database.connect() as connection:
        await connection.execute(statement)


async def next_entries(database: AsyncEngine, webhook: Webhook, limit: int) -> Page:
    """Return at most `limit` entries from `next_seq` on, in the order of seq."""
    end = min(webhook.last_seq, webhook.next_seq + ENTRIES_LOOKED_AT_MAX - 1)
    statement = (
        select(*ENTRY_COLUMNS)
        .where(
            journal.c.ledger_id == webhook.ledger_id,
            journal.c.seq.between(webhook.next_seq, end),
        )
        .order_by(journal.c.seq)
        .limit(limit)
    )
    if webhook.kinds is not None:
        statement = statement.where(journal.c.kind.in_(kind.value for kind in webhook.kinds))
    async with database.connect() as connection:
        entries = [entry_of(row) for row in (await connection.execute(statement)).mappings()]
    if len(entries) == limit:
        end = entries[-1].seq
    return Page(await _with_events(database, webhook.ledger_id, entries), end + 1)


async def _with_events(database: AsyncEngine, ledger_id: int, entries: list[Entry]) -> list[Posted]:
    moving = [entry.seq for entry in entries if entry.body.legs]
    if not moving:
        return [Posted(entry, (), ()) for entry in entries]
    found: dict[int, list[Event]] = {}
    documents: dict[int, list[str]] = {}
    statement = (
        select(*(events.c[name] for name in Event._fields))
        .where(events.c.ledger_id == ledger_id, events.c.seq.in_(moving))
        .order_by(events.c.seq, events.c.line)
    )
    async with database.connect() as connection:
        for row in await connection.execute(statement):
            event = Event(*row)._replace(direction=Direction(row.direction))
            found.setdefault(row.seq, []).append(event)
    for followed in await events_of_entries(database, ledger_id, moving):
        documents.setdefault(followed.position.seq, []).append(followed.document)
    return [
        Posted(entry, tuple(found.get(entry.seq, ())), tuple(documents.get(entry.seq, ())))
        for entry in entries
    ]


def _changed(webhook: Webhook) -> Update:
    return update(webhooks).where(
        webhooks.c.ledger_id == webhook.ledger_id,
        webhooks.c.webhook_id == webhook.webhook_id,
        ledgers.c.ledger_id == webhooks.c.ledger_id,
    )


async def _one(database: AsyncEngine, statement: Update) -> Webhook | None:
    async with database.connect() as connection:
        row = (await connection.execute(statement.returning(*COLUMNS))).one_or_none()
    return None if row is None else webhook_of(row)

"""Holds: single ones from their entries, lists from the projection."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, and_, cast, or_, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.entries import Entry, EntryKind, HoldMoved
from ledger_service.domain.model import Hold, HoldStatus
from ledger_service.domain.rules.holds import expired
from ledger_service.repositories.rows import ENTRY_COLUMNS
from ledger_service.state_reader import entry_of
from ledger_service.tables import holds, journal
from shared.rows import fetch_page

CHANGES_SHOWN_MAX = 500
_HOLD = [holds.c[name] for name in Hold._fields]
# As the index has it, to the letter: only then does the planner know that it fits.
_OF_HOLD = text(r"kind LIKE 'hold\_%' AND payload #>> '{hold,hold_id}' = :hold_id")


class HoldNow(NamedTuple):
    """A hold as it stands, and what was said when it was placed."""

    hold: Hold
    reference: str | None
    metadata: Mapping[str, Any]
    placed_at: datetime


class HoldHistory(NamedTuple):
    """A hold with its entries in their order; of very many only the last ones."""

    now: HoldNow
    entries: Sequence[Entry]


async def find_hold(
    database: AsyncEngine, ledger_id: int, hold_id: UUID, *, now: datetime
) -> HoldHistory | None:
    """Return a hold as of `now` from its entries, None where there is none."""
    placing = select(*ENTRY_COLUMNS).where(
        journal.c.ledger_id == ledger_id,
        journal.c.entry_id == hold_id,
        journal.c.kind == EntryKind.HOLD_PLACED,
    )
    async with database.connect() as connection:
        rows = await connection.execute(history_statement(ledger_id, hold_id))
        found = [entry_of(row) for row in rows.mappings()]
        if not found:
            return None
        row = (await connection.execute(placing)).mappings().one()
    placed, last = entry_of(row), found[0]
    said, stands = placed.body, last.body
    assert isinstance(said, HoldMoved), f"entry {placed.seq} placed no hold"
    assert isinstance(stands, HoldMoved), f"entry {last.seq} moves no hold"
    standing = HoldNow(seen(stands.hold, now), placed.reference, said.metadata, placed.recorded_at)
    return HoldHistory(standing, found[::-1])


async def holds_page(
    database: AsyncEngine,
    ledger_id: int,
    *,
    now: datetime,
    account_id: UUID | None,
    status: HoldStatus | None,
    after: UUID | None,
    limit: int,
) -> tuple[list[HoldNow], bool]:
    """Return holds as of `now` by their ids, and whether there are more.

    `account_id` is that of either side.
    """
    statement = page_statement(
        ledger_id, now=now, account_id=account_id, status=status, after=after, limit=limit
    )
    rows, more = await fetch_page(database, statement, limit)
    return [_hold_now(row._mapping, now) for row in rows], more


def history_statement(ledger_id: int, hold_id: UUID) -> Select[Any]:
    """Return the statement of the last entries of a hold, the latest first."""
    return (
        select(*ENTRY_COLUMNS)
        .where(journal.c.ledger_id == ledger_id, _OF_HOLD.bindparams(hold_id=str(hold_id)))
        .order_by(journal.c.seq.desc())
        .limit(CHANGES_SHOWN_MAX)
    )


def page_statement(
    ledger_id: int,
    *,
    now: datetime,
    account_id: UUID | None,
    status: HoldStatus | None,
    after: UUID | None,
    limit: int,
) -> Select[Any]:
    """Return the statement of one page, which merges a walk along an index for each status."""
    walks = []
    for condition in _status_conditions(status, now):
        for side in _sides(account_id):
            walk = select(*_HOLD).where(holds.c.ledger_id == ledger_id, condition, *side)
            if after is not None:
                walk = walk.where(holds.c.hold_id > after)
            walks.append(walk.order_by(holds.c.hold_id).limit(limit + 1).subquery())
    merged = union_all(*(select(walk) for walk in walks)).subquery("merged")
    page = select(merged).order_by(merged.c.hold_id).limit(limit + 1).subquery("page")
    placing = and_(journal.c.ledger_id == ledger_id, journal.c.entry_id == page.c.hold_id)
    metadata = cast(journal.c.payload["metadata"], Text).label("metadata")
    return (
        select(*page.c, journal.c.reference, metadata, journal.c.recorded_at)
        .select_from(page.join(journal, placing))
        .order_by(page.c.hold_id)
    )


def seen(hold: Hold, now: datetime) -> Hold:
    """Return the hold as it stands at `now`, though its expiry may not be entered yet."""
    return expired(hold) if hold.is_due(now) else hold


def _status_conditions(status: HoldStatus | None, now: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions whose rows together have this status at `now`, each by an index."""
    if status is None:
        return [holds.c.status == one for one in HoldStatus]
    is_open = holds.c.status == HoldStatus.OPEN
    if status is HoldStatus.OPEN:
        return [and_(is_open, or_(holds.c.expires_at.is_(None), holds.c.expires_at > now))]
    entered = holds.c.status == status
    if status is HoldStatus.EXPIRED:
        return [entered, and_(is_open, holds.c.expires_at <= now)]
    return [entered]


def _sides(account_id: UUID | None) -> list[list[ColumnElement[bool]]]:
    """Return the conditions of one walk for each side on which the account may stand."""
    if account_id is None:
        return [[]]
    return [
        [holds.c.source_account_id == account_id],
        [holds.c.destination_account_id == account_id],
    ]


def _hold_now(row: Mapping[str, Any], now: datetime) -> HoldNow:
    facts = {name: row[name] for name in Hold._fields}
    hold = Hold(**facts)._replace(status=HoldStatus(row["status"]))
    return HoldNow(
        seen(hold, now), row["reference"], json.loads(row["metadata"]), row["recorded_at"]
    )

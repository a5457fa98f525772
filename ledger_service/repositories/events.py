"""Lists of events: each debit and credit in the order of the history."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Select, and_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.repositories.pages import (
    Key,
    after_key,
    bounded,
    bounded_page,
    entries_filter,
    entries_scan,
    fetch_keyed,
    seq_before_effective,
)
from ledger_service.repositories.rows import (
    USER_TEXTS,
    Range,
    effective_within,
    seq_within,
    text_member,
)
from ledger_service.tables import accounts, events, journal
from shared.rows import Columns, decimal_text, json_rows, plain_text, stream_columns
from shared.streaming import instant_text


class Position(NamedTuple):
    """Where an event stands in the history: its entry, and its line there."""

    seq: int
    line: int


@dataclass(frozen=True, slots=True)
class FollowedEvent:
    """An event as its followers get it."""

    position: Position
    document: str


async def events_page(
    database: AsyncEngine, ledger_id: int, wanted: Range, *, after: Key | None, limit: int
) -> tuple[list[str], Key | None]:
    """Return JSON rows after the key `after`, and the key from which to go on, None at the end.

    The key is (seq, line), or (effective_at, seq, line) where the range pages by effective time.
    """
    if after is None and not wanted.pages_by_effective_time and wanted.effective_from is not None:
        never = await seq_before_effective(database, ledger_id, wanted.effective_from)
        wanted = replace(wanted, after_seq=max(wanted.after_seq or 0, never))
    return await fetch_keyed(database, page_statement(ledger_id, wanted, after, limit), limit)


async def events_after(
    database: AsyncEngine,
    ledger_id: int,
    *,
    account_id: UUID | None,
    after: Position,
    up_to_seq: int | None,
    limit: int,
) -> list[FollowedEvent]:
    """Return the events that follow `after`, at most `limit`."""
    wanted = Range(account_id=account_id, up_to_seq=up_to_seq)
    statement = _plain_page(ledger_id, wanted, after).limit(limit)
    async with database.connect() as connection:
        rows = await connection.execute(statement)
        return [FollowedEvent(Position(row[0], row[1]), row[2]) for row in rows]


def page_statement(ledger_id: int, wanted: Range, after: Key | None, limit: int) -> Select[Any]:
    """Return the statement of one page, with one row more than `limit` where there are more."""
    if wanted.reference is not None or wanted.pages_by_effective_time:
        return _page_of_entries(ledger_id, wanted, after, limit)
    if wanted.has_effective_bound:
        return _filtered_page(ledger_id, wanted, after, limit)
    return _plain_page(ledger_id, wanted, after).limit(limit + 1)


def events_stream(ledger_id: int, wanted: Range, media_type: str) -> Select[Any]:
    """Return the statement whose rows a stream of `media_type` sends, in the order of seq."""
    columns = _columns(events, journal)
    return (
        select(*stream_columns(columns, media_type, user_texts=USER_TEXTS))
        .select_from(_source(events, journal))
        .where(*_of_ledger(ledger_id, wanted), *effective_within(journal.c.effective_at, wanted))
        .where(*_of_reference(wanted))
        .order_by(events.c.seq, events.c.line)
    )


def _plain_page(ledger_id: int, wanted: Range, after: Key | None) -> Select[Any]:
    """Walk the events themselves, of all accounts or of one: an index has just this order."""
    key = (events.c.seq, events.c.line)
    statement = (
        select(*key, json_rows(_columns(events, journal)))
        .select_from(_source(events, journal))
        .where(*_of_ledger(ledger_id, wanted))
        .order_by(*key)
    )
    return statement if after is None else statement.where(after_key(key, after))


def _filtered_page(ledger_id: int, wanted: Range, after: Key | None, limit: int) -> Select[Any]:
    """Walk the events, keep those whose entries count within the range of time."""
    key = (events.c.seq, events.c.line)
    scan = select(events).where(*_of_ledger(ledger_id, wanted)).order_by(*key)
    if after is not None:
        scan = scan.where(after_key(key, after))
    scan = bounded(scan)
    found = scan.subquery("found")
    page = (
        select(found.c.seq, found.c.line, json_rows(_columns(found, journal)))
        .select_from(_source(found, journal))
        .where(*effective_within(journal.c.effective_at, wanted))
        .order_by(found.c.seq, found.c.line)
    )
    return bounded_page(scan, ["seq", "line"], page, limit=limit)


def _page_of_entries(ledger_id: int, wanted: Range, after: Key | None, limit: int) -> Select[Any]:
    """Walk the journal by reference or by effective time, take the events of each entry."""
    scan, order = entries_scan(ledger_id, wanted, after, again=True)
    found = scan.subquery("found")
    key = [*(found.c[name] for name in order), events.c.line]
    page = (
        select(*key, json_rows(_columns(events, found)))
        .select_from(_source(events, found))
        .where(*entries_filter(found, wanted), *_of_account(wanted))
        .order_by(*key)
    )
    if after is not None:
        page = page.where(after_key(key, after))
    return bounded_page(scan, order, page, limit=limit)


def _of_ledger(ledger_id: int, wanted: Range) -> list[ColumnElement[bool]]:
    return [
        events.c.ledger_id == ledger_id,
        *_of_account(wanted),
        *seq_within(events.c.seq, wanted),
    ]


def _of_account(wanted: Range) -> list[ColumnElement[bool]]:
    return [] if wanted.account_id is None else [events.c.account_id == wanted.account_id]


def _of_reference(wanted: Range) -> list[ColumnElement[bool]]:
    return [] if wanted.reference is None else [journal.c.reference == wanted.reference]


def _source(event: FromClause, entry: FromClause) -> FromClause:
    return event.join(
        entry, and_(entry.c.ledger_id == event.c.ledger_id, entry.c.seq == event.c.seq)
    ).join(
        accounts,
        and_(
            accounts.c.ledger_id == event.c.ledger_id,
            accounts.c.account_id == event.c.account_id,
        ),
    )


def _columns(event: FromClause, entry: FromClause) -> Columns:
    return {
        "transaction_id": event.c.transaction_id,
        "seq": event.c.seq,
        "line": event.c.line,
        "account_id": event.c.account_id,
        "direction": plain_text(event.c.direction),
        "amount": decimal_text(event.c.amount_minor, accounts.c.scale),
        "currency": plain_text(accounts.c.currency),
        "balance_after": decimal_text(event.c.balance_after_minor, accounts.c.scale),
        "position": event.c.position,
        "reference": entry.c.reference,
        "effective_at": instant_text(entry.c.effective_at),
        "recorded_at": instant_text(entry.c.recorded_at),
        "description": text_member(entry.c.payload, "description"),
        "counterparty": text_member(entry.c.payload, "counterparty"),
    }

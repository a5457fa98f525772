"""Lists of events: each debit and credit in the order of the history."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    JSON,
    ColumnElement,
    FromClause,
    Select,
    Table,
    and_,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.repositories.pages import (
    FOUND_BY,
    LINE_MAX,
    Key,
    after_key,
    bounded,
    bounded_page,
    entries_filter,
    entries_scan,
    fetch_keyed,
    lookup,
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
from shared.rows import (
    Columns,
    decimal_text,
    json_rows,
    plain_text,
    stream_columns,
    tsv_columns,
)
from shared.streaming import TSV, instant_text


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
    statement = _plain_page(ledger_id, wanted, after, limit)
    async with database.connect() as connection:
        rows = await connection.execute(statement)
        return [FollowedEvent(Position(row[0], row[1]), row[2]) for row in rows]


async def events_of_entries(
    database: AsyncEngine, ledger_id: int, seqs: Sequence[int]
) -> list[FollowedEvent]:
    """Return the events of these entries, in the order of the history."""
    found = (
        select(events)
        .where(events.c.ledger_id == ledger_id, events.c.seq.in_(seqs))
        .subquery("found")
    )
    key = (found.c.seq, found.c.line)
    statement = _documents(found, lookup(journal, found, "entry"), key)
    async with database.connect() as connection:
        rows = await connection.execute(statement)
        return [FollowedEvent(Position(row[0], row[1]), row[2]) for row in rows]


def page_statement(ledger_id: int, wanted: Range, after: Key | None, limit: int) -> Select[Any]:
    """Return the statement of one page, with one row more than `limit` where there are more."""
    if wanted.reference is not None or wanted.pages_by_effective_time:
        return _page_of_entries(ledger_id, wanted, after, limit)
    if wanted.has_effective_bound:
        return _filtered_page(ledger_id, wanted, after, limit)
    return _plain_page(ledger_id, wanted, after, limit + 1)


def events_stream(ledger_id: int, wanted: Range, media_type: str) -> Select[Any]:
    """Return the statement whose rows a stream of `media_type` sends, in the order of seq.

    TSV has what reconciliation needs, as it is stored: amounts in minor units, members of the
    metadata whatever their type.
    """
    if media_type == TSV:
        columns = tsv_columns(_stored_columns(events, journal, accounts), texts=USER_TEXTS)
    else:
        shown = _columns(events, journal, accounts)
        columns = stream_columns(shown, media_type, user_texts=USER_TEXTS)
    return (
        select(*columns)
        .select_from(events.join(journal, _same(journal)).join(accounts, _same(accounts)))
        .where(*_of_ledger(ledger_id, wanted), *effective_within(journal.c.effective_at, wanted))
        .where(*_of_reference(wanted))
        .order_by(events.c.seq, events.c.line)
    )


def _plain_page(ledger_id: int, wanted: Range, after: Key | None, limit: int) -> Select[Any]:
    """Walk the events themselves, of all accounts or of one: an index has just this order."""
    found = _walk(ledger_id, wanted, after).limit(limit).subquery("found")
    return _documents(found, lookup(journal, found, "entry"), (found.c.seq, found.c.line))


def _filtered_page(ledger_id: int, wanted: Range, after: Key | None, limit: int) -> Select[Any]:
    """Walk the events, keep those whose entries count within the range of time."""
    scan = bounded(_walk(ledger_id, wanted, after))
    found = scan.subquery("found")
    entry = lookup(journal, found, "entry")
    page = _documents(found, entry, (found.c.seq, found.c.line)).where(
        *effective_within(entry.c.effective_at, wanted)
    )
    return bounded_page(scan, ["seq", "line"], page, limit=limit)


def _walk(ledger_id: int, wanted: Range, after: Key | None) -> Select[Any]:
    key = (events.c.seq, events.c.line)
    if wanted.after_seq is not None:
        # One lower bound, not two: an index is entered at one of them, not at the higher one.
        after = max((wanted.after_seq, LINE_MAX), after or (0, 0))
        wanted = replace(wanted, after_seq=None)
    statement = select(events).where(*_of_ledger(ledger_id, wanted)).order_by(*key)
    return statement if after is None else statement.where(after_key(key, after))


def _page_of_entries(ledger_id: int, wanted: Range, after: Key | None, limit: int) -> Select[Any]:
    """Walk the journal by reference or by effective time, take the events of each entry."""
    scan, order = entries_scan(ledger_id, wanted, after, again=True)
    found = scan.subquery("found")
    event = lookup(events, found, "event")
    key = [*(found.c[name] for name in order), event.c.line]
    page = _documents(event, found, key, walked=found).where(*entries_filter(found, wanted))
    if wanted.account_id is not None:
        page = page.where(event.c.account_id == wanted.account_id)
    if after is not None:
        page = page.where(after_key(key, after))
    return bounded_page(scan, order, page, limit=limit)


def _documents(
    event: FromClause,
    entry: FromClause,
    key: Sequence[ColumnElement[Any]],
    *,
    walked: FromClause | None = None,
) -> Select[Any]:
    """Return the key and document of each event, from what is `walked` first and looked up."""
    account = lookup(accounts, event, "account")
    first, second = (event, entry) if walked is None else (entry, event)
    return (
        select(*key, json_rows(_columns(event, entry, account)))
        .select_from(first.join(second, true()).join(account, true()))
        .order_by(*key)
    )


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


def _same(table: Table) -> ColumnElement[bool]:
    return and_(*(table.c[name] == events.c[name] for name in FOUND_BY[table.name]))


def _columns(event: FromClause, entry: FromClause, account: FromClause) -> Columns:
    return {
        "transaction_id": event.c.transaction_id,
        "seq": event.c.seq,
        "line": event.c.line,
        "account_id": event.c.account_id,
        "direction": plain_text(event.c.direction),
        "amount": decimal_text(event.c.amount_minor, account.c.scale),
        "currency": plain_text(account.c.currency),
        "balance_after": decimal_text(event.c.balance_after_minor, account.c.scale),
        "position": event.c.position,
        "reference": entry.c.reference,
        "effective_at": instant_text(entry.c.effective_at),
        "recorded_at": instant_text(entry.c.recorded_at),
        "description": text_member(entry.c.payload, "description"),
        "counterparty": text_member(entry.c.payload, "counterparty"),
    }


def _stored_columns(event: FromClause, entry: FromClause, account: FromClause) -> Columns:
    return {
        "transaction_id": event.c.transaction_id,
        "seq": event.c.seq,
        "line": event.c.line,
        "direction": event.c.direction,
        "amount_minor": event.c.amount_minor,
        "scale": account.c.scale,
        "currency": account.c.currency,
        "reference": entry.c.reference,
        "effective_at": entry.c.effective_at,
        "recorded_at": entry.c.recorded_at,
        "description": _member(entry.c.payload, "description"),
        "counterparty": _member(entry.c.payload, "counterparty"),
    }


def _member(payload: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    """Return `metadata.<name>` of a journal payload as JSON, null where it is absent."""
    path = [literal(part, literal_execute=True) for part in ("metadata", name)]
    return func.json_extract_path(payload, *path, type_=JSON)

"""Lists of transactions, and single ones; an entry that moves money is a transaction."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Numeric,
    Select,
    Text,
    cast,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.entries import Entry
from ledger_service.repositories.pages import (
    Key,
    bounded,
    bounded_page,
    entries_filter,
    entries_scan,
    fetch_keyed,
    lookup,
    seq_before_effective,
)
from ledger_service.repositories.rows import (
    ACCOUNT_OPENED,
    USER_TEXTS,
    Range,
    effective_within,
    seq_within,
    text_member,
)
from ledger_service.state_reader import entry_of
from ledger_service.tables import events, journal
from shared.rows import (
    Columns,
    decimal_text,
    json_array,
    json_rows,
    plain_text,
    stream_columns,
)
from shared.streaming import CSV, instant_text


async def transactions_page(
    database: AsyncEngine, ledger_id: int, wanted: Range, *, after: Key | None, limit: int
) -> tuple[list[str], Key | None]:
    """Return JSON rows after the key `after`, and the key from which to go on, None at the end.

    The key is (seq,), or (effective_at, seq) where the range pages by effective time.
    """
    if after is None and not wanted.pages_by_effective_time and wanted.effective_from is not None:
        never = await seq_before_effective(database, ledger_id, wanted.effective_from)
        wanted = replace(wanted, after_seq=max(wanted.after_seq or 0, never))
    return await fetch_keyed(database, page_statement(ledger_id, wanted, after, limit), limit)


def page_statement(ledger_id: int, wanted: Range, after: Key | None, limit: int) -> Select[Any]:
    """Return the statement of one page, with one row more than `limit` where there are more."""
    if wanted.reference is not None or wanted.pages_by_effective_time:
        return _page_of_entries(ledger_id, wanted, after, limit)
    return _page_of_first_events(ledger_id, wanted, after, limit)


def transactions_stream(ledger_id: int, wanted: Range, media_type: str) -> Select[Any]:
    """Return the statement whose rows a stream of `media_type` sends; CSV has one amount a row."""
    columns = _columns(journal, as_csv=media_type == CSV)
    return (
        select(*stream_columns(columns, media_type, user_texts=USER_TEXTS))
        .where(*_entries(ledger_id, wanted))
        .order_by(journal.c.seq)
    )


async def find_transaction(
    database: AsyncEngine, ledger_id: int, transaction_id: UUID
) -> Entry | None:
    """Return the journal entry of a transaction, None where there is none."""
    statement = select(
        journal.c.seq,
        journal.c.entry_id,
        journal.c.kind,
        journal.c.effective_at,
        journal.c.recorded_at,
        journal.c.reference,
        cast(journal.c.payload, Text).label("payload"),
    ).where(*_transactions(ledger_id), journal.c.entry_id == transaction_id)
    async with database.connect() as connection:
        row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else entry_of(row)


def _page_of_entries(ledger_id: int, wanted: Range, after: Key | None, limit: int) -> Select[Any]:
    """Walk the journal by reference or by effective time: it has an index for either."""
    scan, order = entries_scan(ledger_id, wanted, after)
    found = scan.subquery("found")
    key = [found.c[name] for name in order]
    page: Select[Any] = (
        select(*key, json_rows(_columns(found)))
        .where(*entries_filter(found, wanted))
        .order_by(*key)
    )
    return bounded_page(scan, order, page, limit=limit)


def _page_of_first_events(
    ledger_id: int, wanted: Range, after: Key | None, limit: int
) -> Select[Any]:
    """Walk the first event of each transaction.

    Other entries have no events: however many accounts were opened in a row, none is looked at.
    """
    if after is not None:
        wanted = replace(wanted, after_seq=max(wanted.after_seq or 0, after[0]))
    scan: Select[Any] = select(events.c.ledger_id, events.c.seq).where(
        events.c.ledger_id == ledger_id, events.c.line == 1, *seq_within(events.c.seq, wanted)
    )
    scan = bounded(scan.order_by(events.c.seq))
    found = scan.subquery("found")
    entry = lookup(journal, found, "entry")
    page: Select[Any] = (
        select(found.c.seq, json_rows(_columns(entry)))
        .select_from(found.join(entry, true()))
        .where(*effective_within(entry.c.effective_at, wanted))
        .order_by(found.c.seq)
    )
    return bounded_page(scan, ["seq"], page, limit=limit)


def _entries(ledger_id: int, wanted: Range) -> list[ColumnElement[bool]]:
    conditions = [
        *_transactions(ledger_id),
        *seq_within(journal.c.seq, wanted),
        *effective_within(journal.c.effective_at, wanted),
    ]
    if wanted.reference is not None:
        conditions.append(journal.c.reference == wanted.reference)
    return conditions


def _transactions(ledger_id: int) -> list[ColumnElement[bool]]:
    return [journal.c.ledger_id == ledger_id, journal.c.kind != ACCOUNT_OPENED]


def _columns(entry: FromClause, *, as_csv: bool = False) -> Columns:
    payload = entry.c.payload
    amount = decimal_text(cast(payload["amount_minor"].astext, Numeric), payload["scale"].astext)
    currency = plain_text(payload["currency"].astext)
    moved: Columns = {"amount": amount, "currency": currency}
    if not as_csv:
        moved = {"amounts": json_array(json_rows(moved))}
    return {
        "transaction_id": entry.c.entry_id,
        "seq": entry.c.seq,
        "reference": entry.c.reference,
        **moved,
        "effective_at": instant_text(entry.c.effective_at),
        "recorded_at": instant_text(entry.c.recorded_at),
        "description": text_member(payload, "description"),
        "counterparty": text_member(payload, "counterparty"),
    }

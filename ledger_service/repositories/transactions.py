"""Lists of transactions, and single ones; an entry that moves money is a transaction."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Numeric,
    Select,
    Text,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSON, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.entries import Entry, EntryKind
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
    USER_TEXTS,
    Range,
    effective_within,
    is_transaction,
    seq_within,
    text_member,
)
from ledger_service.state_reader import entry_of
from ledger_service.tables import events, journal, reversals
from shared.rows import (
    Columns,
    decimal_text,
    json_array,
    json_rows,
    plain_text,
    stream_columns,
)
from shared.streaming import CSV, instant_text

_TRANSFER: ColumnElement[str] = literal_column(f"'{EntryKind.TRANSFER}'")
_CAPTURE: ColumnElement[str] = literal_column(f"'{EntryKind.HOLD_CAPTURED}'")


class Reversal(NamedTuple):
    """A transaction that reverses another, and how much of each line of that."""

    transaction_id: UUID
    seq: int
    amounts_minor: Sequence[int]


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
    if media_type == CSV:
        return _csv_stream(ledger_id, wanted)
    return (
        select(*stream_columns(_columns(journal), media_type, user_texts=USER_TEXTS))
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


async def find_reversals(
    database: AsyncEngine, ledger_id: int, transaction_id: UUID
) -> list[Reversal]:
    """Return what reverses a transaction, in the order of the history."""
    statement = (
        select(reversals.c.reversal_id, reversals.c.seq, reversals.c.amounts_minor)
        .where(reversals.c.ledger_id == ledger_id, reversals.c.transaction_id == transaction_id)
        .order_by(reversals.c.seq)
    )
    async with database.connect() as connection:
        return [Reversal(*row) for row in await connection.execute(statement)]


def _csv_stream(ledger_id: int, wanted: Range) -> Select[Any]:
    moved = _moved(journal)
    return (
        select(*stream_columns(_csv_columns(moved), CSV, user_texts=USER_TEXTS))
        .select_from(journal.outerjoin(moved, true()))
        .where(*_entries(ledger_id, wanted))
        .order_by(journal.c.seq, moved.c.place)
    )


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
    return [journal.c.ledger_id == ledger_id, is_transaction(journal.c.kind)]


def _columns(entry: FromClause) -> Columns:
    return _row(entry, {"amounts": _amounts(entry)})


def _csv_columns(moved: FromClause) -> Columns:
    """Return the columns of one amount: of `moved`, or the only one of the entry itself."""
    payload, one = journal.c.payload, moved.c.value
    only = _amount(payload, case((journal.c.kind == _CAPTURE, payload["hold"]), else_=payload))
    several = _amount(one, one)
    return _row(
        journal,
        {name: plain_text(case((one.is_(None), only[name]), else_=several[name])) for name in only},
    )


def _row(entry: FromClause, amounts: Columns) -> Columns:
    return {
        "transaction_id": entry.c.entry_id,
        "seq": entry.c.seq,
        "reference": entry.c.reference,
        **amounts,
        "effective_at": instant_text(entry.c.effective_at),
        "recorded_at": instant_text(entry.c.recorded_at),
        "description": text_member(entry.c.payload, "description"),
        "counterparty": text_member(entry.c.payload, "counterparty"),
    }


def _amounts(entry: FromClause) -> ColumnElement[Any]:
    """Return what an entry moved as a JSON array, one object a currency."""
    payload, moved = entry.c.payload, _moved(entry)
    one = json_rows(_amount(moved.c.value, moved.c.value))
    several = select(func.string_agg(one, aggregate_order_by(text("','"), moved.c.place)))
    return case(
        (entry.c.kind == _TRANSFER, json_array(json_rows(_amount(payload, payload)))),
        (entry.c.kind == _CAPTURE, json_array(json_rows(_amount(payload, payload["hold"])))),
        else_=json_array(several.scalar_subquery()),
    )


def _moved(entry: FromClause) -> FromClause:
    """Return what a transaction of many legs moved in each currency; no rows for other kinds."""
    elements = func.json_array_elements(entry.c.payload["moved"])
    value = column("value", JSON)
    return elements.table_valued(value, with_ordinality="place").render_derived("moved")


def _amount(amount: ColumnElement[Any], money: ColumnElement[Any]) -> Columns:
    """Return the amount that one JSON object has, in the currency that another one names."""
    minor, scale = cast(amount["amount_minor"].astext, Numeric), money["scale"].astext
    return {
        "amount": decimal_text(minor, scale),
        "currency": plain_text(money["currency"].astext),
    }

"""Lists of events: each debit and credit in the order of the history."""

from typing import Any

from sqlalchemy import Select, and_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.repositories.rows import USER_TEXTS, Range, text_member
from ledger_service.tables import accounts, events, journal
from shared.rows import Columns, decimal_text, fetch_page, json_rows, stream_columns
from shared.streaming import instant_text

_COLUMNS: Columns = {
    "transaction_id": events.c.transaction_id,
    "seq": events.c.seq,
    "line": events.c.line,
    "account_id": events.c.account_id,
    "direction": events.c.direction,
    "amount": decimal_text(events.c.amount_minor, accounts.c.scale),
    "currency": accounts.c.currency,
    "balance_after": decimal_text(events.c.balance_after_minor, accounts.c.scale),
    "position": events.c.position,
    "reference": journal.c.reference,
    "effective_at": instant_text(journal.c.effective_at),
    "recorded_at": instant_text(journal.c.recorded_at),
    "description": text_member(journal.c.payload, "description"),
    "counterparty": text_member(journal.c.payload, "counterparty"),
}
_SOURCE = events.join(
    journal, and_(journal.c.ledger_id == events.c.ledger_id, journal.c.seq == events.c.seq)
).join(
    accounts,
    and_(accounts.c.ledger_id == events.c.ledger_id, accounts.c.account_id == events.c.account_id),
)


async def events_page(
    database: AsyncEngine,
    ledger_id: int,
    wanted: Range,
    *,
    after: tuple[int, ...] | None,
    limit: int,
) -> tuple[list[str], tuple[int, int] | None]:
    """Return JSON rows after the event `after` (seq, line), and the last one's if more follow."""
    statement = _within(select(events.c.seq, events.c.line, json_rows(_COLUMNS)), ledger_id, wanted)
    if after is not None:
        statement = statement.where(tuple_(events.c.seq, events.c.line) > tuple_(*after))
    rows, more = await fetch_page(database, statement, limit)
    last = (rows[-1][0], rows[-1][1]) if more else None
    return [row[2] for row in rows], last


def events_stream(ledger_id: int, wanted: Range, media_type: str) -> Select[Any]:
    """Return the statement whose rows a stream of `media_type` sends."""
    return _within(
        select(*stream_columns(_COLUMNS, media_type, user_texts=USER_TEXTS)), ledger_id, wanted
    )


def _within(statement: Select[Any], ledger_id: int, wanted: Range) -> Select[Any]:
    statement = statement.select_from(_SOURCE).where(events.c.ledger_id == ledger_id)
    if wanted.account_id is not None:
        statement = statement.where(events.c.account_id == wanted.account_id)
    if wanted.after_seq is not None:
        statement = statement.where(events.c.seq > wanted.after_seq)
    if wanted.up_to_seq is not None:
        statement = statement.where(events.c.seq <= wanted.up_to_seq)
    if wanted.effective_from is not None:
        statement = statement.where(journal.c.effective_at >= wanted.effective_from)
    if wanted.effective_to is not None:
        statement = statement.where(journal.c.effective_at <= wanted.effective_to)
    if wanted.reference is not None:
        statement = statement.where(journal.c.reference == wanted.reference)
    return statement.order_by(events.c.seq, events.c.line)

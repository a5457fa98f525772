"""Lists of transactions, and single ones; an entry that moves money is a transaction."""

from typing import Any
from uuid import UUID

from sqlalchemy import Numeric, Select, Text, cast, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.model import Entry
from ledger_service.event_store import entry_of
from ledger_service.repositories.rows import USER_TEXTS, Range, text_member
from ledger_service.tables import journal
from shared.rows import Columns, decimal_text, fetch_page, json_rows, stream_columns
from shared.streaming import CSV, instant_text

_AMOUNT = decimal_text(
    cast(journal.c.payload["amount_minor"].astext, Numeric), journal.c.payload["scale"].astext
)
_CURRENCY = journal.c.payload["currency"].astext
_MOVED: Columns = {
    "amounts": func.json_build_array(
        func.json_build_object("currency", _CURRENCY, "amount", _AMOUNT)
    )
}
_MOVED_CSV: Columns = {"amount": _AMOUNT, "currency": _CURRENCY}


def _columns(moved: Columns) -> Columns:
    return {
        "transaction_id": journal.c.entry_id,
        "seq": journal.c.seq,
        "reference": journal.c.reference,
        **moved,
        "effective_at": instant_text(journal.c.effective_at),
        "recorded_at": instant_text(journal.c.recorded_at),
        "description": text_member(journal.c.payload, "description"),
        "counterparty": text_member(journal.c.payload, "counterparty"),
    }


_JSON_COLUMNS = _columns(_MOVED)
_CSV_COLUMNS = _columns(_MOVED_CSV)


async def transactions_page(
    database: AsyncEngine, ledger_id: int, wanted: Range, *, after_seq: int | None, limit: int
) -> tuple[list[str], int | None]:
    """Return JSON rows after the transaction at `after_seq`, and the last seq if more follow."""
    statement = _within(select(journal.c.seq, json_rows(_JSON_COLUMNS)), ledger_id, wanted)
    if after_seq is not None:
        statement = statement.where(journal.c.seq > after_seq)
    rows, more = await fetch_page(database, statement, limit)
    return [row[1] for row in rows], rows[-1][0] if more else None


def transactions_stream(ledger_id: int, wanted: Range, media_type: str) -> Select[Any]:
    """Return the statement whose rows a stream of `media_type` sends; CSV has one amount a row."""
    columns = _CSV_COLUMNS if media_type == CSV else _JSON_COLUMNS
    return _within(
        select(*stream_columns(columns, media_type, user_texts=USER_TEXTS)), ledger_id, wanted
    )


async def find_transaction(
    database: AsyncEngine, ledger_id: int, transaction_id: UUID
) -> Entry | None:
    """Return the journal entry of a transaction, None where there is none."""
    statement = _transactions(
        select(
            journal.c.seq,
            journal.c.entry_id,
            journal.c.kind,
            journal.c.effective_at,
            journal.c.recorded_at,
            journal.c.reference,
            cast(journal.c.payload, Text).label("payload"),
        ),
        ledger_id,
    ).where(journal.c.entry_id == transaction_id)
    async with database.connect() as connection:
        row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else entry_of(row)


def _within(statement: Select[Any], ledger_id: int, wanted: Range) -> Select[Any]:
    statement = _transactions(statement, ledger_id)
    if wanted.after_seq is not None:
        statement = statement.where(journal.c.seq > wanted.after_seq)
    if wanted.up_to_seq is not None:
        statement = statement.where(journal.c.seq <= wanted.up_to_seq)
    if wanted.effective_from is not None:
        statement = statement.where(journal.c.effective_at >= wanted.effective_from)
    if wanted.effective_to is not None:
        statement = statement.where(journal.c.effective_at <= wanted.effective_to)
    if wanted.reference is not None:
        statement = statement.where(journal.c.reference == wanted.reference)
    return statement.order_by(journal.c.seq)


def _transactions(statement: Select[Any], ledger_id: int) -> Select[Any]:
    # A literal, not a parameter: only then does the planner know that the partial index fits.
    return statement.where(
        journal.c.ledger_id == ledger_id,
        journal.c.kind != literal_column("'account_opened'"),
    )

"""The changes of one account, read from the journal."""

from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Select, Text, literal_column, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.entries import Entry, EntryKind
from ledger_service.repositories.rows import ENTRY_COLUMNS
from ledger_service.state_reader import entry_of
from ledger_service.tables import journal


async def changes_page(
    database: AsyncEngine,
    ledger_id: int,
    account_id: UUID,
    *,
    opened_seq: int,
    after_seq: int | None,
    limit: int,
) -> tuple[list[Entry], int | None]:
    """Return the entries that opened and changed an account, and the last one's seq if more follow.

    They come in the order of the history, behind `after_seq`.
    """
    async with database.connect() as connection:
        rows = []
        if after_seq is None:
            rows += await connection.execute(_entries(ledger_id).where(journal.c.seq == opened_seq))
        statement = changes_statement(ledger_id, account_id, after_seq or opened_seq)
        rows += await connection.execute(statement.limit(limit + 1 - len(rows)))
    entries = [entry_of(row._mapping) for row in rows]
    return entries[:limit], entries[limit - 1].seq if len(entries) > limit else None


def changes_statement(ledger_id: int, account_id: UUID, after_seq: int) -> Select[Any]:
    """Return the statement for the changes of an account behind `after_seq`."""
    # in the very words of their index, which is a partial one
    is_change = literal_column(f"kind = '{EntryKind.ACCOUNT_CHANGED}'", Boolean())
    changed = literal_column("payload #>> '{facts,account_id}'", Text())
    return (
        _entries(ledger_id)
        .where(is_change, changed == str(account_id), journal.c.seq > after_seq)
        .order_by(journal.c.seq)
    )


def _entries(ledger_id: int) -> Select[Any]:
    return select(*ENTRY_COLUMNS).where(journal.c.ledger_id == ledger_id)

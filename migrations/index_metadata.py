"""Gives a key of metadata an index of its own, while the ledger runs, and declares it to the lists.

The expressions are those of `ledger_service.repositories.metadata_keys`: PostgreSQL uses an index
on an expression for the very same one only.
"""

import asyncio
import re

import asyncpg

from ledger_service.tables import INDEXED_VALUE_CHARS
from migrations.prepare import DatabaseNotReady
from shared.database import plain_dsn

SUBJECTS = ("accounts", "transactions")
KEY_CHARS_MAX = 40  # with what stands before it, the name of an index has at most 63
CONNECT_SECONDS_MAX = 10
_KEY = re.compile(rf"[A-Za-z0-9_.-]{{1,{KEY_CHARS_MAX}}}", re.ASCII)
_ACCOUNTS = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS "{name}" ON ledger.accounts
    (ledger_id, left(metadata ->> '{key}', {chars}), opened_seq)
WHERE (metadata ->> '{key}') IS NOT NULL
"""
_TRANSACTIONS = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS "{name}" ON ledger.journal
    (ledger_id, left(payload #>> '{{metadata,{key}}}', {chars}), seq)
WHERE (payload #>> '{{metadata,{key}}}') IS NOT NULL AND kind <> 'account_opened'
"""
_IS_BROKEN = """
SELECT EXISTS (
    SELECT FROM pg_index WHERE NOT indisvalid AND indexrelid = to_regclass($1)
)
"""
_DECLARE = """
INSERT INTO ledger.indexed_metadata (subject, key) VALUES ($1, $2) ON CONFLICT DO NOTHING
"""


def index_metadata(admin_url: str, subject: str, key: str) -> None:
    """Index `key` of the metadata of accounts or transactions; safe to run again.

    Writers go on meanwhile: the index is made concurrently. One that was left half made is made
    anew. Raises DatabaseNotReady.
    """
    if not _KEY.fullmatch(key):
        raise DatabaseNotReady(
            f"A key that is indexed is 1 to {KEY_CHARS_MAX} letters, digits, and _ . - only."
        )
    try:
        asyncio.run(_index(admin_url, subject, key))
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseNotReady(f"The index could not be made: {error}") from error


async def _index(admin_url: str, subject: str, key: str) -> None:
    table, statement = (
        ("accounts", _ACCOUNTS) if subject == "accounts" else ("journal", _TRANSACTIONS)
    )
    name = f"ix_{table}__metadata_{key}"
    connection = await asyncpg.connect(plain_dsn(admin_url), timeout=CONNECT_SECONDS_MAX)
    try:
        await connection.execute("SET ROLE ledger_owner")
        if await connection.fetchval(_IS_BROKEN, f'ledger."{name}"'):
            await connection.execute(f'DROP INDEX CONCURRENTLY ledger."{name}"')
        await connection.execute(statement.format(name=name, key=key, chars=INDEXED_VALUE_CHARS))
        await connection.execute(f"ANALYZE ledger.{table}")  # or the planner would not know it
        await connection.execute(_DECLARE, subject, key)
    finally:
        await connection.close()

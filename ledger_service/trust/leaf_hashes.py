"""Lets PostgreSQL hash the leaves of both trees: the service that seals has transfers to decide.

The same bytes as in domain/canonical.py, by which all that checks a seal makes them: two programs
that know nothing of each other have to agree on every leaf.
"""

from datetime import datetime
from typing import Any

import asyncpg

_NULL = r"'\xffffffff'::bytea"


def _instant(column: str) -> str:
    return f"int8send((extract(epoch FROM {column}) * 1000000)::bigint)"


def _text(column: str) -> str:
    return f"convert_to({column}, 'UTF8')"


def _field(data: str) -> str:
    return f"int4send(octet_length({data})) || {data}"


_EVENT = (
    "int2send(e.line) || uuid_send(e.account_id) || uuid_send(e.transaction_id) "
    "|| int8send(e.amount_minor) || int8send(e.balance_after_minor) || int8send(e.position) "
    f"|| {_text('e.direction')}"
)

# Entries in their order, each with its leaf; the names are this program's own.
_ENTRIES = rf"""
SELECT j.seq, j.recorded_at, sha256(
    '\x000145'::bytea || int8send(j.seq) || uuid_send(j.entry_id)
    || {_instant("j.effective_at")} || {_instant("j.recorded_at")}
    || {_field(_text("j.kind"))} || coalesce({_field(_text("j.reference"))}, {_NULL})
    || {_field(_text("j.payload::text"))}
    || (
        SELECT int4send(count(*)::integer)
            || coalesce(string_agg({_field(f"({_EVENT})")}, ''::bytea ORDER BY e.line), '')
        FROM ledger.events e WHERE e.ledger_id = j.ledger_id AND e.seq = j.seq
    )
)
FROM ledger.journal j WHERE j.ledger_id = $1 AND j.seq > $2 AND j.seq <= $3 ORDER BY j.seq
"""  # noqa: S608

# Keys in sealing order.
_KEYS = rf"""
SELECT sha256(
    '\x00014b'::bytea || {_instant("recorded_at")}
    || {_field("key_hash")} || {_field("fingerprint")}
    || coalesce({_field("int8send(seq)")}, {_NULL})
    || coalesce({_field(_text("refusal"))}, {_NULL})
)
FROM ledger.idempotency WHERE ledger_id = $1 AND recorded_at >= $2 AND recorded_at < $3
ORDER BY recorded_at, key_hash
"""  # noqa: S608


async def entry_leaves(
    connection: asyncpg.Connection, ledger_id: int, *, after_seq: int, up_to_seq: int
) -> list[tuple[int, datetime, bytes]]:
    """Return seq, time of recording and leaf of the entries in this stretch, in their order."""
    return [tuple(row) for row in await connection.fetch(_ENTRIES, ledger_id, after_seq, up_to_seq)]


async def key_leaves(
    connection: asyncpg.Connection, ledger_id: int, *, since: datetime, before: datetime
) -> Any:
    """Return a cursor of the leaves of keys recorded at `since` or later, before `before`.

    The connection must be in a transaction.
    """
    return await connection.cursor(_KEYS, ledger_id, since, before)

"""Reads the log as it is stored, without a meaning: what seals, checks and exports are made of."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg

from ledger_service.domain.canonical import StoredEntry, StoredEvent, StoredKey

ROWS_PER_READ = 250
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

# Entries in their order.
_ENTRIES = """
SELECT seq, entry_id, kind, effective_at, recorded_at, reference, payload::text
FROM ledger.journal WHERE ledger_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4
"""

# Their events; also such as belong to no entry.
_EVENTS = """
SELECT seq, line, account_id, transaction_id, direction, amount_minor, balance_after_minor, position
FROM ledger.events WHERE ledger_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq, line
"""

# Keys in the order in which they are sealed.
_KEYS = """
SELECT recorded_at, key_hash, fingerprint, seq, refusal FROM ledger.idempotency
WHERE ledger_id = $1 AND recorded_at >= $2 AND recorded_at < $3 ORDER BY recorded_at, key_hash
"""


class LogPage(NamedTuple):
    """Entries with their events, and the seqs up to the last of them that have events only."""

    entries: list[StoredEntry]
    strays: list[int]


async def entry_pages(
    connection: asyncpg.Connection,
    ledger_id: int,
    *,
    after_seq: int = 0,
    up_to_seq: int = 2**63 - 1,
    rows: int = ROWS_PER_READ,
) -> AsyncIterator[LogPage]:
    """Read entries after `after_seq`, up to and with `up_to_seq`, in their order."""
    while found := await connection.fetch(_ENTRIES, ledger_id, after_seq, up_to_seq, rows):
        last = found[-1]["seq"]
        events: dict[int, list[StoredEvent]] = {}
        for seq, *event in await connection.fetch(_EVENTS, ledger_id, after_seq, last):
            events.setdefault(seq, []).append(StoredEvent(*event))
        entries = [StoredEntry(*row)._replace(events=events.pop(row[0], ())) for row in found]
        yield LogPage(entries, sorted(events))
        after_seq = last


async def keys_between(
    connection: asyncpg.Connection,
    ledger_id: int,
    *,
    since: datetime = BEGINNING,
    before: datetime,
) -> AsyncIterator[StoredKey]:
    """Read keys that were recorded at `since` or later, and before `before`, in sealing order.

    The connection must be in a transaction.
    """
    async for row in connection.cursor(_KEYS, ledger_id, since, before, prefetch=ROWS_PER_READ):
        yield StoredKey(*row)

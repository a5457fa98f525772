"""The event store: the only writer of the log, and the keeper of a ledger's head row.

Every method runs on the committer's own connection, inside the transaction that the command
processor opened. One call is one statement, however many rows it writes.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from ledger_service.domain.model import Account, AccountType, Entry, Event

# Take the ledger: whoever holds this row writes next.
_LOCK_HEAD = """
SELECT last_seq, last_entry_id, last_recorded_at, epoch
FROM ledger.ledgers WHERE ledger_id = $1 FOR NO KEY UPDATE
"""

# Accounts with their running totals, as of the head that is held.
_LOAD_ACCOUNTS = """
SELECT a.account_id, a.currency, a.scale, a.type, a.floor_minor,
       b.debits_minor, b.credits_minor, b.position
FROM ledger.accounts a JOIN ledger.balances b USING (ledger_id, account_id)
WHERE a.ledger_id = $1 AND a.account_id = ANY ($2::uuid[])
"""

# First answers under these keys.
_LOAD_KEYS = """
SELECT key_hash, fingerprint, status, answer
FROM ledger.idempotency WHERE ledger_id = $1 AND key_hash = ANY ($2::bytea[])
"""

# Append entries in seq order.
_APPEND_ENTRIES = """
INSERT INTO ledger.journal
    (ledger_id, seq, entry_id, kind, effective_at, recorded_at, reference, payload)
SELECT $1, * FROM unnest(
    $2::bigint[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::text[],
    $8::jsonb[])
"""

# Append the debits and credits of those entries.
_APPEND_EVENTS = """
INSERT INTO ledger.events
    (ledger_id, seq, line, account_id, transaction_id, direction, amount_minor,
     balance_after_minor, position)
SELECT $1, * FROM unnest(
    $2::bigint[], $3::smallint[], $4::uuid[], $5::uuid[], $6::text[], $7::bigint[], $8::bigint[],
    $9::bigint[])
"""

# Keep first answers, accepted and refused alike.
_APPEND_KEYS = """
INSERT INTO ledger.idempotency
    (ledger_id, recorded_at, key_hash, fingerprint, seq, status, answer)
SELECT $1, $2, * FROM unnest(
    $3::bytea[], $4::bytea[], $5::bigint[], $6::smallint[], $7::text[])
"""

# Move the head behind the last entry.
_MOVE_HEAD = """
UPDATE ledger.ledgers SET last_seq = $2, last_entry_id = $3, last_recorded_at = $4
WHERE ledger_id = $1
"""

# Make every writer with an older epoch lose.
_BUMP_EPOCH = "UPDATE ledger.ledgers SET epoch = epoch + 1 WHERE ledger_id = $1"

# Whether an entry is in the journal.
_HAS_ENTRY = "SELECT EXISTS (SELECT 1 FROM ledger.journal WHERE ledger_id = $1 AND entry_id = $2)"


@dataclass(frozen=True, slots=True)
class Head:
    """Where a ledger's history ends."""

    last_seq: int
    last_entry_id: UUID | None
    last_recorded_at: datetime | None
    epoch: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets: an HTTP status and the JSON document, kept byte for byte."""

    status: int
    document: str


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The first answer under an Idempotency-Key; `seq` is None where it was a refusal."""

    key_hash: bytes
    fingerprint: bytes
    seq: int | None
    answer: Answer


class EventStore:
    """Reads and appends the log of one ledger."""

    def __init__(self, ledger_id: int) -> None:
        self._ledger_id = ledger_id

    async def lock_head(self, connection: asyncpg.Connection) -> Head:
        """Take the head row until the transaction ends, waiting for its present holder."""
        row = await connection.fetchrow(_LOCK_HEAD, self._ledger_id)
        assert row is not None, f"ledger {self._ledger_id} has no head row"
        return Head(**row)

    async def load_accounts(
        self, connection: asyncpg.Connection, account_ids: Iterable[UUID]
    ) -> dict[UUID, Account]:
        """Return those of `account_ids` that exist."""
        rows = await connection.fetch(_LOAD_ACCOUNTS, self._ledger_id, list(account_ids))
        return {
            row["account_id"]: Account(**{**row, "type": AccountType(row["type"])}) for row in rows
        }

    async def load_answers(
        self, connection: asyncpg.Connection, key_hashes: Iterable[bytes]
    ) -> dict[bytes, KeptAnswer]:
        """Return the answers kept under those of `key_hashes` that were used before."""
        rows = await connection.fetch(_LOAD_KEYS, self._ledger_id, list(key_hashes))
        return {
            row["key_hash"]: KeptAnswer(
                row["key_hash"], row["fingerprint"], None, Answer(row["status"], row["answer"])
            )
            for row in rows
        }

    async def append(
        self, connection: asyncpg.Connection, entries: Sequence[Entry], events: Sequence[Event]
    ) -> None:
        """Append `entries` with their `events` and move the head behind them."""
        if not entries:
            return
        await connection.execute(
            _APPEND_ENTRIES,
            self._ledger_id,
            [entry.seq for entry in entries],
            [entry.entry_id for entry in entries],
            [entry.kind.value for entry in entries],
            [entry.effective_at for entry in entries],
            [entry.recorded_at for entry in entries],
            [entry.reference for entry in entries],
            [json.dumps(entry.payload) for entry in entries],
        )
        if events:
            await connection.execute(
                _APPEND_EVENTS,
                self._ledger_id,
                [event.seq for event in events],
                [event.line for event in events],
                [event.account_id for event in events],
                [event.transaction_id for event in events],
                [event.direction.value for event in events],
                [event.amount_minor for event in events],
                [event.balance_after_minor for event in events],
                [event.position for event in events],
            )
        last = entries[-1]
        await connection.execute(
            _MOVE_HEAD, self._ledger_id, last.seq, last.entry_id, last.recorded_at
        )

    async def keep_answers(
        self, connection: asyncpg.Connection, kept: Sequence[KeptAnswer], recorded_at: datetime
    ) -> None:
        """Append the first answers under their keys."""
        if not kept:
            return
        await connection.execute(
            _APPEND_KEYS,
            self._ledger_id,
            recorded_at,
            [one.key_hash for one in kept],
            [one.fingerprint for one in kept],
            [one.seq for one in kept],
            [one.answer.status for one in kept],
            [one.answer.document for one in kept],
        )

    async def take_over(self, connection: asyncpg.Connection) -> None:
        """Hold the head and start a new epoch, so that nobody's older commit can still land."""
        await self.lock_head(connection)
        await connection.execute(_BUMP_EPOCH, self._ledger_id)

    async def has_entry(self, connection: asyncpg.Connection, entry_id: UUID) -> bool:
        """Tell whether the journal holds the entry."""
        found: bool = await connection.fetchval(_HAS_ENTRY, self._ledger_id, entry_id)
        return found

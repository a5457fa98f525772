"""The event store: the only writer of the log, and the keeper of a ledger's head row.

Every method runs on the committer's own connection. A batch is written by one statement that first
compares the head with the one on which the batch was decided and sets it behind the batch; where
the head has moved meanwhile, nothing is written. Thousands of rows go by COPY instead, in a
transaction that begins with the same comparison.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from ledger_service.copy_rows import event_rows, journal_rows, key_rows
from ledger_service.domain.batch import Decided
from ledger_service.domain.entries import Entry
from ledger_service.domain.payloads import outcome_columns, payload_text
from ledger_service.projections.engine import ACCOUNT_KEYS, ACCOUNTS, BALANCES, ProjectionEngine
from shared.bulk import Bulk, Row

COPY_ENTRIES_MIN = 256
"""From so many entries on, COPY costs PostgreSQL less than arrays do."""

_JOURNAL = Bulk(
    "ledger",
    "journal",
    {
        "ledger_id": "integer",
        "seq": "bigint",
        "entry_id": "uuid",
        "kind": "text",
        "effective_at": "timestamptz",
        "recorded_at": "timestamptz",
        "reference": "text",
        "payload": "json",
    },
)
_EVENTS = Bulk(
    "ledger",
    "events",
    {
        "ledger_id": "integer",
        "seq": "bigint",
        "line": "smallint",
        "account_id": "uuid",
        "transaction_id": "uuid",
        "direction": "text",
        "amount_minor": "bigint",
        "balance_after_minor": "bigint",
        "position": "bigint",
    },
)
_IDEMPOTENCY = Bulk(
    "ledger",
    "idempotency",
    {
        "ledger_id": "integer",
        "key_hash": "bytea",
        "fingerprint": "bytea",
        "seq": "bigint",
        "refusal": "text",
        "recorded_at": "timestamptz",
    },
)

# Where the ledger's history ends.
_READ_HEAD = """
SELECT last_seq, last_entry_id, last_recorded_at, epoch FROM ledger.ledgers WHERE ledger_id = $1
"""

# Take the ledger: whoever holds this row writes next.
_LOCK_HEAD = f"{_READ_HEAD} FOR NO KEY UPDATE"

# Move the head from where the batch was decided to where it ends; no row where it is elsewhere.
_MOVE_HEAD = """
UPDATE ledger.ledgers SET last_seq = $2, last_entry_id = $3, last_recorded_at = $4
WHERE ledger_id = $1 AND last_seq = $5 AND last_entry_id IS NOT DISTINCT FROM $6 AND epoch = $7
RETURNING ledger_id
"""

_HEAD_PARAMETERS = 7


def _move_balances(first_parameter: int, source: str) -> str:
    return BALANCES.update(ACCOUNT_KEYS, first_parameter, source) + " RETURNING 1"


def _write_all() -> str:
    """Return the statement that writes all of a batch: every part needs the row of `head`."""
    parts, parameter = [f"head AS ({_MOVE_HEAD})"], _HEAD_PARAMETERS + 1
    for name, bulk, write in (
        ("entries", _JOURNAL, _JOURNAL.insert),
        ("events", _EVENTS, _EVENTS.insert),
        ("keys", _IDEMPOTENCY, _IDEMPOTENCY.insert),
        ("accounts", ACCOUNTS, ACCOUNTS.insert),
        ("opened", BALANCES, BALANCES.insert),
        ("moved", BALANCES, _move_balances),
    ):
        parts.append(f"{name} AS ({write(parameter, 'head')})")
        parameter += len(bulk.columns)
    moved = f"(SELECT count(*) FROM moved) = cardinality(${parameter - 1}::bigint[])"  # noqa: S608
    # An account without its balance is damage: the division by zero undoes the whole statement.
    return (
        f"WITH {', '.join(parts)} "  # noqa: S608
        f"SELECT count(*) / CASE WHEN count(*) = 0 OR {moved} THEN 1 ELSE 0 END FROM head"
    )


_WRITE_ALL = _write_all()

# Make every writer with an older epoch lose.
_BUMP_EPOCH = "UPDATE ledger.ledgers SET epoch = epoch + 1 WHERE ledger_id = $1"

# Whether an entry is in the journal.
_HAS_ENTRY = "SELECT EXISTS (SELECT FROM ledger.journal WHERE ledger_id = $1 AND entry_id = $2)"

# Whether a refusal was kept at that very moment.
_HAS_KEY = """
SELECT EXISTS (
    SELECT FROM ledger.idempotency WHERE ledger_id = $1 AND key_hash = $2 AND recorded_at = $3
)
"""


class Head(NamedTuple):
    """Where a ledger's history ends; `epoch` counts take-overs after doubt."""

    last_seq: int
    last_entry_id: UUID | None
    last_recorded_at: datetime | None
    epoch: int

    def behind(self, entries: Sequence[Entry]) -> "Head":
        """Return the head once `entries` are appended."""
        if not entries:
            return self
        last = entries[-1]
        return Head(last.seq, last.entry_id, last.recorded_at, self.epoch)


class CopyRows(NamedTuple):
    """The rows of a large batch as PostgreSQL takes them, in blocks."""

    journal: Sequence[bytes]
    events: Sequence[bytes]
    keys: Sequence[bytes]


def is_large(decided: Decided) -> bool:
    """Tell whether the batch is written by COPY."""
    return len(decided.entries) >= COPY_ENTRIES_MIN


class EventStore:
    """Reads and appends the log of one ledger."""

    def __init__(self, ledger_id: int) -> None:
        self._ledger_id = ledger_id
        self._projections = ProjectionEngine(ledger_id)

    async def read_head(self, connection: asyncpg.Connection, *, lock: bool) -> Head:
        """Return the head; with `lock` take its row until the transaction ends."""
        statement = _LOCK_HEAD if lock else _READ_HEAD
        row = await connection.fetchrow(statement, self._ledger_id)
        assert row is not None, f"ledger {self._ledger_id} has no head row"
        return Head(*row)

    async def encode(self, decided: Decided) -> CopyRows | None:
        """Return the rows for COPY if the batch is large: PostgreSQL need not wait for them then.

        Others get their turn between two blocks.
        """
        if not is_large(decided):
            return None
        kept = list(decided.kept.values())
        encoded: list[list[bytes]] = []
        for rows in (
            journal_rows(self._ledger_id, decided.entries),
            event_rows(self._ledger_id, decided.events),
            key_rows(self._ledger_id, kept, decided.recorded_at),
        ):
            encoded.append([])
            for block in rows:
                encoded[-1].append(block)
                await asyncio.sleep(0)
        return CopyRows(*encoded)

    async def write(
        self, connection: asyncpg.Connection, base: Head, decided: Decided, rows: CopyRows | None
    ) -> bool:
        """Write what was decided on top of `base`; False, and nothing written, if that is past.

        `rows` is what `encode` made of it.
        """
        if rows is not None:
            return await self._write_by_copy(connection, base, decided, rows)
        if not decided.is_plain:
            return await self._write_in_steps(connection, base, decided)
        opened, moved = self._projections.balance_rows(decided)
        return bool(
            await connection.fetchval(
                _WRITE_ALL,
                *self._head_parameters(base, decided),
                *_JOURNAL.arrays(self._entry_rows(decided)),
                *_EVENTS.arrays(self._event_rows(decided)),
                *_IDEMPOTENCY.arrays(self._key_rows(decided)),
                *ACCOUNTS.arrays(self._projections.account_rows(decided)),
                *BALANCES.arrays(opened),
                *BALANCES.arrays(moved),
            )
        )

    async def _write_by_copy(
        self, connection: asyncpg.Connection, base: Head, decided: Decided, rows: CopyRows
    ) -> bool:
        async with connection.transaction():
            if not await connection.fetchval(_MOVE_HEAD, *self._head_parameters(base, decided)):
                return False
            await _JOURNAL.copy(connection, rows.journal)
            await _EVENTS.copy(connection, rows.events)
            await _IDEMPOTENCY.copy(connection, rows.keys)
            await self._projections.project(connection, decided)
        return True

    async def _write_in_steps(
        self, connection: asyncpg.Connection, base: Head, decided: Decided
    ) -> bool:
        async with connection.transaction():
            if not await connection.fetchval(_MOVE_HEAD, *self._head_parameters(base, decided)):
                return False
            for bulk, rows in (
                (_JOURNAL, self._entry_rows(decided)),
                (_EVENTS, self._event_rows(decided)),
                (_IDEMPOTENCY, self._key_rows(decided)),
            ):
                if rows:
                    await connection.execute(bulk.insert(1), *bulk.arrays(rows))
            await self._projections.project(connection, decided)
        return True

    def _head_parameters(self, base: Head, decided: Decided) -> Row:
        after = base.behind(decided.entries)
        return self._ledger_id, *after[:3], base.last_seq, base.last_entry_id, base.epoch

    def _entry_rows(self, decided: Decided) -> list[Row]:
        return [
            (
                self._ledger_id,
                entry.seq,
                entry.entry_id,
                entry.kind,
                entry.effective_at,
                entry.recorded_at,
                entry.reference,
                payload_text(entry.body),
            )
            for entry in decided.entries
        ]

    def _event_rows(self, decided: Decided) -> list[Row]:
        return [(self._ledger_id, *event) for event in decided.events]

    def _key_rows(self, decided: Decided) -> list[Row]:
        return [
            (self._ledger_id, *key, *outcome_columns(outcome), decided.recorded_at)
            for key, outcome in decided.kept.values()
        ]

    async def take_over(self, connection: asyncpg.Connection) -> None:
        """Hold the head and start a new epoch, so that nobody's older commit can still land."""
        await self.read_head(connection, lock=True)
        await connection.execute(_BUMP_EPOCH, self._ledger_id)

    async def has(self, connection: asyncpg.Connection, decided: Decided) -> bool:
        """Tell whether what was decided is in the log."""
        if decided.entries:
            last = decided.entries[-1].entry_id
            return bool(await connection.fetchval(_HAS_ENTRY, self._ledger_id, last))
        key_hash = next(iter(decided.kept))
        parameters = self._ledger_id, key_hash, decided.recorded_at
        return bool(await connection.fetchval(_HAS_KEY, *parameters))

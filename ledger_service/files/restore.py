"""Reads an exported ledger into an empty one: all of it as it was, or nothing.

under the lock of the head, in one transaction
    1. each entry is checked and folded       its events must be those that the fold makes
    2. entries, events and keys are copied    payloads, ids and times as they are in the file
    3. projections are made of the fold       not from the file: it has none
    4. the head is set, its epoch raised      a service that runs finds that the head has moved
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import asyncpg

from ledger_service.domain.canonical import StoredEntry, StoredKey
from ledger_service.domain.payloads import declined_of
from ledger_service.event_store import EventStore
from ledger_service.export_format import BadExport, ExportReader, Header, TableRow
from ledger_service.files.export import SEAL_TABLES, Progress
from ledger_service.projections.compare import PROJECTIONS, Replay, insert_rows
from ledger_service.projections.follow import DoesNotFollow, follow
from ledger_service.tables import LEDGER_PATTERN
from shared.bulk import Row

ROWS_PER_COPY = 5_000
SEAL_ROWS_PER_INSERT = 20
KEY_BYTES = 16

# Imports go one after another: none sees the accounts of one that has not ended.
_TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtext('kairon import'))"
_FIND = "SELECT ledger_id FROM ledger.ledgers WHERE name = $1"
_ADD = """
INSERT INTO ledger.ledgers (ledger_id, name)
SELECT max(ledger_id) + 1, $1 FROM ledger.ledgers
ON CONFLICT DO NOTHING
"""

# A kept refusal may stand in a ledger that has no entry yet.
_HAS_KEYS = "SELECT EXISTS (SELECT FROM ledger.idempotency WHERE ledger_id = $1)"

# An account that another ledger of this database has as well.
_TWIN = """
SELECT a.account_id, l.name FROM ledger.accounts a
JOIN ledger.accounts b ON b.account_id = a.account_id AND b.ledger_id <> a.ledger_id
JOIN ledger.ledgers l ON l.ledger_id = b.ledger_id
WHERE a.ledger_id = $1 LIMIT 1
"""
_SET_HEAD = """
UPDATE ledger.ledgers
SET last_seq = $2, last_entry_id = $3, last_recorded_at = $4, epoch = epoch + 1
WHERE ledger_id = $1
"""

_ENTRY_COLUMNS = (
    "ledger_id",
    "seq",
    "entry_id",
    "kind",
    "effective_at",
    "recorded_at",
    "reference",
    "payload",
)
_EVENT_COLUMNS = (
    "ledger_id",
    "seq",
    "line",
    "account_id",
    "transaction_id",
    "direction",
    "amount_minor",
    "balance_after_minor",
    "position",
)
_KEY_COLUMNS = ("ledger_id", "recorded_at", "key_hash", "fingerprint", "seq", "refusal")


class ImportRefused(Exception):
    """The ledger cannot take the file; the message is a sentence."""


class Imported(NamedTuple):
    """What was read, and the name of the ledger that has it now."""

    ledger: str
    header: Header


async def import_ledger(
    connection: asyncpg.Connection,
    reader: ExportReader,
    *,
    ledger: str | None = None,
    progress: Progress = lambda done, total: None,
) -> Imported:
    """Read the file into the empty ledger of its name, or of `ledger`; it is made if need be.

    Raises BadExport, which names the line where that can be, where the file is not whole or its
    books do not follow from its entries, and ImportRefused where the ledger is not empty. Nothing
    is written then.
    """
    name = ledger or reader.header.ledger
    if not re.fullmatch(LEDGER_PATTERN, name):
        raise ImportRefused(f"{name!r} is no name of a ledger; --ledger names another one.")
    with _told_as_sentences(reader):
        async with connection.transaction():
            await connection.execute(_TAKE_TURN)
            ledger_id = await _find_or_add(connection, name)
            head = await EventStore(ledger_id).read_head(connection, lock=True)
            if head.last_seq or await connection.fetchval(_HAS_KEYS, ledger_id):
                raise ImportRefused(
                    f"The ledger {name} is not empty; --ledger names another one, "
                    f"which is made if it is not there."
                )
            replay = await _Writer(connection, ledger_id, reader).write(progress)
            await _project(connection, ledger_id, replay)
            if twin := await connection.fetchrow(_TWIN, ledger_id):
                raise ImportRefused(
                    f"The ledger {twin[1]} of this database has the account {twin[0]} already: "
                    f"one account cannot be in two ledgers."
                )
            last = replay.last
            end = (last.seq, last.entry_id, last.recorded_at) if last else (0, None, None)
            if end != reader.header[1:4]:
                raise BadExport(f"The file ends with {end}, its header says {reader.header[1:4]}.")
            await connection.execute(_SET_HEAD, ledger_id, *end)
    return Imported(name, reader.header)


async def _find_or_add(connection: asyncpg.Connection, name: str) -> int:
    while (ledger_id := await connection.fetchval(_FIND, name)) is None:
        await connection.execute(_ADD, name)  # in vain where another took the number: again
    found: int = ledger_id
    return found


class _Writer:
    """Checks and copies the lines of a file in their order, some thousand at a time."""

    def __init__(
        self, connection: asyncpg.Connection, ledger_id: int, reader: ExportReader
    ) -> None:
        self._connection = connection
        self._ledger_id = ledger_id
        self._reader = reader
        self._replay = Replay()
        self._last_key: tuple[Any, ...] = ()
        self._entries: list[Row] = []
        self._events: list[Row] = []
        self._keys: list[Row] = []
        self._rows: list[TableRow] = []

    async def write(self, progress: Progress) -> Replay:
        """Copy all lines, and return what replaying them has made."""
        counts = self._reader.header.counts
        total, done = counts.entries + counts.keys + counts.rows, 0
        for line in self._reader:
            if isinstance(line, StoredEntry):
                self._take_entry(line)
            elif isinstance(line, StoredKey):
                self._take_key(line)
            else:
                self._take_row(line)
            done += 1
            is_full = len(self._entries) + len(self._keys) >= ROWS_PER_COPY
            if is_full or len(self._rows) >= SEAL_ROWS_PER_INSERT:
                await self._flush()
                progress(done, total)
        await self._flush()
        progress(done, total)
        return self._replay

    def _take_entry(self, stored: StoredEntry) -> None:
        try:
            changes = follow(self._replay, stored)
        except DoesNotFollow as error:
            raise self._bad(str(error)) from None
        self._entries.append((self._ledger_id, *stored[:7]))
        self._events += [(self._ledger_id, *event) for event in changes.events]

    def _take_key(self, key: StoredKey) -> None:
        if key[:2] <= self._last_key:
            raise self._bad("the keys are not in the order of recorded_at and key_hash")
        self._last_key = key[:2]
        if len(key.key_hash) != KEY_BYTES or len(key.fingerprint) != KEY_BYTES:
            raise self._bad(f"a key and its fingerprint have {KEY_BYTES} bytes each")
        if key.seq is not None and not 0 < key.seq <= self._replay.state.last_seq:
            raise self._bad(f"the key stands for seq {key.seq}, which there is not")
        if key.refusal is not None:
            try:
                declined_of(key.refusal)
            except (KeyError, TypeError, ValueError) as error:
                raise self._bad(f"the refusal that the key keeps is damaged: {error!r}") from None
        self._keys.append((self._ledger_id, *key))

    def _take_row(self, row: TableRow) -> None:
        table = SEAL_TABLES.get(row.table)
        if table is None:
            raise self._bad(f"there is no table of seals {row.table}")
        if {*row.values} != {column.name for column in table.columns} - {"ledger_id"}:
            raise self._bad(f"the columns are not those of {row.table}")
        self._rows.append(row)

    async def _flush(self) -> None:
        await self._copy("journal", _ENTRY_COLUMNS, self._entries)
        await self._copy("events", _EVENT_COLUMNS, self._events)
        await self._copy("idempotency", _KEY_COLUMNS, self._keys)
        for name, table in SEAL_TABLES.items():
            columns = [column.name for column in table.columns if column.name != "ledger_id"]
            values = [row.values for row in self._rows if row.table == name]
            if values:
                await self._connection.execute(
                    f"INSERT INTO ledger.{name} (ledger_id, {', '.join(columns)}) "  # noqa: S608
                    f"SELECT $1, {', '.join(columns)} "
                    f"FROM json_populate_recordset(NULL::ledger.{name}, $2::json)",
                    self._ledger_id,
                    json.dumps(values),
                )
        self._rows.clear()

    async def _copy(self, table: str, columns: tuple[str, ...], rows: list[Row]) -> None:
        if rows:
            await self._connection.copy_records_to_table(
                table, schema_name="ledger", columns=columns, records=rows
            )
        rows.clear()

    def _bad(self, sentence: str) -> BadExport:
        return BadExport(f"{sentence}.", self._reader.line)


async def _project(connection: asyncpg.Connection, ledger_id: int, replay: Replay) -> None:
    for projection in PROJECTIONS:
        await insert_rows(connection, ledger_id, projection, replay.rows(projection))


@contextmanager
def _told_as_sentences(reader: ExportReader) -> Iterator[None]:
    """Say what PostgreSQL has against the rows: it checks what no line can show by itself."""
    try:
        yield
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
        raise BadExport(
            f"The database refuses what was read up to line {reader.line}: {error}."
        ) from None
    except (ValueError, OverflowError) as error:  # asyncpg's own, before it is sent
        raise BadExport(f"What was read up to line {reader.line} does not fit: {error}.") from None

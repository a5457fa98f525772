"""Writes a whole ledger to a file, as of one instant, beside a service that goes on."""

import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import asyncpg
from sqlalchemy import Table

from ledger_service.export_format import Counts, ExportWriter, Header, TableRow
from ledger_service.tables import seal_blocks, seal_leaves, seals
from ledger_service.trust.log_reader import entry_pages, keys_between

SEAL_TABLES = {table.name: table for table in (seals, seal_leaves, seal_blocks)}
ENTRIES_PER_READ = 5_000
ROWS_PER_FETCH = 50
_FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)

Progress = Callable[[int, int], None]
"""Told how many lines are done, and how many there are."""

# Where the history of a ledger ends, and how much of it there is.
_HEAD = """
SELECT ledger_id, last_seq, last_entry_id, last_recorded_at,
       (SELECT count(*) FROM ledger.journal j WHERE j.ledger_id = l.ledger_id) AS entries,
       (SELECT count(*) FROM ledger.events e WHERE e.ledger_id = l.ledger_id) AS events,
       (SELECT count(*) FROM ledger.idempotency i WHERE i.ledger_id = l.ledger_id) AS keys
FROM ledger.ledgers l WHERE name = $1
"""


class ExportRefused(Exception):
    """The ledger cannot be exported to that file; the message is a sentence."""


@contextmanager
def new_file(path: Path, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears at `path` when all is written, or never.

    Only its owner may read it. Raises ExportRefused where `path` is there and not to be
    overwritten, OSError where it cannot be written.
    """
    if path.exists() and not overwrite:
        raise ExportRefused(f"{path} is there already; --force overwrites it.")
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        unfinished = Path(file.name)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if path.exists() and not overwrite:
                raise ExportRefused(f"{path} has appeared meanwhile; --force overwrites it.")
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


async def export_ledger(
    connection: asyncpg.Connection,
    ledger: str,
    file: IO[bytes],
    *,
    compress: bool = False,
    progress: Progress = lambda done, total: None,
) -> tuple[Header, str]:
    """Write all of `ledger`, as of one instant; return the header and the SHA-256 of the trailer.

    Raises ExportRefused where there is no such ledger, or events belong to no entry.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await _write(connection, ledger, file, compress=compress, progress=progress)


async def _write(
    connection: asyncpg.Connection,
    ledger: str,
    file: IO[bytes],
    *,
    compress: bool,
    progress: Progress,
) -> tuple[Header, str]:
    head = await connection.fetchrow(_HEAD, ledger)
    if head is None:
        raise ExportRefused(f"There is no ledger {ledger}.")
    ledger_id = head["ledger_id"]
    rows = 0
    for table in SEAL_TABLES.values():
        # names of tables and columns are this program's own; values are parameters
        count = f"SELECT count(*) FROM ledger.{table.name} WHERE ledger_id = $1"  # noqa: S608
        rows += await connection.fetchval(count, ledger_id)
    counts = Counts(head["entries"], head["events"], head["keys"], rows)
    header = Header(
        ledger, head["last_seq"], head["last_entry_id"], head["last_recorded_at"], counts
    )
    writer = ExportWriter(file, header, compress=compress)
    total, done = counts.entries + counts.keys + counts.rows, 0
    progress(done, total)
    async for page in entry_pages(connection, ledger_id, rows=ENTRIES_PER_READ):
        if page.strays:
            raise ExportRefused(
                f"Events of seq {page.strays[0]} belong to no entry: the log is damaged, "
                f"and `ledger verify` says how."
            )
        for entry in page.entries:
            writer.entry(entry)
        done += len(page.entries)
        progress(done, total)
    async for key in keys_between(connection, ledger_id, before=_FOR_EVER):
        writer.key(key)
        done += 1
        if done % ENTRIES_PER_READ == 0:
            progress(done, total)
    for table in SEAL_TABLES.values():
        async for row in _rows(connection, ledger_id, table):
            writer.row(row)
    progress(total, total)
    return header, writer.finish()


async def _rows(
    connection: asyncpg.Connection, ledger_id: int, table: Table
) -> AsyncIterator[TableRow]:
    columns = [column.name for column in table.columns if column.name != "ledger_id"]
    order = [column.name for column in table.primary_key.columns]
    statement = (
        f"SELECT row_to_json(r)::text FROM (SELECT {', '.join(columns)} "  # noqa: S608
        f"FROM ledger.{table.name} WHERE ledger_id = $1 ORDER BY {', '.join(order)}) r"
    )
    async for row in connection.cursor(statement, ledger_id, prefetch=ROWS_PER_FETCH):
        yield TableRow(table.name, json.loads(row[0]))

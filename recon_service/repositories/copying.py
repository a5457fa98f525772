"""Writes a frame into a table by COPY: the next rows are rendered while PostgreSQL takes these."""

import asyncio
import io
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import polars as pl

COPY_ROWS = 25_000
_BACKSLASH_DOT_IS_TEXT = 18  # the first major version of PostgreSQL for which it is
_END_OF_DATA = r"([\r\n])\\\."
_INSTANT_FORMAT = "%Y-%m-%dT%H:%M:%S%.6fZ"


async def copy_rows(connection: asyncpg.Connection, table: str, rows: pl.DataFrame) -> None:
    """Append rows to a table of the schema `recon`; the frame's columns are the table's."""
    if rows.is_empty():
        return
    if connection.get_server_version().major < _BACKSLASH_DOT_IS_TEXT:
        # A line of a text that begins with \. would end the data: it gets a space.
        rows = rows.with_columns(pl.col(pl.String).str.replace_all(_END_OF_DATA, "${1} \\."))
    await connection.copy_to_table(
        table,
        source=_csv_parts(rows),
        columns=rows.columns,
        schema_name="recon",
        format="csv",
    )


async def _csv_parts(rows: pl.DataFrame) -> AsyncIterator[bytes]:
    """Yield the rows as CSV, one part ahead of its reader."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "copy") as thread:
        ahead = None
        for part in rows.iter_slices(COPY_ROWS):
            following = loop.run_in_executor(thread, _csv, part)
            if ahead is not None:
                yield await ahead
            ahead = following
        if ahead is not None:
            yield await ahead


def _csv(rows: pl.DataFrame) -> bytes:
    """Return rows as CSV: null is nothing, an empty text is a pair of quotes."""
    text = io.BytesIO()
    rows.write_csv(text, include_header=False, datetime_format=_INSTANT_FORMAT)
    return text.getvalue()

"""Streams the rows of a query straight out of PostgreSQL's COPY, in constant memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import asyncpg
from fastapi.responses import StreamingResponse
from sqlalchemy import Select, String, case, func
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.elements import ColumnElement

CSV = "text/csv"
NDJSON = "application/x-ndjson"
STREAM_SECONDS_MAX = 3_600
_CHUNKS_WAITING_MAX = 16
_INSTANT_FORMAT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
_CSV_FORMULA_START = r"^[=+\-@\t\r]"
# A JSON text holds neither of these characters unescaped, so COPY never has to quote it.
_NDJSON_OPTIONS: dict[str, Any] = {"format": "csv", "delimiter": "\x02", "quote": "\x01"}
_CSV_OPTIONS: dict[str, Any] = {"format": "csv", "header": True}


def offered_stream(accept: str | None) -> str | None:
    """Return the streamed media type that an Accept header asks for, None for JSON pages."""
    wanted = (accept or "").lower()
    if CSV in wanted:
        return CSV
    if NDJSON in wanted:
        return NDJSON
    return None


def instant_text(instant: ColumnElement[Any]) -> ColumnElement[str]:
    """Return a timestamptz as RFC 3339 in UTC with microseconds."""
    return func.to_char(instant, _INSTANT_FORMAT, type_=String)


def csv_safe(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return user text as a spreadsheet may open it: a leading ' where it would be a formula."""
    return case((text.op("~")(_CSV_FORMULA_START), func.concat("'", text)), else_=text)


async def open_stream(
    database: AsyncEngine, statement: Select[Any], media_type: str
) -> StreamingResponse:
    """Return the rows of `statement` as a response that has begun, so that an error still shows."""
    chunks = stream_copy(database, statement, media_type)
    first = await anext(chunks, b"")

    async def all_chunks() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return StreamingResponse(all_chunks(), media_type=media_type)


async def stream_copy(
    database: AsyncEngine, statement: Select[Any], media_type: str
) -> AsyncGenerator[bytes]:
    """Yield the rows of `statement` as `media_type`; NDJSON takes one column of JSON text.

    The reader's pace is the writer's: COPY waits while chunks wait to be sent. A reader that
    leaves ends the COPY and its connection.
    """
    compiled = statement.compile(
        dialect=dialect.dialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"render_postcompile": True},
    )
    values = [compiled.params[name] for name in compiled.positiontup or ()]
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue(_CHUNKS_WAITING_MAX)
    async with database.connect() as connection:
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        assert isinstance(driver, asyncpg.Connection)
        copying = asyncio.create_task(
            _copy(driver, str(compiled), values, chunks, media_type), name="copy"
        )
        try:
            while (chunk := await chunks.get()) is not None:
                yield bytes(chunk)
            await copying
        finally:
            if not copying.done():
                copying.cancel()
                await asyncio.gather(copying, return_exceptions=True)
                await connection.invalidate()


async def _copy(
    driver: asyncpg.Connection,
    query: str,
    values: list[Any],
    chunks: asyncio.Queue[bytes | None],
    media_type: str,
) -> None:
    options = _CSV_OPTIONS if media_type == CSV else _NDJSON_OPTIONS
    try:
        await driver.copy_from_query(
            query, *values, output=chunks.put, timeout=STREAM_SECONDS_MAX, **options
        )
    finally:
        await chunks.put(None)

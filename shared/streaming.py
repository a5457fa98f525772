"""Streams the rows of a query straight out of PostgreSQL's COPY, in constant memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import asyncpg
from fastapi.responses import StreamingResponse
from sqlalchemy import Select, String, case, func
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.sql.elements import ColumnElement

from shared.database import connect
from shared.errors import QueueFull

CSV = "text/csv"
NDJSON = "application/x-ndjson"
STREAM_SECONDS_MAX = 3_600
READER_PAUSE_SECONDS_MAX = 60
_CHUNKS_WAITING_MAX = 16
_INSTANT_FORMAT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
_CSV_FORMULA_START = r"^[=+\-@\t\r\n]"
# A JSON text holds neither of these characters unescaped, so COPY never has to quote it.
_NDJSON_OPTIONS: dict[str, Any] = {"format": "csv", "delimiter": "\x02", "quote": "\x01"}
_CSV_OPTIONS: dict[str, Any] = {"format": "csv", "header": True}


def offered_stream(accept: str | None) -> str | None:
    """Return the streamed media type that an Accept header prefers, None for JSON pages."""
    best, best_quality = None, 0.0
    for choice in (accept or "").lower().split(","):
        media_type, *parameters = (part.strip() for part in choice.split(";"))
        quality = _quality(parameters)
        if quality > best_quality:
            best, best_quality = media_type, quality
    return best if best in (CSV, NDJSON) else None


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def instant_text(instant: ColumnElement[Any]) -> ColumnElement[str]:
    """Return a timestamptz as RFC 3339 in UTC with microseconds."""
    return func.to_char(instant, _INSTANT_FORMAT, type_=String)


def csv_safe(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return user text as a spreadsheet may open it: a leading ' where it would be a formula."""
    return case((text.op("~")(_CSV_FORMULA_START), func.concat("'", text)), else_=text)


class Streams:
    """Opens streams, a bounded number at a time, each on a connection of its own.

    A slow reader holds up nobody else, and a reader that leaves takes its connection with it.
    """

    def __init__(self, url: str, *, application_name: str, streams_max: int) -> None:
        self._url = url
        self._application_name = application_name
        self._streams_max = streams_max
        self._open = 0

    async def response(self, statement: Select[Any], media_type: str) -> StreamingResponse:
        """Return the rows of `statement` as `media_type`; NDJSON takes one column of JSON text.

        The response has begun when this returns, so that an error still shows as one. Raises
        QueueFull.
        """
        chunks = self._chunks(statement, media_type)
        first = await anext(chunks, b"")

        async def all_chunks() -> AsyncIterator[bytes]:
            yield first
            async for chunk in chunks:
                yield chunk

        return StreamingResponse(all_chunks(), media_type=media_type)

    async def _chunks(self, statement: Select[Any], media_type: str) -> AsyncGenerator[bytes]:
        if self._open >= self._streams_max:
            raise QueueFull(f"{self._open} lists are being streamed", streams_max=self._streams_max)
        self._open += 1
        try:
            connection = await connect(
                self._url,
                application_name=self._application_name,
                statement_timeout_ms=STREAM_SECONDS_MAX * 1_000,
                command_seconds_max=None,
            )
            try:
                async for chunk in _copied(connection, statement, media_type):
                    yield chunk
            finally:
                connection.terminate()  # also from the middle of a COPY, without waiting
        finally:
            self._open -= 1


async def _copied(
    connection: asyncpg.Connection, statement: Select[Any], media_type: str
) -> AsyncGenerator[bytes]:
    """Yield what COPY writes, at the reader's pace: it waits while chunks wait to be sent."""
    compiled = statement.compile(
        dialect=dialect.dialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"render_postcompile": True},
    )
    values = [compiled.params[name] for name in compiled.positiontup or ()]
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue(_CHUNKS_WAITING_MAX)

    async def put(chunk: bytes | None) -> None:
        async with asyncio.timeout(READER_PAUSE_SECONDS_MAX):
            await chunks.put(chunk)

    async def copy() -> None:
        options = _CSV_OPTIONS if media_type == CSV else _NDJSON_OPTIONS
        try:
            await connection.copy_from_query(
                str(compiled), *values, output=put, timeout=STREAM_SECONDS_MAX, **options
            )
            await put(None)
        except Exception:
            while chunks.full():  # the stream fails: what waits is not sent, but its end is
                chunks.get_nowait()
            chunks.put_nowait(None)
            raise

    copying = asyncio.create_task(copy(), name="copy")
    try:
        while (chunk := await chunks.get()) is not None:
            yield bytes(chunk)
        await copying
    finally:
        copying.cancel()
        copying.add_done_callback(_forget)


def _forget(task: asyncio.Task[None]) -> None:
    """Look at the task's error, which its reader has seen or is no longer there to see."""
    if not task.cancelled():
        task.exception()

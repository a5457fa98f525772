"""Streams the rows of a query straight out of PostgreSQL's COPY, in constant memory.

    PostgreSQL's COPY ──▶ blocks ──▶ gzip, where asked for ──▶ the reader's socket

Each step waits for the next one, down to PostgreSQL itself: no queue stands between them.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg
import structlog
from fastapi.responses import Response
from sqlalchemy import Select, String, func
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.sql.elements import ColumnElement
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from shared.database import connect
from shared.errors import QueueFull

CSV = "text/csv"
NDJSON = "application/x-ndjson"
# For programs that read millions of rows: a header, then what `tsv_columns` says of each row.
TSV = "text/tab-separated-values"
STREAM_SECONDS_MAX = 86_400  # a bound for what went wrong; the reader's pause is the real one
READER_PAUSE_SECONDS_MAX = 60
STOPPING_SECONDS_MAX = 5
_BLOCK_BYTES_MIN = 256 * 1024  # PostgreSQL hands over a few rows at a time: sending each is slow
_GZIP_LEVEL = 1
_GZIP_WINDOW = 31  # a deflate window of 15 bits, in gzip's frame
_INSTANT_FORMAT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
_CSV_FORMULA_START = r"^(?=[=+\-@\t\r\n])"
# A JSON text holds neither of these characters unescaped, so COPY never has to quote it.
_NDJSON_OPTIONS: dict[str, Any] = {"format": "csv", "delimiter": "\x02", "quote": "\x01"}
_CSV_OPTIONS: dict[str, Any] = {"format": "csv", "header": True}
_OPTIONS = {
    CSV: _CSV_OPTIONS,
    NDJSON: _NDJSON_OPTIONS,
    TSV: _CSV_OPTIONS | {"delimiter": "\t", "quote": "\x01"},
}
# Whoever reads in bulk shares the machine: PostgreSQL is to use one core for it, and then reads
# in the order of an index instead of sorting on disk.
_ONE_CORE = "SET max_parallel_workers_per_gather = 0"
log = structlog.get_logger()

Sink = Callable[[bytes], Awaitable[None]]
Produce = Callable[[Sink], Awaitable[None]]


def offered_stream(accept: str | None, *more: str) -> str | None:
    """Return the streamed media type that an Accept header prefers, None for JSON pages.

    CSV and NDJSON are always offered, and so is what the list has `more`.
    """
    best = preferred(accept)
    return best if best in (CSV, NDJSON, *more) else None


def preferred(accept: str | None) -> str | None:
    """Return the media type that an Accept header prefers, the first one among equals."""
    best, best_quality = None, 0.0
    for media_type, quality in _choices(accept):
        if quality > best_quality:
            best, best_quality = media_type, quality
    return best


def takes_gzip(accept_encoding: str | None) -> bool:
    """Tell whether an Accept-Encoding header names gzip, and not to refuse it."""
    return dict(_choices(accept_encoding)).get("gzip", 0.0) > 0


def _choices(header: str | None) -> list[tuple[str, float]]:
    found = []
    for choice in (header or "").lower().split(","):
        name, *parameters = (part.strip() for part in choice.split(";"))
        found.append((name, _quality(parameters)))
    return found


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


class PlainText(String):
    """A text that holds nothing that JSON would escape."""

    cache_ok = True


def instant_text(instant: ColumnElement[Any]) -> ColumnElement[str]:
    """Return a timestamptz as RFC 3339 in UTC with microseconds."""
    return func.to_char(func.timezone("UTC", instant), _INSTANT_FORMAT, type_=PlainText)


def csv_safe(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return user text as a spreadsheet may open it: a leading ' where it would be a formula."""
    return func.regexp_replace(text, _CSV_FORMULA_START, "'", type_=String)


class StreamedResponse(Response):
    """Sends what `produce` hands to its sink, as fast as the reader takes it and no faster.

    Nothing is sent before the first block, so an error until then still shows as a problem. The
    production is cancelled when the reader leaves, or takes nothing for READER_PAUSE_SECONDS_MAX.
    An answer that is cut short lacks its end, so that no reader takes a part for the whole.
    """

    def __init__(
        self,
        produce: Produce,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        compressible: bool = True,
    ) -> None:
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self._produce = produce
        self._compressible = compressible
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._compressible:
            self.headers["Vary"] = "Accept, Accept-Encoding"
            if takes_gzip(Headers(scope=scope).get("accept-encoding")):
                self.headers["Content-Encoding"] = "gzip"
        sending = asyncio.create_task(self._send_all(send), name="stream")
        leaving = asyncio.create_task(_until_left(receive), name="stream's reader")
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and not sending.cancelled():
                sending.result()
        except ReaderStoodStill:
            log.info("stream_cut", path=scope["path"], reason="the reader stood still")
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send_all(self, send: Send) -> None:
        started = False

        async def send_block(block: bytes, more: bool = True) -> None:
            nonlocal started
            try:
                async with asyncio.timeout(READER_PAUSE_SECONDS_MAX):
                    if not started:
                        started = True
                        await send(
                            {
                                "type": "http.response.start",
                                "status": self.status_code,
                                "headers": self.raw_headers,
                            }
                        )
                    await send({"type": "http.response.body", "body": block, "more_body": more})
            except TimeoutError:
                raise ReaderStoodStill from None

        if "Content-Encoding" in self.headers:
            compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)

            async def send_compressed(block: bytes) -> None:
                compressed = await asyncio.to_thread(compressor.compress, block)
                if compressed:
                    await send_block(compressed)

            await self._produce(send_compressed)
            await send_block(compressor.flush(), more=False)
        else:
            await self._produce(send_block)
            await send_block(b"", more=False)


class ReaderStoodStill(Exception):
    """The reader of a stream took nothing for too long."""


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Streams:
    """Opens streams, a bounded number at a time, each on a connection of its own.

    A slow reader holds up nobody else, and a reader that leaves takes its connection with it.
    """

    def __init__(self, url: str, *, application_name: str, streams_max: int) -> None:
        self._url = url
        self._application_name = application_name
        self._streams_max = streams_max
        self._open: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def response(self, statement: Select[Any], media_type: str) -> StreamedResponse:
        """Return the rows of `statement` as `media_type`; NDJSON takes one column of JSON text.

        Sending it raises QueueFull where too many are open.
        """

        async def produce(sink: Sink) -> None:
            await self._copy(statement, media_type, sink)

        return StreamedResponse(produce, media_type=media_type)

    def stop(self) -> None:
        """Begin no more streams; cut those that are still open after STOPPING_SECONDS_MAX."""
        if not self._stopping:
            self._stopping = True
            asyncio.get_running_loop().call_later(STOPPING_SECONDS_MAX, self._cut)

    def _cut(self) -> None:
        for task in self._open:
            task.cancel()

    async def _copy(self, statement: Select[Any], media_type: str, sink: Sink) -> None:
        if self._stopping:
            raise QueueFull("the service is shutting down")
        if len(self._open) >= self._streams_max:
            raise QueueFull(
                f"{len(self._open)} lists are being streamed", streams_max=self._streams_max
            )
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            connection = await connect(
                self._url,
                application_name=self._application_name,
                statement_timeout_ms=STREAM_SECONDS_MAX * 1_000,
                command_seconds_max=None,
            )
            try:
                await _copy_rows(connection, statement, media_type, sink)
            finally:
                connection.terminate()  # also from the middle of a COPY, without waiting
        finally:
            self._open.discard(task)


async def _copy_rows(
    connection: asyncpg.Connection, statement: Select[Any], media_type: str, sink: Sink
) -> None:
    """Hand what COPY writes to `sink` in blocks; PostgreSQL waits while the sink does."""
    compiled = statement.compile(
        dialect=dialect.dialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"render_postcompile": True},
    )
    values = [compiled.params[name] for name in compiled.positiontup or ()]
    pieces: list[bytes] = []
    gathered_bytes = 0

    async def gather(piece: bytes) -> None:
        nonlocal gathered_bytes
        pieces.append(piece)
        gathered_bytes += len(piece)
        if gathered_bytes >= _BLOCK_BYTES_MIN:
            block = b"".join(pieces)
            pieces.clear()
            gathered_bytes = 0
            await sink(block)

    if media_type == TSV:
        await connection.execute(_ONE_CORE)
    options = _OPTIONS[media_type]
    await connection.copy_from_query(str(compiled), *values, output=gather, **options)
    if pieces:
        await sink(b"".join(pieces))

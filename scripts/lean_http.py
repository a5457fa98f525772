"""A lean HTTP/1.1 client for load: one keep-alive connection, and what became of each request.

A program that retries must know whether its request can have had an effect. So the errors tell:
NotSent, nothing of it has left; AnswerLost, it may have been carried out.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEAD_BYTES_MAX = 65_536


class NotSent(ConnectionError):
    """No connection: the server has seen nothing of the request."""


class AnswerLost(ConnectionError):
    """The connection ended between the request and its whole answer."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class LeanClient:
    """One connection to a server on this machine, opened when needed; one request at a time."""

    def __init__(self, port: int, *, seconds_max: float = 60.0) -> None:
        self.port = port
        self._seconds_max = seconds_max
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> Response:
        return await self.request("GET", path)

    async def post(self, path: str, document: Any, *, key: str | None = None) -> Response:
        """Send `document` as JSON, under an Idempotency-Key if there is one."""
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        body = json.dumps(document, separators=(",", ":")).encode()
        return await self.request("POST", path, body=body, headers=headers)

    async def request(
        self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return the whole answer. Raises NotSent, AnswerLost, or TimeoutError."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        reader, writer = await self._connected()
        is_whole = False
        try:
            async with asyncio.timeout(self._seconds_max):
                writer.write("\r\n".join(lines).encode("latin-1") + body)
                await writer.drain()
                response = await _read_response(reader)
            is_whole = response.headers.get("connection", "").lower() != "close"
            return response
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise AnswerLost(repr(error)) from error
        finally:
            if not is_whole:  # also when cancelled: the rest of an answer must not be read later
                self.close()

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            try:
                async with asyncio.timeout(self._seconds_max):
                    self._streams = await asyncio.open_connection(
                        "127.0.0.1", self.port, limit=HEAD_BYTES_MAX
                    )
            except OSError as error:
                raise NotSent(repr(error)) from error
        return self._streams


async def _read_response(reader: asyncio.StreamReader) -> Response:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    status = int(status_line.split(" ", 2)[1])
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Response(status, headers, await _read_chunks(reader))
    return Response(status, headers, await reader.readexactly(int(headers["content-length"])))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(chunks)

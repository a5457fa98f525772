"""A receiver of webhooks on a real socket; it checks signatures by an implementation of its own."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

HANG_UP = 0
"""Instead of a status: read the request and close the connection without an answer."""


@dataclass
class Received:
    """A request as it came in, whole."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def is_signed_with(self, secret: str) -> bool:
        """Tell whether the signature is what Standard Webhooks asks for."""
        key = base64.b64decode(secret.split("_", 1)[1])
        told = b".".join(
            (self.message_id.encode(), self.headers["webhook-timestamp"].encode(), self.body)
        )
        wanted = base64.b64encode(hmac.digest(key, told, hashlib.sha256)).decode()
        return self.headers["webhook-signature"].split(" ") == [f"v1,{wanted}"]


@dataclass
class Receiver:
    """What came in; `answers` are given in turn, then 200. A `gate` that is shut holds answers."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    answer_body: bytes = b"ok"
    received: list[Received] = field(default_factory=list)
    arrived: asyncio.Queue[Received] = field(default_factory=asyncio.Queue)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: int = 0
    at_once_most: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [one.message_id for one in self.received]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _request(reader):
                self.at_once += 1
                self.at_once_most = max(self.at_once, self.at_once_most)
                self.received.append(request)
                self.arrived.put_nowait(request)
                try:
                    await self.gate.wait()
                finally:
                    self.at_once -= 1
                status = self.answers.pop(0) if self.answers else 200
                if status == HANG_UP:
                    return
                body = self.answer_body
                writer.write(b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n" % (status, len(body)))
                writer.write(b"Location: /elsewhere\r\n\r\n" + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the sender has gone
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Received | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode().split("\r\n")[:-2]
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Received(first.split(" ")[1], headers, body)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver whose gate is open."""
    receiver = Receiver()
    receiver.gate.set()
    server = await asyncio.start_server(receiver.handle, "127.0.0.1")
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.close()

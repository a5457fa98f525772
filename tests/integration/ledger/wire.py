"""A wire between a service and PostgreSQL that loses the answer to what it is told to."""

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class DeafWire:
    """Forwards bytes both ways; the next request with `break_at` in it is never answered.

    The connection is closed only when PostgreSQL has answered, so it has been done.
    """

    def __init__(self, database_url: str) -> None:
        self._parts = urlsplit(database_url)
        self.break_at: bytes | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        login = self._parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(self._parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._parts.hostname is not None
        server_reader, server_writer = await asyncio.open_connection(
            self._parts.hostname, self._parts.port
        )
        deaf = asyncio.Event()
        with suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(
                self._to_server(reader, server_writer, deaf),
                self._to_client(server_reader, writer, deaf),
            )
        for end in (writer, server_writer):
            end.close()

    async def _to_server(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deaf: asyncio.Event
    ) -> None:
        while data := await reader.read(65_536):
            if self.break_at is not None and self.break_at in data:
                self.break_at = None
                deaf.set()
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _to_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deaf: asyncio.Event
    ) -> None:
        while data := await reader.read(65_536):
            if deaf.is_set():
                break
            writer.write(data)
            await writer.drain()
        writer.close()

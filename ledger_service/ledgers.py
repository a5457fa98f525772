"""The ledgers of this service: each a book of its own, with its own history and its own writer.

`main` is always there. The others are known by name; another process may add one at any time, so
the list is read again every second. Nothing crosses from one ledger to another: every table's key
begins with the ledger, and a processor sees one ledger alone.
"""

import asyncio
import json
from contextlib import suppress
from typing import NamedTuple, Protocol
from uuid import UUID

import structlog

from ledger_service.feed import Feed
from ledger_service.processor import CommandProcessor
from ledger_service.tables import MAIN_LEDGER_ID, MAIN_LEDGER_NAME
from shared.database import Probes
from shared.problems import is_connection_trouble

REFRESH_SECONDS = 1.0
ACCOUNTS_REMEMBERED_MAX = 100_000
log = structlog.get_logger()

# All ledgers, by name.
_LEDGERS = "SELECT json_object_agg(name, ledger_id)::text FROM ledger.ledgers"

# A ledger by its name.
_FIND = "SELECT ledger_id FROM ledger.ledgers WHERE name = $1"

# A new ledger; no row where the name is taken already.
_ADD = """
INSERT INTO ledger.ledgers (ledger_id, name)
SELECT max(ledger_id) + 1, $1 FROM ledger.ledgers
ON CONFLICT DO NOTHING RETURNING ledger_id
"""

# The ledger that has an account.
_LEDGER_OF = """
SELECT l.name FROM ledger.ledgers l
JOIN ledger.accounts a ON a.ledger_id = l.ledger_id AND a.account_id = $1
"""


class Books(NamedTuple):
    """One ledger of this process: who writes it, and who follows it."""

    ledger_id: int
    name: str
    processor: CommandProcessor
    feed: Feed


class Open(Protocol):
    """Makes what a ledger needs in this process; nothing of it has begun yet."""

    def __call__(self, ledger_id: int, name: str) -> Books: ...


class Ledgers:
    """Finds ledgers by name, or by an account, and begins to serve those that are asked for."""

    def __init__(self, probes: Probes, open_books: Open) -> None:
        self._probes = probes
        self._open = open_books
        self._ids = {MAIN_LEDGER_NAME: MAIN_LEDGER_ID}
        self._served: dict[str, Books] = {}
        self._ledger_of: dict[UUID, str] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self.main = self._serve(MAIN_LEDGER_NAME)

    def start(self) -> None:
        """Begin to commit in the main ledger, and to learn of others."""
        self.main.processor.start()
        self._refreshing = asyncio.create_task(self._refresh_forever(), name="ledgers")

    async def stop(self) -> None:
        """Refuse new commands in every ledger and answer those that wait."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await self._refreshing
        await asyncio.gather(*(one.processor.stop() for one in self._served.values()))

    def stop_sending(self) -> None:
        """End the answers that do not end by themselves."""
        for books in self._served.values():
            books.feed.stop()

    @property
    def names(self) -> list[str]:
        """All ledgers, `main` first."""
        return sorted(self._ids, key=lambda name: self._ids[name])

    async def named(self, name: str) -> Books | None:
        """Return the ledger of this name, None where there is none."""
        if name not in self._ids:
            row = await self._probes.row(_FIND, name)
            if row is None:
                return None
            self._ids[name] = row[0]
        return self._serve_now(name)

    async def of_account(self, account_id: UUID) -> Books:
        """Return the ledger that has this account, the main one where none has it."""
        if len(self._ids) == 1:
            return self.main
        name = self._ledger_of.get(account_id)
        if name is None:
            row = await self._probes.row(_LEDGER_OF, account_id)
            if row is None:
                return self.main
            name = self._ledger_of[account_id] = row[0]
            if len(self._ledger_of) > ACCOUNTS_REMEMBERED_MAX:
                self._ledger_of.clear()
        return await self.named(name) or self.main

    async def add(self, name: str) -> tuple[Books, bool]:
        """Return the ledger of this name, and whether it is new."""
        while True:
            if found := await self.named(name):
                return found, False
            row = await self._probes.row(_ADD, name)
            if row is not None:  # else another took the name, or the number
                self._ids[name] = row[0]
                return self._serve_now(name), True

    def _serve_now(self, name: str) -> Books:
        if name in self._served:
            return self._served[name]
        books = self._serve(name)
        books.processor.start()
        return books

    def _serve(self, name: str) -> Books:
        books = self._served[name] = self._open(self._ids[name], name)
        return books

    async def _refresh_forever(self) -> None:
        while True:
            try:
                row = await self._probes.row(_LEDGERS)
                self._ids |= json.loads(row[0])
            except Exception as error:
                if not (is_connection_trouble(error) or isinstance(error, TimeoutError)):
                    log.error("ledgers_not_read", exc_info=error)
            await asyncio.sleep(REFRESH_SECONDS)

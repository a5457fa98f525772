"""The feed: hands each follower every event after where it stands, in the order of commits.

    committer ──▶ notify(seq) ─┐
                               ├─▶ wakes followers ──▶ a page each, by keyset, from the read pool
    head row, polled ──────────┘

A transaction's `seq` is given out under the lock of the head row, which is kept until the commit:
whoever sees an entry sees every earlier one. "Everything after (seq, line)" therefore never skips
and never repeats. Wake-ups only say when to look; a lost or needless one costs time, never truth.
A follower holds no connection while it waits or while its reader is slow.
"""

import asyncio
from collections.abc import AsyncGenerator
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.repositories.accounts import head_now
from ledger_service.repositories.events import FollowedEvent, Position, events_after
from shared.errors import QueueFull
from shared.problems import is_connection_trouble

FOLLOWERS_MAX = 100
PAGE_EVENTS_MAX = 500
HEARTBEAT_SECONDS = 15.0
POLL_SECONDS = 0.2
_PAGES_AT_A_TIME_MAX = 2  # other reads keep the rest of the pool
_PAUSE_SECONDS = 0.02  # between short pages: under load a page gathers several commits
log = structlog.get_logger()


class Feed:
    """Follows one ledger for all followers of this process."""

    def __init__(
        self,
        database: AsyncEngine,
        ledger_id: int,
        *,
        followers_max: int = FOLLOWERS_MAX,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._database = database
        self._ledger_id = ledger_id
        self._followers_max = followers_max
        self._heartbeat_seconds = heartbeat_seconds
        self._followers = 0
        self._last_seq = 0
        self._moved = asyncio.Event()
        self._stopping = asyncio.Event()
        self._page_slots = asyncio.Semaphore(_PAGES_AT_A_TIME_MAX)
        self._polling: asyncio.Task[None] | None = None

    def notify(self, last_seq: int) -> None:
        """Say that the history is committed up to `last_seq`; from within the event loop."""
        if last_seq > self._last_seq:
            self._last_seq = last_seq
            if self._followers:
                self._wake()

    def stop(self) -> None:
        """End every follower now, and refuse new ones."""
        self._stopping.set()
        self._wake()

    async def follow(
        self, *, account_id: UUID | None, after: Position, up_to_seq: int | None
    ) -> AsyncGenerator[list[FollowedEvent]]:
        """Yield the events after `after`, page by page; an empty page first, or while none come.

        Ends at `up_to_seq` (inclusive), at `stop`, or never. Raises QueueFull at once where too
        many follow.
        """
        if self._stopping.is_set():
            raise QueueFull("the service is shutting down")
        if self._followers >= self._followers_max:
            raise QueueFull(
                f"{self._followers} readers follow the events", followers_max=self._followers_max
            )
        self._followers += 1
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll_forever(), name="feed")
        begun = False
        try:
            while not self._stopping.is_set():
                moved, last_seq = self._moved, self._last_seq  # before the page: nothing is missed
                page = await self._page(account_id, after, up_to_seq)
                if page:
                    after = page[-1].position
                if page or not begun:
                    begun = True
                    yield page
                if len(page) == PAGE_EVENTS_MAX:
                    continue
                if up_to_seq is not None and last_seq >= up_to_seq:
                    return
                if page:
                    await asyncio.sleep(_PAUSE_SECONDS)
                while not await self._has_moved(moved):
                    yield []
        finally:
            self._followers -= 1
            if not self._followers:
                self._polling.cancel()
                self._polling = None

    async def is_over(self, *, account_id: UUID | None, after: Position, up_to_seq: int) -> bool:
        """Tell whether nothing will ever come between `after` and the end at `up_to_seq`."""
        head = await head_now(self._database, self._ledger_id)
        return head.last_seq >= up_to_seq and not await self._page(account_id, after, up_to_seq)

    async def _page(
        self, account_id: UUID | None, after: Position, up_to_seq: int | None
    ) -> list[FollowedEvent]:
        async with self._page_slots:
            return await events_after(
                self._database,
                self._ledger_id,
                account_id=account_id,
                after=after,
                up_to_seq=up_to_seq,
                limit=PAGE_EVENTS_MAX,
            )

    async def _has_moved(self, moved: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._heartbeat_seconds):
                await moved.wait()
        except TimeoutError:
            return False
        return True

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _poll_forever(self) -> None:
        """Look for commits of other processes; one poll serves all followers."""
        while True:
            try:
                self.notify((await head_now(self._database, self._ledger_id)).last_seq)
            except Exception as error:
                if not is_connection_trouble(error):
                    log.error("feed_failed", exc_info=error)
                else:
                    log.warning("database_unavailable", error=repr(error))
            await asyncio.sleep(POLL_SECONDS)

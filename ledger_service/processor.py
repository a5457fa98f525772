"""The way of every command into the books, drawn once.

    submit ──▶ bounded queue ──▶ committer (one per process and ledger)

    1. drain what is waiting, up to a cap, without a timer     a batch of one when idle
    2. bring what the batch names into the cache; holds that fell due come before its commands
    3. decide each command in arrival order, fold it at once   each gets its own verdict
    4. one statement: if the head is still ours, move it and   entries, events, keys, accounts,
       write everything; else write nothing                    balances: committed together
    5. remember what was written, answer every caller          never before the commit is known

That is the fast path. The head carries `last_seq`, `last_entry_id` and `epoch`, and all that the
fold reads is journalled: while the head has not moved since our own last batch, what we remember
is what is stored. Where another process has moved it, or a key was used before, the batch takes the
safe path: BEGIN, lock the head, load what the batch names, keys included, decide, write, COMMIT;
and so do the next ones, until the head has been ours alone for a while.

While one batch commits, the next gathers: a busy account costs no more than a quiet one. While
PostgreSQL writes a large batch, the next large one is decided on top of it, and decided anew if
the first one fails. A refusal touches no neighbour. A twin (the same Idempotency-Key again) gets
the first outcome, be it in the same batch, an earlier one, or from another process.

When the connection breaks, nothing is guessed: the head is locked again on a new connection, its
epoch raised, and the log tells whether the batch is there.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import repeat
from typing import Any

import asyncpg
import structlog

from ledger_service.attempt import (
    Attempt,
    decide_batch,
    keys_of,
    rests_on_unseen_keys,
)
from ledger_service.domain.batch import Decided, Group, Kept, Outcome
from ledger_service.event_store import COPY_ENTRIES_MIN, EventStore, Head, is_large
from ledger_service.intake import Intake, Pending
from ledger_service.loading import Loader
from ledger_service.memory import Memory
from ledger_service.state_reader import StateReader
from shared.clock import Clock, utc_now
from shared.database import connect
from shared.errors import AppError, DatabaseUnavailable, InternalError, KeyInFlight
from shared.problems import is_connection_trouble

HEAD_WAIT_MS_MAX = 5_000
RESOLVE_TRIES_MAX = 20
RESOLVE_PAUSE_SECONDS = 0.25
ALONE_BATCHES = 8
"""So many batches in a row must find the head where we left it before the fast path is tried."""
STOP_SECONDS_MAX = 8.0
_IN_DOUBT = "the outcome is not known yet; with a key, ask again"
_SESSION = {
    "lock_timeout": str(HEAD_WAIT_MS_MAX),
    "plan_cache_mode": "force_generic_plan",
    # A plan made while a table was small would be kept while it grows: always by the index.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
log = structlog.get_logger()


class HeadMoved(Exception):
    """Another process has written since our last batch."""


class KeysUnseen(Exception):
    """An atomic group was refused, though a key of it may be kept that is not remembered."""


class CommitInDoubt(Exception):
    """The connection broke after the batch was sent, and the database stays away."""


class CommandProcessor:
    """Owns the transaction boundary: nobody above it begins, nobody below it commits."""

    def __init__(
        self,
        *,
        database_url: str,
        ledger_id: int,
        queue_max: int,
        batch_max: int,
        answer_seconds_max: float,
        synchronous_commit: str = "on",
        on_commit: Callable[[int], None] | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """`on_commit` is told the last seq after each commit; `queue_max` counts commands."""
        self._database_url = database_url
        self._store = EventStore(ledger_id)
        self._reader = StateReader(ledger_id)
        self._memory = Memory()
        self._loader = Loader(self._reader, self._memory)
        self._alone_batches = ALONE_BATCHES
        self._intake = Intake(queue_max)
        self._batch_max = batch_max
        self._answer_seconds_max = answer_seconds_max
        self._session: dict[str, Any] = _SESSION | {"synchronous_commit": synchronous_commit}
        self._on_commit = on_commit
        self._clock = clock
        self._connection: asyncpg.Connection | None = None
        self._committer: asyncio.Task[None] | None = None
        self._next: list[Pending] = []  # taken from the queue already,
        self._looking: asyncio.Task[None] | None = None
        self._ahead: Attempt | None = None  # and decided ahead, if that could be done

    async def submit(self, group: Group) -> list[Outcome]:
        """Return the outcomes once they are committed, in the order of the group's commands.

        Raises QueueFull, KeyInFlight, DatabaseUnavailable; after any of them the same request
        under the same key is safe to send again.
        """
        (pending,) = self._intake.put(group)
        return await self._outcomes(pending)

    def submit_many(
        self, groups: Sequence[Group], *, is_admitted: bool
    ) -> asyncio.Task[list[list[Outcome] | AppError]]:
        """Take `groups` now; return for each of them, once asked, what `submit` returns or raises.

        Raises QueueFull, and has taken none of them then; never if `is_admitted`, see Intake.
        """
        waiting = self._intake.put(*groups, is_admitted=is_admitted)
        return asyncio.create_task(self._all_outcomes(waiting))

    async def _all_outcomes(self, waiting: Sequence[Pending]) -> list[list[Outcome] | AppError]:
        answered: list[list[Outcome] | AppError] = []
        for pending in waiting:
            try:
                answered.append(await self._outcomes(pending))
            except AppError as error:
                answered.append(error)
        return answered

    async def _outcomes(self, pending: Pending) -> list[Outcome]:
        timer = asyncio.get_running_loop().call_later(
            self._answer_seconds_max, self._withdraw, pending
        )
        try:
            return await pending.future
        finally:
            timer.cancel()

    def _withdraw(self, pending: Pending) -> None:
        """Answer a caller that has waited too long; what has not begun never will."""
        if not pending.is_started:
            error: AppError = DatabaseUnavailable("the database is too slow; nothing was written")
        elif all(asked.key for asked in pending.group.asked):
            error = KeyInFlight("the request is still under way; ask again with the same key")
        else:
            error = DatabaseUnavailable("the outcome is not known yet; look before sending again")
        pending.resolve(error)

    def start(self) -> None:
        """Begin to commit what is submitted."""
        self._committer = asyncio.create_task(self._commit_forever(), name="committer")

    async def stop(self) -> None:
        """Refuse new commands, answer those that wait, and close the connection.

        A database that does not answer is not waited for longer than STOP_SECONDS_MAX.
        """
        self._intake.close()
        if self._committer is not None:
            await asyncio.wait({self._committer}, timeout=STOP_SECONDS_MAX)
            self._committer.cancel()
            await asyncio.wait({self._committer}, timeout=1)
        if self._looking is not None:
            self._looking.cancel()
        for pending in [*self._next, *await self._intake.take(sys.maxsize)]:
            pending.resolve(DatabaseUnavailable("the service stops; nothing was written"))
        if self._connection is not None:
            with suppress(Exception):  # what cannot be said in time, the broken connection says
                await self._connection.close(timeout=1)
        self._drop_connection()

    async def _commit_forever(self) -> None:
        while True:
            batch, ahead = self._next, self._ahead
            self._next, self._ahead = [], None
            if not batch and not (batch := await self._intake.take(self._batch_max)):
                return
            await self._commit_or_explain(batch, ahead)
            if self._looking is not None:
                if not self._next:
                    self._looking.cancel()
                await asyncio.wait([self._looking])
                self._looking = None

    async def _commit_or_explain(
        self, batch: Sequence[Pending], ahead: Attempt | None = None
    ) -> None:
        """Commit the batch and answer its callers, whatever happens to the database."""
        outcomes: Sequence[list[Outcome] | AppError]
        try:
            outcomes = await self._commit(batch, ahead)
        except asyncpg.LockNotAvailableError:
            outcomes = _all(batch, "another writer holds the ledger; nothing was written")
        except (CommitInDoubt, asyncio.CancelledError) as error:
            for pending in batch:
                pending.resolve(DatabaseUnavailable(_IN_DOUBT))
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        except Exception as error:
            self._drop_connection()
            if is_connection_trouble(error) or isinstance(error, TimeoutError):
                log.warning("database_lost", error=repr(error), groups=len(batch))
                outcomes = _all(batch, "the database does not answer; nothing was written")
            elif len(batch) > 1:
                log.error("batch_failed_retrying_singly", exc_info=error)
                for pending in batch:
                    await self._commit_or_explain([pending])
                return
            else:
                log.error("command_failed", exc_info=error)
                outcomes = [InternalError("the service made a mistake; nothing was written")]
        for pending, outcome in zip(batch, outcomes, strict=True):
            pending.resolve(outcome)

    async def _commit(
        self, batch: Sequence[Pending], ahead: Attempt | None
    ) -> Sequence[list[Outcome] | AppError]:
        connection = await self._own_connection()
        if self._alone_batches >= ALONE_BATCHES:
            try:
                return await self._commit_fast(connection, batch, ahead)
            except HeadMoved:
                self._alone_batches = 0
            except (asyncpg.UniqueViolationError, KeysUnseen):
                pass  # a key that is kept but not remembered; the head may well be ours
        return await self._commit_safe(connection, batch)

    async def _commit_fast(
        self, connection: asyncpg.Connection, batch: Sequence[Pending], ahead: Attempt | None
    ) -> Sequence[list[Outcome] | AppError]:
        """Decide on what is remembered and write if the head is still there.

        Also a batch of nothing but refusals moves the head from its place to the same place: a
        refusal must not rest on balances of the past. Raises HeadMoved, UniqueViolationError or
        KeysUnseen, and has written nothing then.
        """
        memory = self._memory
        if memory.head is None:
            memory.reset(await self._store.read_head(connection, lock=False))
        head = memory.head
        assert head is not None
        if ahead is not None and ahead.base == head:
            attempt = ahead
        else:
            # Read after the head was: sound, since the head must still be there when we write.
            attempt = await self._decide(connection, head, memory.kept, batch)
        if any(map(rests_on_unseen_keys, batch, attempt.outcomes, repeat(memory.kept))):
            raise KeysUnseen
        self._looking = self._looking or self._look_ahead(attempt)  # never two: each takes work
        try:
            if not await self._store.write(connection, head, attempt.decided, attempt.rows):
                raise HeadMoved
        except Exception as error:
            if not await self._landed(connection, attempt.decided, error):
                return _all(batch, "the database went away; nothing was written")
        self._remember(head, attempt.decided)
        return attempt.outcomes

    def _look_ahead(self, attempt: Attempt) -> asyncio.Task[None] | None:
        """While PostgreSQL writes a large batch, decide the next large one on top of it."""
        if self._next or not is_large(attempt.decided) or not attempt.decided.is_plain:
            return None
        head, decided = attempt.base.behind(attempt.decided.entries), attempt.decided

        async def decide_next() -> None:
            self._next = await self._intake.take_many(COPY_ENTRIES_MIN, self._batch_max)
            recorded_at = self._instant(head)
            seen = self._loader.recall(head, self._next, recorded_at, decided)
            if seen is not None:
                known = {**self._memory.kept, **decided.kept}
                with suppress(Exception):  # which shows again, and is explained, in its turn
                    self._ahead = await decide_batch(
                        self._store, head, seen, known, self._next, recorded_at
                    )

        return asyncio.create_task(decide_next(), name="decide ahead")

    async def _commit_safe(
        self, connection: asyncpg.Connection, batch: Sequence[Pending]
    ) -> Sequence[list[Outcome] | AppError]:
        """Decide and write under the head's lock, on what is stored."""
        memory = self._memory
        transaction = connection.transaction()
        await transaction.start()
        try:
            head = await self._store.read_head(connection, lock=True)
            if head == memory.head:
                self._alone_batches += 1
            else:
                self._alone_batches = 0
                memory.reset(head)
            unknown = {key.key_hash for key in keys_of(batch)} - memory.kept.keys()
            loaded = await self._reader.kept(connection, unknown)
            attempt = await self._decide(connection, head, {**memory.kept, **loaded}, batch)
            is_written = await self._store.write(connection, head, attempt.decided, attempt.rows)
            assert is_written, "the head moved while it was locked"
        except BaseException:
            if not connection.is_closed():
                await transaction.rollback()
            raise
        try:
            await transaction.commit()
        except Exception as error:
            if not await self._landed(connection, attempt.decided, error):
                return _all(batch, "the database went away; nothing was written")
        self._remember(head, attempt.decided)
        memory.remember_keys(loaded)
        return attempt.outcomes

    async def _decide(
        self,
        connection: asyncpg.Connection,
        head: Head,
        known: Mapping[bytes, Kept],
        batch: Sequence[Pending],
    ) -> Attempt:
        recorded_at = self._instant(head)
        seen = await self._loader.load(connection, head, batch, recorded_at)
        return await decide_batch(self._store, head, seen, known, batch, recorded_at)

    def _instant(self, head: Head) -> datetime:
        """Return the present, which never lies before the last entry."""
        now = self._clock()
        return max(now, head.last_recorded_at or now)

    def _remember(self, head: Head, decided: Decided) -> None:
        """Take over what is known to be committed."""
        if self._memory.head == head:
            self._memory.remember(head.behind(decided.entries), decided)
        if decided.entries and self._on_commit is not None:
            self._on_commit(decided.entries[-1].seq)

    async def _landed(
        self, connection: asyncpg.Connection, decided: Decided, error: Exception
    ) -> bool:
        """Tell, after an error while the batch was being committed, whether it is in the log.

        Raises `error` where it tells that the batch was not sent, or that PostgreSQL itself has
        undone it. Else, holding the head proves that the old transaction has ended, and the new
        epoch fences it off. Raises CommitInDoubt, and nothing else, if the database stays away or
        another holds the head.
        """
        if not (is_connection_trouble(error) or isinstance(error, OSError)):
            raise error
        self._drop_connection()
        if not decided.entries and not decided.kept:
            return False
        for _ in range(RESOLVE_TRIES_MAX):
            if self._intake.is_closed:
                break
            try:
                connection = await self._own_connection()
                async with connection.transaction():
                    await self._store.take_over(connection)
                    return await self._store.has(connection, decided)
            except Exception as trouble:
                log.warning("commit_in_doubt", error=repr(trouble), entries=len(decided.entries))
                self._drop_connection()
                await asyncio.sleep(RESOLVE_PAUSE_SECONDS)
        raise CommitInDoubt

    async def _own_connection(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._memory.forget()
            self._connection = await connect(
                self._database_url, application_name="kairon ledger committer", **self._session
            )
        return self._connection

    def _drop_connection(self) -> None:
        """Close the connection hard and forget all that was true while it stood."""
        self._memory.forget()
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _all(batch: Sequence[Pending], detail: str) -> list[list[Outcome] | AppError]:
    return [DatabaseUnavailable(detail) for _ in batch]

"""The way of every command into the books, drawn once.

    submit ──▶ bounded queue ──▶ committer (one per process and ledger)

    1. drain what is waiting, up to a cap, without a timer     a batch of one when idle
    2. BEGIN, lock the head                                    nobody else writes this ledger now
    3. load accounts and kept answers, once for the batch
    4. decide each command in arrival order, fold it at once   each gets its own verdict
    5. append entries, events and answers; project balances    set-wise, the same transaction
    6. COMMIT
    7. answer every caller                                     never before the commit is known

While one batch commits, the next gathers: a busy account costs no more than a quiet one. A refusal
touches no neighbour. A twin (the same Idempotency-Key again) gets the first answer, whether the
first stands in the same batch, an earlier one, or came through another process.

When the connection breaks, nothing is guessed: before COMMIT was sent nothing is written; after
it, the head is locked again, its epoch raised, and the log tells whether the batch is there.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg
import structlog

from ledger_service.domain.commands import Command, Transfer
from ledger_service.domain.decide import Accepted, Verdict, decide
from ledger_service.domain.evolve import advance
from ledger_service.domain.model import Account, Changes, Entry, Event, State
from ledger_service.event_store import Answer, EventStore, Head, KeptAnswer
from ledger_service.projections import ProjectionEngine
from shared.clock import Clock, utc_now
from shared.database import connect
from shared.errors import AppError, DatabaseUnavailable, KeyInFlight, KeyReused, QueueFull
from shared.idempotency import IdempotencyKey
from shared.problems import is_connection_trouble

HEAD_WAIT_MS_MAX = 5_000
RESOLVE_TRIES_MAX = 20
RESOLVE_PAUSE_SECONDS = 0.25
log = structlog.get_logger()

Render = Callable[[Command, Verdict, Changes | None], Answer]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a command; `replayed` where it is the first answer under the key again."""

    answer: Answer
    replayed: bool = False


@dataclass(slots=True, eq=False)
class Pending:
    """A command in the queue with the future that its caller waits on."""

    command: Command
    key: IdempotencyKey | None
    future: asyncio.Future[Outcome]
    started: bool = False

    def resolve(self, outcome: Outcome | AppError) -> None:
        if self.future.done():
            return
        if isinstance(outcome, AppError):
            self.future.set_exception(outcome)
            self.future.exception()  # a caller that has left must not count as an error of ours
        else:
            self.future.set_result(outcome)


@dataclass(slots=True)
class Decided:
    """All that one batch will write, and the outcome for each of its callers."""

    recorded_at: datetime
    entries: list[Entry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    changed: dict[object, Account] = field(default_factory=dict)
    kept: dict[bytes, KeptAnswer] = field(default_factory=dict)
    outcomes: list[Outcome | AppError] = field(default_factory=list)


class CommitInDoubt(Exception):
    """The connection broke after COMMIT was sent."""


class CommandProcessor:
    """Owns the transaction boundary: nobody above it begins, nobody below it commits."""

    def __init__(
        self,
        *,
        database_url: str,
        ledger_id: int,
        render: Render,
        queue_max: int,
        batch_max: int,
        answer_seconds_max: float,
        clock: Clock = utc_now,
    ) -> None:
        self._database_url = database_url
        self._store = EventStore(ledger_id)
        self._projections = ProjectionEngine(ledger_id)
        self._render = render
        self._queue: asyncio.Queue[Pending] = asyncio.Queue(queue_max)
        self._batch_max = batch_max
        self._answer_seconds_max = answer_seconds_max
        self._clock = clock
        self._connection: asyncpg.Connection | None = None
        self._committer: asyncio.Task[None] | None = None
        self._stopping = False

    async def submit(self, command: Command, key: IdempotencyKey | None = None) -> Outcome:
        """Return the answer once it is committed.

        Raises QueueFull, KeyReused, KeyInFlight, DatabaseUnavailable; after any of them but
        KeyReused the same request under the same key is safe to send again.
        """
        if self._stopping:
            raise QueueFull("the service is shutting down")
        pending = Pending(command, key, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(pending)
        except asyncio.QueueFull:
            raise QueueFull(
                f"{self._queue.maxsize} commands are waiting", queue_max=self._queue.maxsize
            ) from None
        try:
            async with asyncio.timeout(self._answer_seconds_max):
                return await asyncio.shield(pending.future)
        except TimeoutError:
            raise self._withdraw(pending) from None

    def _withdraw(self, pending: Pending) -> AppError:
        if not pending.started:
            pending.future.cancel()
            return DatabaseUnavailable("the database is too slow; nothing was written")
        if pending.key is not None:
            return KeyInFlight("the request is still under way; ask again with the same key")
        return DatabaseUnavailable("the outcome is not known yet; look before sending it again")

    def start(self) -> None:
        """Begin to commit what is submitted."""
        self._committer = asyncio.create_task(self._commit_forever(), name="committer")

    async def stop(self) -> None:
        """Refuse new commands, answer those that wait, and close the connection."""
        self._stopping = True
        if self._committer is not None:
            await self._queue.join()
            self._committer.cancel()
            await asyncio.gather(self._committer, return_exceptions=True)
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.close()

    async def _commit_forever(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._batch_max and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            wanted = [pending for pending in batch if not pending.future.cancelled()]
            for pending in wanted:
                pending.started = True
            try:
                if wanted:
                    await self._commit_or_explain(wanted)
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _commit_or_explain(self, batch: Sequence[Pending]) -> None:
        """Commit the batch and answer its callers, whatever happens to the database."""
        try:
            outcomes = await self._commit(batch)
        except asyncpg.LockNotAvailableError:
            outcomes = _all(batch, "another writer holds the ledger; nothing was written")
        except CommitInDoubt:
            outcomes = _all(batch, "the outcome is not known yet; with a key, ask again")
        except Exception as error:
            if is_connection_trouble(error) or isinstance(error, TimeoutError):
                log.warning("database_lost", error=repr(error), commands=len(batch))
                await self._drop_connection()
                outcomes = _all(batch, "the database does not answer; nothing was written")
            elif len(batch) > 1:
                log.error("batch_failed_retrying_singly", exc_info=error)
                await self._drop_connection()
                for pending in batch:
                    await self._commit_or_explain([pending])
                return
            else:
                log.error("command_failed", exc_info=error)
                await self._drop_connection()
                outcomes = [CommandFailed("the service made a mistake; nothing was written")]
        for pending, outcome in zip(batch, outcomes, strict=True):
            pending.resolve(outcome)

    async def _commit(self, batch: Sequence[Pending]) -> Sequence[Outcome | AppError]:
        """Decide and write the batch in one transaction; return the outcomes once committed."""
        connection = await self._own_connection()
        transaction = connection.transaction()
        await transaction.start()
        try:
            head = await self._store.lock_head(connection)
            decided = await self._decide_batch(connection, head, batch)
            await self._store.append(connection, decided.entries, decided.events)
            await self._projections.project(
                connection, decided.entries, list(decided.changed.values())
            )
            await self._store.keep_answers(
                connection, list(decided.kept.values()), decided.recorded_at
            )
        except BaseException:
            if not connection.is_closed():
                await transaction.rollback()
            raise
        try:
            await transaction.commit()
        except Exception as error:
            if isinstance(error, asyncpg.PostgresError) and not is_connection_trouble(error):
                raise  # PostgreSQL itself says that the transaction is undone
            await self._drop_connection()
            if not await self._landed(decided):
                return _all(batch, "the database went away; nothing was written")
        return decided.outcomes

    async def _decide_batch(
        self, connection: asyncpg.Connection, head: Head, batch: Sequence[Pending]
    ) -> Decided:
        accounts = await self._store.load_accounts(
            connection,
            {
                account_id
                for pending in batch
                if isinstance(pending.command, Transfer)
                for account_id in pending.command.account_ids
            },
        )
        keys = {pending.key.key_hash for pending in batch if pending.key is not None}
        kept = await self._store.load_answers(connection, keys) if keys else {}
        now = self._clock()
        recorded_at = max(now, head.last_recorded_at or now)
        state = State(last_seq=head.last_seq, accounts=accounts)
        decided = Decided(recorded_at=recorded_at)
        for pending in batch:
            decided.outcomes.append(self._decide_one(state, pending, kept, decided))
        return decided

    def _decide_one(
        self,
        state: State,
        pending: Pending,
        kept: dict[bytes, KeptAnswer],
        decided: Decided,
    ) -> Outcome | AppError:
        key = pending.key
        if key is not None and (first := kept.get(key.key_hash) or decided.kept.get(key.key_hash)):
            if first.fingerprint != key.fingerprint:
                return KeyReused("this Idempotency-Key came with another request before")
            return Outcome(first.answer, replayed=True)
        verdict = decide(state, pending.command, decided.recorded_at)
        changes = None
        if isinstance(verdict, Accepted):
            changes = advance(state, verdict.entry)
            decided.entries.append(verdict.entry)
            decided.events.extend(changes.events)
            decided.changed.update((account.account_id, account) for account in changes.accounts)
        answer = self._render(pending.command, verdict, changes)
        if key is not None:
            seq = verdict.entry.seq if isinstance(verdict, Accepted) else None
            decided.kept[key.key_hash] = KeptAnswer(key.key_hash, key.fingerprint, seq, answer)
        return Outcome(answer)

    async def _landed(self, decided: Decided) -> bool:
        """Tell, after a COMMIT whose answer was lost, whether the batch is in the log.

        Holding the head proves that the old transaction has ended; the new epoch fences it off.
        Where the batch wrote nothing but answers, they are looked for instead. Raises
        CommitInDoubt, and nothing else, if the database stays away or another holds the head.
        """
        if not decided.entries and not decided.kept:
            return True
        for _ in range(RESOLVE_TRIES_MAX):
            try:
                connection = await self._own_connection()
                async with connection.transaction():
                    await self._store.take_over(connection)
                    if decided.entries:
                        return await self._store.has_entry(connection, decided.entries[-1].entry_id)
                    return bool(await self._store.load_answers(connection, decided.kept))
            except Exception as error:
                log.warning("commit_in_doubt", error=repr(error), commands=len(decided.outcomes))
                await self._drop_connection()
                await asyncio.sleep(RESOLVE_PAUSE_SECONDS)
        raise CommitInDoubt

    async def _own_connection(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(
                self._database_url,
                application_name="kairon ledger committer",
                lock_timeout=str(HEAD_WAIT_MS_MAX),
                synchronous_commit="on",
            )
        return self._connection

    async def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class CommandFailed(AppError):
    """A mistake of the service itself; the log has its trace."""

    code, title, status = "internal_error", "The service made a mistake", 500


def _all(batch: Sequence[Pending], detail: str) -> list[Outcome | AppError]:
    return [DatabaseUnavailable(detail) for _ in batch]

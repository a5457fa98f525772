"""Sends entries to webhooks: at least once, in the order of seq, each webhook at its own pace.

    committed ──▶ wake() ─┐
                          ├─▶ look: which webhooks are due ──▶ claim ──▶ page ──▶ post ──▶ move on
    other processes, ─────┘                                  (a lease)           ▲           │
    retries: looked for                                                          └───────────┘

The journal is the outbox: what is not committed is never sent, and the place of a webhook in it
moves behind an entry only when the receiver has answered 2xx. A crash in between sends the entry
once more, under the same id. Senders of all processes share the work: a lease gives a webhook to
one of them, for longer than one request may take, and is renewed with each entry. Any other answer
is tried again, later and later, for ever; 410 says that nobody is there any more and pauses.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.repositories import outbox
from ledger_service.repositories.outbox import Posted
from ledger_service.repositories.webhooks import Outcome, Webhook, all_webhooks, log_attempt
from ledger_service.webhooks.messages import Render, body_of_test, entry_body, entry_id_of
from ledger_service.webhooks.signing import signed_headers
from ledger_service.webhooks.targets import Connection, Targets
from shared.clock import Clock, utc_now
from shared.problems import is_connection_trouble

POLL_SECONDS = 1.0
SENT_AT_ONCE_MAX = 8
PAGE_ENTRIES_MAX = 50
LEASE_SECONDS_MORE = 30.0
"""So much longer than one request may take does a lease last."""
BACKOFF_SECONDS_MIN = 5.0
GONE = 410
_PAUSE_SECONDS = 0.05  # between looks: under load a look finds several commits
log = structlog.get_logger()
Watch = Callable[[list[Webhook]], None]
Count = Callable[[Webhook, Outcome], None]


def backoff(attempts: int, *, seconds_max: float, chance: float) -> timedelta:
    """Return how long to wait after so many failed attempts: twice as long each time, to a bound.

    `chance` (0 to 1) spreads those who failed together over the upper half of that time.
    """
    doubled = BACKOFF_SECONDS_MIN * 2 ** min(attempts - 1, 32)
    return timedelta(seconds=min(doubled, seconds_max) * (0.5 + chance / 2))


class WebhookSender:
    """Sends to all webhooks of all ledgers, together with the senders of other processes."""

    def __init__(
        self,
        database: AsyncEngine,
        targets: Targets,
        render: Render,
        *,
        backoff_seconds_max: float,
        watch: Watch = lambda _webhooks: None,
        count: Count = lambda _webhook, _outcome: None,
        clock: Clock = utc_now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`database` is the sender's own: it is closed with it.

        `watch` is told of all webhooks at each look, `count` of each attempt.
        """
        self._database = database
        self._targets = targets
        self._render = render
        self._backoff_seconds_max = backoff_seconds_max
        self._lease = timedelta(seconds=targets.seconds_max + LEASE_SECONDS_MORE)
        self._watch = watch
        self._count = count
        self._clock = clock
        self._chance = chance
        self._moved = asyncio.Event()
        self._is_needed = False
        self._sending: dict[UUID, asyncio.Task[None]] = {}
        self._running: asyncio.Task[None] | None = None

    @property
    def targets(self) -> Targets:
        return self._targets

    def start(self) -> None:
        """Begin to send what is due, now and whenever it comes."""
        self._running = asyncio.create_task(self._run_forever(), name="webhooks")

    async def stop(self) -> None:
        """Stop at once and close the database; what is under way will be sent again."""
        tasks = [*self._sending.values(), *([] if self._running is None else [self._running])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._database.dispose()

    def wake(self) -> None:
        """Say that there may be something to send; from within the event loop."""
        if self._is_needed:
            self._moved.set()

    def look_again(self) -> None:
        """Say that webhooks have changed."""
        self._moved.set()

    async def deliver_due(self) -> None:
        """Send all that is due now."""
        while await self._begin() or self._sending:
            await asyncio.gather(*self._sending.values())

    async def send_test(self, webhook: Webhook) -> Outcome:
        """Send a message that tells of nothing, once, whatever the webhook's state."""
        now = self._clock()
        body = body_of_test(webhook.ledger_name, webhook.webhook_id, now)
        async with self._targets.connection() as connection:
            outcome = await self._post(connection, webhook, f"test/{uuid4()}", body)
        await log_attempt(self._database, webhook, outcome, seq=None, attempt=1, at=now)
        return outcome

    async def _run_forever(self) -> None:
        while True:
            self._moved.clear()
            try:
                await self._begin()
            except Exception as error:
                _explain(error)
            await asyncio.sleep(_PAUSE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._moved.wait()

    async def _begin(self) -> int:
        """Begin to send to webhooks that are due; return to how many."""
        found = await all_webhooks(self._database)
        self._is_needed = bool(found)
        self._watch(found)
        begun = 0
        for webhook in found:
            if len(self._sending) >= SENT_AT_ONCE_MAX:
                break
            now = self._clock()
            if webhook.webhook_id in self._sending or not webhook.is_due(now):
                continue
            lease_id = uuid4()
            claimed = await outbox.claim(
                self._database, webhook, now=now, lease_id=lease_id, until=now + self._lease
            )
            if claimed is not None:
                begun += 1
                self._send_in_background(claimed, lease_id)
        return begun

    def _send_in_background(self, webhook: Webhook, lease_id: UUID) -> None:
        async def send() -> None:
            try:
                await self._send(webhook, lease_id)
            except Exception as error:
                _explain(error, webhook_id=str(webhook.webhook_id))
            finally:
                del self._sending[webhook.webhook_id]
                self._moved.set()  # there may be more, or others waited for their turn

        name = f"webhook {webhook.webhook_id}"
        self._sending[webhook.webhook_id] = asyncio.create_task(send(), name=name)

    async def _send(self, webhook: Webhook, lease_id: UUID) -> None:
        """Send one page, as far as the receiver takes it and nobody changes the webhook."""
        try:
            page = await outbox.next_entries(self._database, webhook, PAGE_ENTRIES_MAX)
            async with self._targets.connection() as connection:
                for posted in page.posted:
                    moved = await self._send_entry(connection, webhook, posted, lease_id)
                    if moved is None:
                        return
                    webhook = moved
            if webhook.next_seq < page.next_seq:  # what came last is of no wanted kind
                await self._move(webhook, lease_id, next_seq=page.next_seq)
        finally:
            with suppress(Exception):  # the lease ends by itself
                await outbox.release(self._database, webhook, lease_id)

    async def _send_entry(
        self, connection: Connection, webhook: Webhook, posted: Posted, lease_id: UUID
    ) -> Webhook | None:
        """Send an entry once; return where the webhook stands, None if that is the end for now."""
        seq, now = posted.entry.seq, self._clock()
        body = entry_body(webhook.ledger_name, posted, self._render)
        message_id = entry_id_of(webhook.ledger_name, seq)
        outcome = await self._post(connection, webhook, message_id, body)
        attempt = webhook.attempts + 1
        await log_attempt(self._database, webhook, outcome, seq=seq, attempt=attempt, at=now)
        if outcome.is_delivered:
            moved = await self._move(webhook, lease_id, next_seq=seq + 1)
            return moved if moved is not None and _is_same(moved, webhook) else None
        log.warning(
            "webhook_not_delivered",
            webhook_id=str(webhook.webhook_id),
            seq=seq,
            attempt=attempt,
            status_code=outcome.status_code,
            error=outcome.error,
        )
        wait = backoff(attempt, seconds_max=self._backoff_seconds_max, chance=self._chance())
        await self._move(
            webhook,
            lease_id,
            next_seq=webhook.next_seq,
            status="paused" if outcome.status_code == GONE else "failing",
            attempts=attempt,
            next_attempt_at=self._clock() + wait,
        )
        return None

    async def _post(
        self, connection: Connection, webhook: Webhook, message_id: str, body: bytes
    ) -> Outcome:
        signed = signed_headers(
            webhook.secret,
            message_id=message_id,
            timestamp=int(self._clock().timestamp()),
            body=body,
        )
        headers = signed | {"Content-Type": "application/json", "User-Agent": "Kairon"}
        outcome = await connection.post(webhook.url, headers, body)
        self._count(webhook, outcome)
        return outcome

    async def _move(
        self,
        webhook: Webhook,
        lease_id: UUID,
        *,
        next_seq: int,
        status: str = "active",
        attempts: int = 0,
        next_attempt_at: datetime | None = None,
    ) -> Webhook | None:
        return await outbox.move(
            self._database,
            webhook,
            lease_id,
            until=self._clock() + self._lease,
            next_seq=next_seq,
            status=status,
            attempts=attempts,
            next_attempt_at=next_attempt_at,
        )


def _is_same(now: Webhook, before: Webhook) -> bool:
    """Tell whether nobody has changed what is sent where."""
    return now.status != "paused" and (now.url, now.kinds) == (before.url, before.kinds)


def _explain(error: Exception, **facts: str) -> None:
    if is_connection_trouble(error) or isinstance(error, TimeoutError):
        log.warning("database_unavailable", error=repr(error), **facts)
    else:
        log.error("webhooks_failed", exc_info=error, **facts)

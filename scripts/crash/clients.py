"""The clients of a crash run: they post, and after any unknown outcome ask again by the same key.

What a client is told of an attempt, and what it may conclude:

    201, 200, 207, 422 refusal   definite: written into the book, never to change
    503, 409 key in flight       ask again; where it says "nothing was written", that must be so
    not sent                     ask again, somewhere else
    answer lost                  unknown: ask again
    anything else                a finding
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.crash.book import Book, Order, Transfer, Verdict, verdicts_of
from scripts.lean_http import AnswerLost, LeanClient, NotSent, Response

PAUSE_SECONDS = 0.05
ANSWER_SECONDS_MAX = 40.0  # the service itself answers within 30
BATCH_ITEMS_MAX = 20
BATCH_SHARE = 0.05
AMOUNT_MINOR_MAX = 500


@dataclass(slots=True)
class History:
    """What one order has been through."""

    may_be_written: bool = False
    attempts: int = 0


class Client:
    """Sends one order after the other, each until it has a definite answer."""

    def __init__(
        self, name: str, *, ports: Sequence[int], accounts: Sequence[str], batches: bool, book: Book
    ) -> None:
        self._name = name
        self._chance = random.Random(name)
        self._accounts = accounts
        self._batches = batches
        self._book = book
        self._connections = [LeanClient(port, seconds_max=ANSWER_SECONDS_MAX) for port in ports]
        self._chance.shuffle(self._connections)
        self._count = 0

    async def work_until(self, stopping: asyncio.Event) -> None:
        """Work until told to stop; the last order is brought to its end."""
        while not stopping.is_set():
            await self._settle(self._next_order())
        for connection in self._connections:
            connection.close()

    def _next_order(self) -> Order:
        self._count += 1
        key = f"{self._name}/{self._count}"
        if not self._batches or self._chance.random() >= BATCH_SHARE:
            return Order(key, (self._transfer(key),))
        items = range(self._chance.randint(2, BATCH_ITEMS_MAX))
        transfers = tuple(self._transfer(f"{key}/{number}") for number in items)
        return Order(key, transfers, self._chance.choice(["independent", "atomic"]))

    def _transfer(self, key: str) -> Transfer:
        source, destination = self._chance.sample(self._accounts, k=2)
        return Transfer(key, source, destination, self._chance.randint(1, AMOUNT_MINOR_MAX))

    async def _settle(self, order: Order) -> None:
        history = History()
        while True:
            history.attempts += 1
            response = await self._attempt(order, history)
            if response is None:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            verdicts = verdicts_of(order, response)
            if verdicts is None:
                self._book.note(f"{order.key} got {response.status}: {response.body[:300]!r}")
                self._book.tallies["unclassified"] += 1
                return
            self._conclude(order, history, verdicts)
            return

    async def _attempt(self, order: Order, history: History) -> Response | None:
        """Return an answer that is more than "ask again", else None."""
        tallies = self._book.tallies
        try:
            response = await self._connections[0].post(
                order.path, order.document(), key=order.header_key
            )
        except NotSent:
            tallies["not sent"] += 1
            self._connections.append(self._connections.pop(0))
            return None
        except (AnswerLost, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                self._book.note(f"{order.key} got no answer in {ANSWER_SECONDS_MAX:.0f} s")
            tallies["answer lost"] += 1
            history.may_be_written = True
            self._connections.append(self._connections.pop(0))
            return None
        if response.status in (409, 503):
            self._ask_again(order, history, response)
            return None
        return response

    def _ask_again(self, order: Order, history: History, response: Response) -> None:
        problem = response.json()
        self._book.tallies[f"{response.status} {problem['code']}"] += 1
        if "retry-after" not in response.headers:
            self._book.note(f"{order.key} got {response.status} without Retry-After")
        if response.status == 409 and problem["code"] != "idempotency_key_in_flight":
            self._book.note(f"{order.key} got 409 {problem['code']}")
        if problem["code"] != "queue_full" and "nothing was written" not in problem["detail"]:
            history.may_be_written = True

    def _conclude(self, order: Order, history: History, verdicts: dict[str, Verdict]) -> None:
        is_replay = any(verdict.is_replayed for verdict in verdicts.values())
        tallies = self._book.tallies
        if order.mode is not None:
            tallies[f"{order.mode} batches"] += 1
        if history.may_be_written:
            tallies["unknown outcomes"] += 1
            tallies["unknown, had landed" if is_replay else "unknown, had not landed"] += 1
        elif is_replay:
            self._book.note(
                f"{order.key} was already written at attempt {history.attempts}, though it was "
                "never sent before or its sender was told that nothing was written"
            )
        self._book.acknowledge(order, verdicts)

"""One crash run: load, strike, revive, check; and at the end, everything once more.

    start ─▶ open accounts ─▶ clients work ┬▶ wait ─▶ strike ─▶ revive ─▶ check this cycle ┐
                                           └──────────────── cycles times ◀────────────────┘
          ─▶ clients finish ─▶ every order again by its key ─▶ journal, balances, verifier

What kill -9 can show is that an acknowledgement never runs ahead of the write-ahead log. It
leaves the operating system's cache as it is: that fsync reaches the disk needs a power cut.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import asyncpg

from scripts.crash.book import Book
from scripts.crash.checks import check_acknowledged, check_books, check_log, check_replays
from scripts.crash.clients import Client
from scripts.crash.schedule import Kind, Plan, Strike, strikes
from scripts.crash.victims import Victims
from scripts.lean_http import LeanClient

ACCOUNTS = ("internal", "internal", "user", "user", "user", "user", "user", "user")
REPLAYS_PER_CYCLE = 20
SETTLE_SECONDS_MAX = 90.0
CONTROL_SETTINGS = ("wal_writer_delay = '10s'", "wal_writer_flush_after = '64MB'")


@dataclass(slots=True)
class Result:
    """What a crash run found."""

    plan: Plan
    book: Book = field(default_factory=Book)
    kills: Counter[Kind] = field(default_factory=Counter)
    restart_seconds: list[float] = field(default_factory=list)
    doubts_resolved: int = 0
    seconds: float = 0.0

    @property
    def is_as_it_must_be(self) -> bool:
        """No findings; of the negative control, that it was caught losing."""
        if self.plan.is_control:
            return bool(self.book.lost)
        return not self.book.tallies["findings"]


async def run_crashes(plan: Plan, folder: Path) -> Result:
    """Do what `plan` says with a PostgreSQL below `folder`, which is removed afterwards."""
    result, started = Result(plan), time.monotonic()
    settings = {"LEDGER_SYNCHRONOUS_COMMIT": "off"} if plan.is_control else {}
    victims = Victims(folder, services=plan.services, settings=settings)
    try:
        await victims.start()
        accounts = await _open_accounts(victims.ports[0])
        if plan.is_control:
            await victims.administer(*(f"ALTER SYSTEM SET {one}" for one in CONTROL_SETTINGS))
            await victims.administer("SELECT pg_reload_conf()", "CHECKPOINT")
        async with _working(plan, victims, accounts, result.book):
            for strike in strikes(plan):
                await _cycle(strike, victims, result)
        if not plan.is_control:
            await check_replays(victims.ports, result.book, result.book.orders.values())
        await check_books(victims.admin_url, result.book)
        check_log(victims.log, result.book)
        result.doubts_resolved = await _doubts_resolved(victims.admin_url)
    finally:
        await asyncio.to_thread(victims.end)
    result.seconds = time.monotonic() - started
    return result


@asynccontextmanager
async def _working(
    plan: Plan, victims: Victims, accounts: Sequence[str], book: Book
) -> AsyncIterator[None]:
    """Keep the clients at work; at the end, let each bring its last order to an answer."""
    batches = plan.batches and await _takes_batches(victims.ports[0])
    stopping = asyncio.Event()
    clients = [
        Client(
            f"{plan.seed}/{number}",
            ports=victims.ports,
            accounts=accounts,
            batches=batches,
            book=book,
        )
        for number in range(plan.clients)
    ]
    working = [asyncio.create_task(client.work_until(stopping)) for client in clients]
    try:
        yield
        stopping.set()
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            await asyncio.gather(*working)
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)


async def _cycle(strike: Strike, victims: Victims, result: Result) -> None:
    before = len(result.book.orders)
    await asyncio.sleep(strike.after_seconds)
    result.kills[strike.kind] += 1
    if strike.kind is Kind.COMMITTER:
        ended = await victims.end_committers(strike.pauses_seconds)
        result.book.tallies["sessions ended"] += ended
    else:
        struck_at = time.monotonic()
        if strike.kind in (Kind.POSTGRES, Kind.BOTH):
            is_caught = await victims.kill_postgres(at_commit=strike.at_commit)
            result.book.tallies["killed at a commit"] += is_caught
        if strike.kind is Kind.BOTH:
            victims.kill_services()
        if strike.kind is Kind.SERVICE:
            victims.kill_service(strike.service)
        await victims.revive()
        result.restart_seconds.append(time.monotonic() - struck_at)
    book = result.book
    orders = list(islice(book.orders.values(), before, None))
    keys = [transfer.key for order in orders for transfer in order.transfers]
    await check_acknowledged(victims.admin_url, book, keys)
    if not result.plan.is_control:
        await check_replays(victims.ports, book, orders[-REPLAYS_PER_CYCLE:])


async def _open_accounts(port: int) -> list[str]:
    """Open accounts that may go below zero and some that may not: these are refused at times."""
    client = LeanClient(port)
    accounts = []
    for kind in ACCOUNTS:
        answer = await client.post("/ledger/account/", {"currency": "USD", "type": kind})
        assert answer.status == 201, answer.body
        accounts.append(answer.json()["account_id"])
    client.close()
    return accounts


async def _takes_batches(port: int) -> bool:
    client = LeanClient(port)
    answer = await client.post("/ledger/batch/", {})
    client.close()
    return answer.status != 404


async def _doubts_resolved(admin_url: str) -> int:
    """Return how often a COMMIT's lost answer was looked up: each time starts an epoch."""
    connection = await asyncpg.connect(admin_url)
    try:
        epoch: int = await connection.fetchval("SELECT epoch FROM ledger.ledgers")
    finally:
        await connection.close()
    return epoch

"""Several ledger processes on one ledger under load: no gap, no mismatch, no deadlock."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from datetime import datetime
from pathlib import Path

import asyncpg
import pytest

from scripts.lean_http import LeanClient, Response
from tests.e2e.ledger_load import LEDGER, check_books, journal, open_account, transfer
from tests.live import free_port, live_service
from tests.postgres import TestDatabases

CLIENTS = 12
TRANSFERS_PER_CLIENT = 50
TWINS = 100


@asynccontextmanager
async def _processes(
    databases: TestDatabases, folder: Path, count: int
) -> AsyncIterator[list[int]]:
    """Yield the ports of `count` ledger processes on one database."""
    environment = {"LEDGER_DATABASE_URL": databases.ledger_url, "KAIRON_DATA_DIR": str(folder)}
    ports = [free_port() for _ in range(count)]
    with ExitStack() as running:

        def start(port: int) -> None:
            service = live_service(LEDGER, environment, folder / f"{port}.log", port)
            running.enter_context(service)

        await asyncio.gather(*(asyncio.to_thread(start, port) for port in ports))
        yield ports


@pytest.mark.parametrize("processes", [2, 4])
async def test_processes_share_a_ledger_without_gap_mismatch_or_deadlock(
    databases: TestDatabases, tmp_path: Path, processes: int
) -> None:
    chance = random.Random(processes)
    statuses: Counter[int] = Counter()
    async with _processes(databases, tmp_path, processes) as ports:
        with closing(LeanClient(ports[0])) as client:
            accounts = [await open_account(client, kind) for kind in ("internal", "user") * 3]

        async def work(number: int) -> None:
            with closing(LeanClient(ports[number % processes])) as client:
                for count in range(TRANSFERS_PER_CLIENT):
                    source, destination = chance.sample(accounts, k=2)
                    amount, name = f"{chance.randint(1, 9)}.00", f"{number}/{count}"
                    body = transfer(source, destination, amount, name)
                    key = name if count % 2 else None
                    statuses[(await client.post("/ledger/transfer/", body, key=key)).status] += 1

        async def ask_the_same(number: int) -> Response:
            with closing(LeanClient(ports[number % processes])) as client:
                return await _until_answered(client, same, "once")

        await asyncio.gather(*(work(number) for number in range(CLIENTS)))
        same = transfer(accounts[0], accounts[1], "1.00", "once")
        twins = await asyncio.gather(*(ask_the_same(number) for number in range(TWINS)))
    assert set(statuses) <= {201, 422, 503}
    assert statuses[201] > CLIENTS * TRANSFERS_PER_CLIENT / 2
    assert {answer.status for answer in twins} == {201}
    assert len({answer.body for answer in twins}) == 1
    replayed = Counter(answer.headers.get("idempotency-replayed") for answer in twins)
    assert replayed == {"true": TWINS - 1, None: 1}
    assert len(await journal(databases.ledger_url)) == statuses[201] + 1
    times = await _recording_times(databases)
    assert times == sorted(times)
    await check_books(databases.ledger_url)
    assert await _deadlocks(databases) == 0


async def test_an_account_cannot_be_spent_twice_through_two_processes(
    databases: TestDatabases, tmp_path: Path
) -> None:
    async with _processes(databases, tmp_path, 2) as ports:
        with closing(LeanClient(ports[0])) as client:
            funding, user = await open_account(client, "internal"), await open_account(client)
            body = transfer(funding, user, "100.00", "funding")
            assert (await client.post("/ledger/transfer/", body)).status == 201

        async def spend(number: int) -> list[Response]:
            names = [f"{number}/{count}" for count in range(10)]
            with closing(LeanClient(ports[number % 2])) as client:
                return [
                    await _until_answered(client, transfer(user, funding, "1.00", name), name)
                    for name in names
                ]

        spent = await asyncio.gather(*(spend(number) for number in range(16)))
        with closing(LeanClient(ports[1])) as client:
            balance = (await client.get(f"/ledger/account/{user}/balance")).json()["balance"]
    answers = [answer for some in spent for answer in some]
    assert Counter(answer.status for answer in answers) == {201: 100, 422: 60}
    refused = [answer.json() for answer in answers if answer.status == 422]
    assert {problem["code"] for problem in refused} == {"insufficient_funds"}
    assert balance == "0.00"
    await check_books(databases.ledger_url)
    assert await _deadlocks(databases) == 0


async def _until_answered(client: LeanClient, body: dict[str, str], key: str) -> Response:
    """Post, and ask again where the service says that it is too busy."""
    while True:
        answer = await client.post("/ledger/transfer/", body, key=key)
        if answer.status not in (409, 503):
            return answer
        assert "retry-after" in answer.headers


async def _recording_times(databases: TestDatabases) -> list[datetime]:
    """Return when each entry was recorded, in the order of the journal."""
    connection = await asyncpg.connect(databases.ledger_url)
    rows = await connection.fetch("SELECT recorded_at FROM ledger.journal ORDER BY seq")
    await connection.close()
    return [row["recorded_at"] for row in rows]


async def _deadlocks(databases: TestDatabases) -> int:
    connection = await asyncpg.connect(databases.admin_url)
    found: int = await connection.fetchval(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    await connection.close()
    return found

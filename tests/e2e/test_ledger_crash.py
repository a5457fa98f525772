"""A ledger process killed under load loses nothing that it acknowledged, and doubles none."""

import asyncio
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx

from ledger_service.projections.verifier import verify
from ledger_service.tables import MAIN_LEDGER_ID
from tests.integration.ledger.calls import balance, open_account, transfer
from tests.live import free_port, live_service
from tests.postgres import TestDatabases

KILLS = 2
CLIENTS = 8
ANSWERS_BEFORE_KILL = 60


async def test_kill_9_under_load_loses_and_doubles_nothing(
    databases: TestDatabases, tmp_path: Path
) -> None:
    environment = {"LEDGER_DATABASE_URL": databases.ledger_url, "KAIRON_DATA_DIR": str(tmp_path)}
    port, log = free_port(), tmp_path / "log"
    acknowledged: set[str] = set()
    unanswered: set[str] = set()
    with live_service("ledger_service.main", environment, log, port) as (url, _):
        async with httpx.AsyncClient(base_url=url) as client:
            funding, user = await open_account(client, "internal"), await open_account(client)
    for _ in range(KILLS):
        with live_service("ledger_service.main", environment, log, port) as (url, process):
            answered = asyncio.Event()
            goal = len(acknowledged) + ANSWERS_BEFORE_KILL

            async def pay(url: str, goal: int, answered: asyncio.Event) -> None:
                async with httpx.AsyncClient(base_url=url, timeout=10) as client:
                    while True:
                        key = unanswered.pop() if unanswered else str(uuid4())
                        try:
                            answer = await transfer(client, funding, user, "1.00", key=key)
                        except httpx.TransportError:
                            unanswered.add(key)
                            return
                        assert answer.status_code == 201, answer.text
                        acknowledged.add(key)
                        if len(acknowledged) >= goal:
                            answered.set()

            paying = [asyncio.create_task(pay(url, goal, answered)) for _ in range(CLIENTS)]
            await answered.wait()
            process.kill()
            await asyncio.gather(*paying)
    with live_service("ledger_service.main", environment, log, port) as (url, _):
        async with httpx.AsyncClient(base_url=url) as client:
            for key in unanswered | acknowledged:
                answer = await transfer(client, funding, user, "1.00", key=key)
                assert answer.status_code == 201
                if key in acknowledged:
                    assert answer.headers["Idempotency-Replayed"] == "true"
            assert await balance(client, user) == f"{len(unanswered | acknowledged)}.00"
    connection = await asyncpg.connect(databases.ledger_url)
    report = await verify(connection, MAIN_LEDGER_ID)
    await connection.close()
    assert report.findings == []
    assert len(acknowledged) >= KILLS * ANSWERS_BEFORE_KILL

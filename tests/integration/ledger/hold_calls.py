"""The calls that tests of holds make."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx

from ledger_service.processor import CommandProcessor
from ledger_service.projections.verifier import verify
from ledger_service.tables import MAIN_LEDGER_ID
from tests.integration.ledger.calls import open_account, transfer
from tests.postgres import TestDatabases

Pair = tuple[str, str]


class Hand:
    """A clock whose hand a test moves."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)


async def guest_and_hotel(client: httpx.AsyncClient) -> Pair:
    """A guest with 100.00 dollars and a hotel with nothing."""
    funding, guest = await open_account(client, "internal"), await open_account(client)
    assert (await transfer(client, funding, guest, "100.00")).status_code == 201
    return guest, await open_account(client)


async def place(
    client: httpx.AsyncClient, pair: Pair, amount: str = "60.00", **facts: Any
) -> httpx.Response:
    """Ask for a hold in dollars, under `key` if there is one, for nothing where `dry_run`."""
    headers = {"Idempotency-Key": key} if (key := facts.pop("key", None)) else {}
    params = {"dry_run": "true"} if facts.pop("dry_run", False) else {}
    body = {
        "source_account_id": pair[0],
        "destination_account_id": pair[1],
        "amount": amount,
        "currency": "USD",
    }
    return await client.post("/ledger/hold/", json=body | facts, headers=headers, params=params)


async def placed(client: httpx.AsyncClient, pair: Pair, amount: str = "60.00", **facts: Any) -> str:
    """Place a hold and return its id."""
    answer = await place(client, pair, amount, **facts)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["hold_id"])


async def ask(
    client: httpx.AsyncClient, hold_id: str, operation: str, key: str | None = None, **body: Any
) -> httpx.Response:
    """Ask for something to be done to a hold."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return await client.post(f"/ledger/hold/{hold_id}/{operation}", json=body, headers=headers)


async def shown(client: httpx.AsyncClient, hold_id: str) -> dict[str, Any]:
    """Return a hold as it stands now."""
    answer = await client.get(f"/ledger/hold/{hold_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def head(client: httpx.AsyncClient) -> int:
    """Return the last seq of the main ledger."""
    seq: int = (await client.get("/ledger/head")).json()["seq"]
    return seq


@asynccontextmanager
async def processor_at(databases: TestDatabases, clock: Hand) -> AsyncIterator[CommandProcessor]:
    """Run a processor of the main ledger, as of another process, whose clock the test moves."""
    processor = a_processor(databases, clock)
    processor.start()
    try:
        yield processor
    finally:
        await processor.stop()


def a_processor(
    databases: TestDatabases, clock: Hand, ledger_id: int = MAIN_LEDGER_ID
) -> CommandProcessor:
    return CommandProcessor(
        database_url=databases.ledger_url,
        ledger_id=ledger_id,
        queue_max=100,
        batch_max=100,
        answer_seconds_max=30,
        clock=clock,
    )


async def found_wrong(databases: TestDatabases) -> list[Any]:
    """Return what the verifier finds in the main ledger."""
    connection = await asyncpg.connect(databases.ledger_url)
    try:
        return list((await verify(connection, MAIN_LEDGER_ID)).findings)
    finally:
        await connection.close()

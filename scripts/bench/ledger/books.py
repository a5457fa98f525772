"""Opens and funds the accounts that every ledger of the run begins with, over HTTP."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

from scripts.bench.ledger.http_posts import post, request_bytes
from scripts.bench.ledger.server import BenchError

CONNECTIONS_OPENING = 64
CREATED = 201
FUNDS = "1000000.00"
HOT_FUNDS = "10000000000.00"  # the first account pays in every transfer of one cell


def open_books(port: int, accounts: int) -> list[str]:
    """Open `accounts` user accounts with funds and return their ids; the first has most.

    Users may not go below zero, so the rule on funds is evaluated in every transfer.
    """
    [treasury] = _create(port, [_open("internal")])
    opened = _create(port, [_open("user")] * accounts)
    ids = [account["account_id"] for account in opened]
    transfers = [
        {
            "source_account_id": treasury["account_id"],
            "destination_account_id": account_id,
            "amount": FUNDS if index else HOT_FUNDS,
            "currency": "USD",
        }
        for index, account_id in enumerate(ids)
    ]
    _create(port, [request_bytes("/ledger/transfer/", transfer) for transfer in transfers])
    return ids


def _open(kind: str) -> bytes:
    return request_bytes("/ledger/account/", {"currency": "USD", "type": kind})


def _create(port: int, requests: Sequence[bytes]) -> list[dict[str, Any]]:
    return asyncio.run(_create_all(port, requests))


async def _create_all(port: int, requests: Sequence[bytes]) -> list[dict[str, Any]]:
    """Send the requests over a few kept connections; return the answers in their order."""
    answers: list[dict[str, Any]] = [{}] * len(requests)
    waiting = iter(enumerate(requests))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(CONNECTIONS_OPENING, len(requests))):
            tasks.create_task(_work(port, waiting, answers))
    return answers


async def _work(
    port: int, waiting: Iterator[tuple[int, bytes]], answers: list[dict[str, Any]]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for index, request in waiting:
            status, body = await post(reader, writer, request)
            if status != CREATED:
                raise BenchError(f"The ledger refused to set up the books: {body.decode()[:300]}")
            answers[index] = json.loads(body)
    finally:
        writer.close()

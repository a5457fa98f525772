"""Posts one transfer under one key many times at once; it may be posted once only."""

import asyncio
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from scripts.bench.ledger.http_posts import post, request_bytes
from scripts.bench.ledger.measure import Sample

POSTS = 100
ALIKE = {201}


def post_one_key(ports: Sequence[int], accounts: Path) -> Sample:
    """Send the same request over many connections to all processes; the rate counts postings."""
    source, destination = accounts.read_text(encoding="utf-8").split()[1:3]
    transfer = {
        "source_account_id": source,
        "destination_account_id": destination,
        "amount": "0.01",
        "currency": "USD",
    }
    request = request_bytes("/ledger/transfer/", transfer, key=secrets.token_hex(8))
    answers = asyncio.run(_post_all(ports, request))
    posted = {json.loads(body)["transaction_id"] for status, body in answers if status in ALIKE}
    others = {f"answered {status}": 1 for status, _ in answers if status not in ALIKE}
    return Sample(rate=len(posted), errors=others | ({"postings": 1} if len(posted) != 1 else {}))


async def _post_all(ports: Sequence[int], request: bytes) -> list[tuple[int, bytes]]:
    connections = [
        await asyncio.open_connection("127.0.0.1", ports[number % len(ports)])
        for number in range(POSTS)
    ]
    try:
        return await asyncio.gather(*(post(*connection, request) for connection in connections))
    finally:
        for _, writer in connections:
            writer.close()

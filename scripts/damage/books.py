"""Keeps books by many kinds of commands, through the service itself, and seals them in steps."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, NamedTuple

import asyncpg
import httpx

from ledger_service.main import create_app
from ledger_service.settings import LedgerSettings
from ledger_service.tables import MAIN_LEDGER_ID
from ledger_service.trust.anchors import Anchor
from ledger_service.trust.seal_reader import last_seal
from ledger_service.trust.sealer import seal_what_is_new

COMMANDS_PER_SEAL = 25
ACCEPTED, REFUSED = 201, 422
Post = Callable[..., Awaitable[dict[str, Any]]]


class Books(NamedTuple):
    """What there is to damage: all of it is sealed, and covered by the anchor."""

    anchor: Anchor
    seqs: list[int]
    moving_seqs: list[int]
    keys: list[asyncpg.Record]
    account_ids: list[Any]


async def keep_books(url: str, *, commands: int, seed: int) -> None:
    """Run about so many random commands, each under a key; some are refused."""
    rng = Random(seed)
    app = create_app(LedgerSettings(database_url=url, seal_seconds=0, log_level="ERROR"))
    connection = await asyncpg.connect(url)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://ledger") as client,
    ):
        number = 0

        async def post(path: str, body: dict[str, Any], method: str = "POST") -> dict[str, Any]:
            nonlocal number
            number += 1
            key = {"Idempotency-Key": f"damage-{seed}-{number}"}
            answer = await client.request(method, f"/ledger/{path}", json=body, headers=key)
            assert answer.status_code < 500, answer.text
            if number % COMMANDS_PER_SEAL == 0:
                await seal_what_is_new(connection, MAIN_LEDGER_ID)
            return dict(answer.json())

        await _keep(post, rng, commands)
    await seal_what_is_new(connection, MAIN_LEDGER_ID)
    await connection.close()


async def read_books(connection: asyncpg.Connection) -> Books:
    """Return what of the ledger is covered by its last seal, which serves as the anchor."""
    anchor = await last_seal(connection, MAIN_LEDGER_ID)
    assert anchor is not None, "the ledger is not sealed"
    entries = await connection.fetch(
        "SELECT seq, EXISTS (SELECT FROM ledger.events e WHERE e.ledger_id = j.ledger_id "
        "AND e.seq = j.seq) AS moves FROM ledger.journal j "
        "WHERE ledger_id = $1 AND seq <= $2 ORDER BY seq",
        MAIN_LEDGER_ID,
        anchor.entries_size,
    )
    keys = await connection.fetch(
        "SELECT * FROM ledger.idempotency WHERE ledger_id = $1 AND recorded_at < $2 "
        "ORDER BY recorded_at, key_hash",
        MAIN_LEDGER_ID,
        anchor.keys_before,
    )
    accounts = await connection.fetch(
        "SELECT account_id FROM ledger.accounts WHERE ledger_id = $1 ORDER BY opened_seq",
        MAIN_LEDGER_ID,
    )
    return Books(
        anchor,
        [row["seq"] for row in entries],
        [row["seq"] for row in entries if row["moves"]],
        list(keys),
        [row["account_id"] for row in accounts],
    )


async def _keep(post: Post, rng: Random, commands: int) -> None:
    opened: list[str] = []
    for name in ("Float", "Fees", "Alice", "Bob", "Carol"):
        kind = "internal" if name in ("Float", "Fees") else "user"
        body = {"currency": "USD", "type": kind, "metadata": {"name": name, "note": "é – ✓"}}
        opened.append((await post("account/", body))["account_id"])
    floats, users = opened[:2], opened[2:]
    for user in users:
        await post("transfer/", _transfer(floats[0], user, "500.00", {"description": "funding"}))
    transactions: list[str] = []
    for _ in range(commands):
        source, destination = rng.sample(users, 2)
        amount = f"{rng.randint(1, 900)}.{rng.randint(0, 99):02}"
        metadata = {"order": rng.randint(1, 9999), "of": rng.choice(["tea", "rye", "salt"])}
        match rng.choices(range(6), (10, 3, 2, 2, 1, 1))[0]:
            case 0:
                said = await post("transfer/", _transfer(source, destination, amount, metadata))
                transactions += [said["transaction_id"]] if "transaction_id" in said else []
            case 1:
                await _split(post, floats, users, metadata)
            case 2:
                await _hold(post, rng, source, destination, amount)
            case 3 if transactions:
                original = rng.choice(transactions)
                await post(f"transaction/{original}/reverse", {"amount": "1.00"})
            case 4:
                await post(f"account/{source}", {"metadata": metadata}, "PATCH")
            case _:
                await post("transfer/", _transfer(source, source, amount, {}))


def _transfer(
    source: str, destination: str, amount: str, metadata: dict[str, Any]
) -> dict[str, Any]:
    return {
        "source_account_id": source,
        "destination_account_id": destination,
        "amount": amount,
        "currency": "USD",
        "reference": f"R-{amount}",
        "metadata": metadata,
    }


async def _split(post: Post, floats: list[str], users: list[str], metadata: dict[str, Any]) -> None:
    shares = [{"account_id": user, "share": place} for place, user in enumerate(users, 1)]
    debits = [
        {"account_id": floats[0], "amount": "60.00"},
        {"account_id": floats[1], "amount": "0.07"},
    ]
    await post("transaction/", {"debits": debits, "credits": shares, "metadata": metadata})


async def _hold(post: Post, rng: Random, source: str, destination: str, amount: str) -> None:
    placed = await post("hold/", _transfer(source, destination, amount, {}))
    if "hold_id" in placed:
        hold_id = placed["hold_id"]
        if rng.random() < 0.7:
            await post(f"hold/{hold_id}/capture", {"amount": "0.50"})
        await post(f"hold/{hold_id}/void", {})

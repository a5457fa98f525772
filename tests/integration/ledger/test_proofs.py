"""Proofs over HTTP are checked here from what they say alone, as an outsider would."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from ledger_service.domain.merkle import leaf_hash, proves_consistency, proves_inclusion
from ledger_service.tables import MAIN_LEDGER_ID
from ledger_service.trust import sealer
from ledger_service.trust.sealer import seal_what_is_new
from tests.integration.ledger.calls import open_account, transfer
from tests.postgres import TestDatabases

ENTRIES = 602


@pytest.fixture
async def connection(databases: TestDatabases) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(databases.ledger_url)
    yield opened
    await opened.close()


@pytest.fixture
async def transactions(
    ledger: httpx.AsyncClient, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Six hundred transfers under six hundred keys, sealed by sixty, and their ids."""
    monkeypatch.setattr(sealer, "ENTRIES_PER_SEAL_MAX", 60)
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    body = {"source_account_id": funding, "destination_account_id": user, "currency": "USD"}
    posted: list[str] = []
    for first in (0, 100, 200, 300, 400, 500):
        transfers = [
            body | {"amount": "1.00", "idempotency_key": f"k{number}"}
            for number in range(first, first + 100)
        ]
        answer = await ledger.post("/ledger/batch/", json={"transfers": transfers})
        posted += [one["transaction_id"] for one in answer.json()["results"]]
    assert await seal_what_is_new(connection, MAIN_LEDGER_ID) == 11
    return posted


def leads_to_root(proof: dict[str, Any]) -> bool:
    return proves_inclusion(
        leaf_hash(bytes.fromhex(proof["canonical"])),
        index=proof["leaf_index"],
        size=proof["tree_size"],
        path=[bytes.fromhex(one) for one in proof["path"]],
        root=bytes.fromhex(proof["root"]),
    )


async def test_entries_are_proved_under_the_last_seal_and_under_earlier_ones(
    ledger: httpx.AsyncClient, transactions: list[str]
) -> None:
    seals = (await ledger.get("/ledger/seal/")).json()["seals"]
    assert [one["entries_size"] for one in seals] == [*range(60, 601, 60), ENTRIES]
    for number in (0, 17, 253, 254, 255, 299, 511, 598, 599):
        proof = (await ledger.get(f"/ledger/proof/{transactions[number]}")).json()
        assert (proof["leaf_index"], proof["tree_size"]) == (number + 2, ENTRIES)
        assert proof["entry"]["entry_id"] == transactions[number]
        assert proof["root"] == seals[-1]["entries_root"]
        assert leads_to_root(proof)
        for seal in seals[(number + 2) // 60 : -1 : 3]:
            place = f"/ledger/proof/{transactions[number]}?seal={seal['number']}"
            earlier = (await ledger.get(place)).json()
            assert earlier["root"] == seal["entries_root"]
            assert leads_to_root(earlier)


@pytest.mark.usefixtures("transactions")
async def test_every_seal_adds_to_every_earlier_one(ledger: httpx.AsyncClient) -> None:
    for new in (1, 5, 11):
        for old in range(1, new + 1):
            place = f"/ledger/seal/{new}/consistency?from={old}"
            proof = (await ledger.get(place)).json()
            first = (await ledger.get(f"/ledger/seal/{old}")).json()
            for tree in ("entries", "keys"):
                said = proof[tree]
                assert said["from_root"] == first[f"{tree}_root"]
                assert said["from_size"] == first[f"{tree}_size"]
                assert proves_consistency(
                    old_size=said["from_size"],
                    old_root=bytes.fromhex(said["from_root"]),
                    size=said["size"],
                    root=bytes.fromhex(said["root"]),
                    path=[bytes.fromhex(one) for one in said["path"]],
                )


async def test_seals_come_in_pages(ledger: httpx.AsyncClient, transactions: list[str]) -> None:
    first = (await ledger.get("/ledger/seal/?limit=6")).json()
    second = (await ledger.get(first["next"])).json()
    numbers = [one["number"] for page in (first, second) for one in page["seals"]]
    assert numbers == list(range(1, 12))
    assert (second["next"], second["next_cursor"]) == (None, None)
    assert len(transactions) == 600


async def test_what_is_not_sealed_yet_says_so(
    ledger: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    posted = (await transfer(ledger, funding, user, "1.00")).json()["transaction_id"]
    answer = await ledger.get(f"/ledger/proof/{posted}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "10")
    said = answer.json()
    assert (said["code"], said["seq"], said["sealed_seq"]) == ("not_sealed", 3, 0)
    await seal_what_is_new(connection, MAIN_LEDGER_ID)
    await transfer(ledger, funding, user, "1.00")
    assert leads_to_root((await ledger.get(f"/ledger/proof/{posted}")).json())
    assert leads_to_root((await ledger.get(f"/ledger/proof/{funding}")).json())


async def test_what_there_is_not(ledger: httpx.AsyncClient, transactions: list[str]) -> None:
    for place in (
        f"/ledger/proof/{uuid4()}",
        f"/ledger/proof/{transactions[0]}?seal=12",
        f"/ledger/proof/{transactions[0]}?seal={2**62}",
        "/ledger/seal/12",
        "/ledger/seal/11/consistency?from=12",
        "/ledger/seal/12/consistency?from=1",
    ):
        answer = await ledger.get(place)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), place
    for place in ("/ledger/seal/0", "/ledger/seal/1/consistency", "/ledger/seal/?cursor=x"):
        assert (await ledger.get(place)).status_code == 422, place


async def test_a_changed_entry_is_not_proved(
    ledger: httpx.AsyncClient, transactions: list[str], databases: TestDatabases
) -> None:
    admin = await asyncpg.connect(databases.admin_url)
    await admin.execute("ALTER TABLE ledger.events DISABLE TRIGGER ALL")
    await admin.execute("UPDATE ledger.events SET balance_after_minor = 0 WHERE seq = 100")
    await admin.close()
    answer = await ledger.get(f"/ledger/proof/{transactions[97]}")
    assert (answer.status_code, answer.json()["code"]) == (409, "seal_broken")
    assert leads_to_root((await ledger.get(f"/ledger/proof/{transactions[98]}")).json())

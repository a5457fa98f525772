"""The sealer covers all that is committed, goes on where it stopped, and is alone at it."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from ledger_service.domain.canonical import entry_bytes, key_bytes
from ledger_service.domain.merkle import leaf_hash, root_of
from ledger_service.main import create_app
from ledger_service.projections.verifier import verify
from ledger_service.settings import LedgerSettings
from ledger_service.tables import MAIN_LEDGER_ID
from ledger_service.trust import sealer
from ledger_service.trust.log_reader import entry_pages, keys_between
from ledger_service.trust.sealer import LogDamaged, Sealer, seal_what_is_new
from tests.conftest import Serve
from tests.integration.ledger.calls import open_account, transfer
from tests.postgres import TestDatabases


@pytest.fixture
async def connection(databases: TestDatabases) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(databases.ledger_url)
    yield opened
    await opened.close()


async def post_some(ledger: httpx.AsyncClient, number: int, *, name: str = "a") -> None:
    """Post so many transfers, each under a key; every third is refused."""
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    for one in range(number):
        way = (user, funding) if one % 3 == 2 else (funding, user)
        await transfer(ledger, *way, f"{1000 if one % 3 == 2 else 1}.00", key=f"{name}{one}")


async def last_seal(connection: asyncpg.Connection) -> asyncpg.Record:
    return await connection.fetchrow("SELECT * FROM ledger.seals ORDER BY number DESC LIMIT 1")


async def test_a_seal_covers_all_entries_and_the_keys_before_the_last(
    ledger: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    await post_some(ledger, 7)
    assert await seal_what_is_new(connection, MAIN_LEDGER_ID) == 1
    seal = await last_seal(connection)
    entries = [
        leaf_hash(entry_bytes(entry))
        async for page in entry_pages(connection, MAIN_LEDGER_ID, rows=2)
        for entry in page.entries
    ]
    async with connection.transaction():
        keys = [
            leaf_hash(key_bytes(key))
            async for key in keys_between(connection, MAIN_LEDGER_ID, before=seal["keys_before"])
        ]
    assert (seal["entries_size"], seal["entries_root"]) == (7, root_of(entries))
    assert (seal["keys_size"], seal["keys_root"]) == (6, root_of(keys))
    leaves = await connection.fetch("SELECT tree, hashes FROM ledger.seal_leaves ORDER BY tree")
    assert [row["hashes"] for row in leaves] == [b"".join(entries), b"".join(keys)]


async def test_postgresql_hashes_what_canonical_bytes_are(
    ledger: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    for effective_at in ("1969-12-31T23:59:59.999999Z", "1900-01-01T00:00:00Z"):
        metadata = {"name": 'Ærøskøbing \U0001f6f6 \\ " \t', "long": "x" * 4_000}
        facts = {"effective_at": effective_at, "reference": "ü", "metadata": metadata}
        answer = await transfer(ledger, funding, user, "0.01", key=effective_at, **facts)
        assert answer.status_code == 201, answer.text
    refused = await transfer(ledger, user, funding, "7000.00", key="k3", reference="né")
    assert refused.status_code == 422
    await open_account(ledger)
    assert await seal_what_is_new(connection, MAIN_LEDGER_ID) == 1
    report = await verify(connection, MAIN_LEDGER_ID)
    assert (report.findings, report.sealed_seq, report.keys) == ([], 5, 3)


async def test_what_is_sealed_in_many_steps_has_the_roots_of_one(
    ledger: httpx.AsyncClient, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer, "LEAVES_PER_ROW_MAX", 2)
    await post_some(ledger, 4)
    assert await seal_what_is_new(connection, MAIN_LEDGER_ID) == 1
    assert await seal_what_is_new(connection, MAIN_LEDGER_ID) == 0
    await post_some(ledger, 5, name="b")
    monkeypatch.setattr(sealer, "ENTRIES_PER_SEAL_MAX", 2)
    assert await seal_what_is_new(connection, MAIN_LEDGER_ID, busy_share=0.9) == 3
    stepwise = await last_seal(connection)
    admin = stepwise["entries_root"], stepwise["keys_root"], stepwise["keys_size"]
    entries = [
        leaf_hash(entry_bytes(entry))
        async for page in entry_pages(connection, MAIN_LEDGER_ID)
        for entry in page.entries
    ]
    async with connection.transaction():
        keys = [
            leaf_hash(key_bytes(key))
            async for key in keys_between(
                connection, MAIN_LEDGER_ID, before=stepwise["keys_before"]
            )
        ]
    assert admin == (root_of(entries), root_of(keys), len(keys))


async def test_blocks_of_256_leaves_are_kept(
    ledger: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    body = {"source_account_id": funding, "destination_account_id": user, "amount": "1.00"}
    items = [body | {"currency": "USD", "idempotency_key": f"k{one}"} for one in range(300)]
    answer = await ledger.post("/ledger/batch/", json={"transfers": items})
    assert answer.json()["posted"] == 300
    await post_some(ledger, 1)
    assert await seal_what_is_new(connection, MAIN_LEDGER_ID) == 1
    blocks = await connection.fetch("SELECT * FROM ledger.seal_blocks ORDER BY tree")
    leaves = await connection.fetch("SELECT * FROM ledger.seal_leaves ORDER BY tree")
    assert [(row["tree"], row["level"], row["position"]) for row in blocks] == [
        ("entries", 1, 0),
        ("keys", 1, 0),
    ]
    for block, row in zip(blocks, leaves, strict=True):
        packed = row["hashes"]
        assert block["root"] == root_of(packed[at : at + 32] for at in range(0, 256 * 32, 32))


async def test_only_one_process_seals_a_ledger(
    ledger: httpx.AsyncClient, connection: asyncpg.Connection, databases: TestDatabases
) -> None:
    await post_some(ledger, 1)
    other = await asyncpg.connect(databases.ledger_url)
    await other.execute("SELECT pg_advisory_lock($1, $2)", sealer.SEALING_LOCK, MAIN_LEDGER_ID)
    assert await seal_what_is_new(connection, MAIN_LEDGER_ID) == 0
    await other.execute("SELECT pg_advisory_unlock_all()")
    await other.close()
    assert await seal_what_is_new(connection, MAIN_LEDGER_ID) == 1
    assert (await last_seal(connection))["entries_size"] == 3


async def test_a_broken_history_is_not_sealed(
    ledger: httpx.AsyncClient, connection: asyncpg.Connection, databases: TestDatabases
) -> None:
    await post_some(ledger, 4)
    admin = await asyncpg.connect(databases.admin_url)
    await admin.execute("ALTER TABLE ledger.journal DISABLE TRIGGER ALL")
    await admin.execute("DELETE FROM ledger.journal WHERE seq = 5")
    with pytest.raises(LogDamaged, match="ends with seq 4, the head says 5"):
        await seal_what_is_new(connection, MAIN_LEDGER_ID)
    await admin.execute("DELETE FROM ledger.journal WHERE seq = 3")
    await admin.close()
    with pytest.raises(LogDamaged, match="seq 4 follows 2"):
        await seal_what_is_new(connection, MAIN_LEDGER_ID)
    assert await last_seal(connection) is None


async def test_the_service_seals_by_itself(
    databases: TestDatabases, serve: Serve, connection: asyncpg.Connection
) -> None:
    settings = LedgerSettings(database_url=databases.ledger_url, seal_seconds=0.01)
    ledger = await serve(create_app(settings), base_url="http://ledger")
    await ledger.put("/ledger/ledger/berlin")
    await post_some(ledger, 1)
    opened = await ledger.post(
        "/ledger/account/?ledger=berlin", json={"currency": "EUR", "type": "user"}
    )
    assert opened.status_code == 201
    covered = "SELECT max(entries_size) AS last FROM ledger.seals GROUP BY ledger_id ORDER BY last"
    async with asyncio.timeout(20):
        while [row["last"] for row in await connection.fetch(covered)] != [1, 3]:
            await connection.execute("SELECT pg_sleep(0.01)")  # nothing announces a seal


async def test_a_sealer_that_waits_for_the_database_stops_at_once(
    ledger: httpx.AsyncClient, databases: TestDatabases, connection: asyncpg.Connection
) -> None:
    await post_some(ledger, 1)
    admin = await asyncpg.connect(databases.admin_url)
    transaction = admin.transaction()
    await transaction.start()
    await admin.execute("LOCK TABLE ledger.seals")
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass"
    one = Sealer(database_url=databases.ledger_url, interval_seconds=0.01)
    one.start()
    async with asyncio.timeout(20):
        while not await admin.fetchval(waiting, "ledger.seals"):
            await admin.execute("SELECT pg_sleep(0.01)")  # nothing announces a lock that waits
    async with asyncio.timeout(5):
        await one.stop()
    await transaction.rollback()
    await admin.close()
    assert await seal_what_is_new(connection, MAIN_LEDGER_ID) == 1


async def test_a_sealer_goes_on_when_it_has_lost_its_connection(
    ledger: httpx.AsyncClient, databases: TestDatabases, connection: asyncpg.Connection
) -> None:
    admin = await asyncpg.connect(databases.admin_url)
    one = Sealer(database_url=databases.ledger_url, interval_seconds=0.01)
    one.start()
    end = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name = 'kairon ledger sealer' AND datname = current_database()"
    )
    async with asyncio.timeout(20):
        while not await admin.fetchval(end):
            await admin.execute("SELECT pg_sleep(0.01)")  # nothing announces a connection
        await post_some(ledger, 1)
        while await last_seal(connection) is None or (
            (await last_seal(connection))["entries_size"] < 3
        ):
            await connection.execute("SELECT pg_sleep(0.01)")  # nothing announces a seal
    await one.stop()
    await admin.close()
    assert await seal_what_is_new(connection, MAIN_LEDGER_ID) == 0

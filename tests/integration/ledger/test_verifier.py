"""The verifier agrees with books that were kept by the rules, and names what was tampered with."""

import asyncio

import asyncpg
import httpx
import pytest

from ledger_service.projections.verifier import verify
from ledger_service.tables import MAIN_LEDGER_ID
from tests.integration.ledger.calls import open_account, transfer
from tests.postgres import TestDatabases


@pytest.fixture
async def busy_books(ledger: httpx.AsyncClient) -> None:
    funding = await open_account(ledger, "internal")
    users = [await open_account(ledger) for _ in range(5)]
    await asyncio.gather(*(transfer(ledger, funding, user, "20.00") for user in users))
    await asyncio.gather(
        *(
            transfer(ledger, users[number % 5], users[(number * 7 + 1) % 5], "3.00")
            for number in range(100)
        )
    )


@pytest.mark.usefixtures("busy_books")
async def test_live_projections_equal_the_replayed_log(databases: TestDatabases) -> None:
    connection = await asyncpg.connect(databases.ledger_url)
    report = await verify(connection, MAIN_LEDGER_ID)
    await connection.close()
    assert report.findings == []
    assert report.entries > 11
    assert report.events == 2 * (report.entries - 6)


@pytest.mark.usefixtures("busy_books")
@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("UPDATE ledger.balances SET credits_minor = credits_minor + 1", "replay makes it"),
        ("DELETE FROM ledger.balances WHERE position > 0", "replay makes it"),
        ("UPDATE ledger.accounts SET floor_minor = -5 WHERE type = 'user'", "replay makes it"),
        ("UPDATE ledger.accounts SET metadata = '{}'::jsonb || '{\"a\": 1}'", "replay makes it"),
        ("UPDATE ledger.accounts SET opened_at = now()", "replay makes it"),
        ("UPDATE ledger.accounts SET version = 9", "replay makes it"),
        ("UPDATE ledger.ledgers SET last_recorded_at = now()", "the head says"),
        ("UPDATE ledger.events SET amount_minor = 1 WHERE seq = 8", "the journal makes it"),
        ("DELETE FROM ledger.events WHERE seq = 9 AND line = 2", "is missing"),
        ("DELETE FROM ledger.journal WHERE seq = 9", "seq 9 is missing"),
        ("UPDATE ledger.ledgers SET last_seq = last_seq + 1", "the head says"),
        (
            "UPDATE ledger.journal SET recorded_at = recorded_at + interval '1 day' WHERE seq = 8",
            "was recorded before",
        ),
        (
            "UPDATE ledger.journal SET payload = "
            "jsonb_set(payload::jsonb, '{amount_minor}', '7')::json WHERE seq = 10",
            "the journal makes it",
        ),
    ],
)
async def test_damage_is_found_and_named(
    databases: TestDatabases, damage: str, finding: str
) -> None:
    admin = await asyncpg.connect(databases.admin_url)
    for table in ("journal", "events"):
        await admin.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL")
    await admin.execute(damage)
    report = await verify(admin, MAIN_LEDGER_ID)
    await admin.close()
    assert any(finding in str(one) for one in report.findings), report.findings

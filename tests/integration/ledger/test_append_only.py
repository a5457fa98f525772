"""PostgreSQL refuses to change the log: to the services by rights, to the owner by triggers."""

import asyncpg
import httpx
import pytest

from tests.integration.ledger.calls import open_account, transfer
from tests.postgres import TestDatabases

LOG = ("journal", "events", "idempotency")
CHANGES = (
    "UPDATE ledger.{} SET ledger_id = ledger_id",
    "DELETE FROM ledger.{}",
    "TRUNCATE ledger.{}",
)
COUNT = "SELECT count(*) FROM ledger.{}"


@pytest.fixture
async def filled(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    assert (await transfer(ledger, funding, user, "1.00", key="k")).status_code == 201


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("table", LOG)
async def test_the_services_may_not_change_the_log(databases: TestDatabases, table: str) -> None:
    for url in (databases.ledger_url, databases.recon_url):
        connection = await asyncpg.connect(url)
        for change in CHANGES:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(change.format(table))
        await connection.close()


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("table", LOG)
@pytest.mark.parametrize("setting", ["origin", "replica"])
async def test_not_even_the_owner_or_a_superuser_changes_the_log(
    databases: TestDatabases, table: str, setting: str
) -> None:
    connection = await asyncpg.connect(databases.admin_url)
    await connection.execute(f"SET session_replication_role = {setting}")
    for role in ("NONE", "ledger_owner"):
        await connection.execute(f"SET ROLE {role}")
        for change in CHANGES:
            with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                await connection.execute(change.format(table))
    assert await connection.fetchval(COUNT.format(table)) > 0
    await connection.close()


async def test_the_service_may_not_switch_the_triggers_off(databases: TestDatabases) -> None:
    connection = await asyncpg.connect(databases.ledger_url)
    for statement in (
        "ALTER TABLE ledger.journal DISABLE TRIGGER ALL",
        "DROP TRIGGER refuse_change ON ledger.journal",
        "SET session_replication_role = replica",
        "SET ROLE ledger_owner",
        "CREATE TABLE ledger.mine (x int)",
        "SELECT * FROM recon.runs",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()

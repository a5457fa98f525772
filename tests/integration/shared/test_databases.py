"""Every test gets a migrated database of its own; in it a service sees only its own schema."""

import asyncpg
import pytest

from tests.postgres import Template, TestDatabases, clone, drop_database


async def test_a_service_logs_in_as_its_own_role(databases: TestDatabases) -> None:
    for url, role in ((databases.ledger_url, "ledger_app"), (databases.recon_url, "recon_app")):
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT current_user") == role
        await connection.close()


async def test_a_service_cannot_use_the_other_schema_nor_make_tables(
    databases: TestDatabases,
) -> None:
    for url, other in ((databases.ledger_url, "recon"), (databases.recon_url, "ledger")):
        connection = await asyncpg.connect(url)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"schema {other}"):
            await connection.fetch("SELECT $1::regclass", f"{other}.alembic_version")
        for schema in ("ledger", "recon", "public"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"CREATE TABLE {schema}.intruder (id int)")
        await connection.close()


async def test_a_clone_is_apart_from_its_siblings(
    databases: TestDatabases, template: Template
) -> None:
    sibling = await clone(template)
    mine = await asyncpg.connect(databases.admin_url)
    theirs = await asyncpg.connect(template.databases(sibling).admin_url)
    await mine.execute("CREATE TABLE public.mine (id int)")
    assert await theirs.fetchval("SELECT to_regclass('public.mine')") is None
    await mine.close()
    await theirs.close()
    await drop_database(template.admin_url, sibling)

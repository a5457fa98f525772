"""Preparing a database works for an administrator who is no superuser, and sets the passwords."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from migrations.prepare import DatabaseNotReady, prepare_database
from shared import embedded_postgres
from shared.stack_files import PROJECT_ROOT


@pytest.fixture
async def fresh_server(tmp_path: Path) -> AsyncIterator[str]:
    """The administrator's URL of a server of its own: roles belong to a whole server."""
    server = await asyncio.to_thread(embedded_postgres.start, tmp_path, durable=False)
    yield server.admin_url
    await asyncio.to_thread(embedded_postgres.remove, tmp_path)


async def test_an_administrator_who_may_create_roles_prepares_a_database_of_his_own(
    fresh_server: str,
) -> None:
    url = await _own_database_of(fresh_server, "manager", "CREATEROLE")
    for password in ("first", "it's \\ the second"):
        await _prepare(url, ledger_password=password)
        assert await _who_logs_in(url, "ledger_app", password) == "ledger_app"
    await _prepare(url, ledger_password=None)
    assert await _who_logs_in(url, "ledger_app", "it's \\ the second") == "ledger_app"


async def test_two_databases_of_one_server_are_prepared_at_the_same_time(
    fresh_server: str,
) -> None:
    urls = [await _own_database_of(fresh_server, name, "SUPERUSER") for name in ("one", "two")]
    assert await asyncio.gather(*(_upgrade(url) for url in urls)) == [0, 0]
    for url in urls:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT count(*) FROM ledger.ledgers") == 1
        await connection.close()


async def test_an_administrator_without_the_right_to_is_told_so_in_a_sentence(
    fresh_server: str,
) -> None:
    url = await _own_database_of(fresh_server, "guest", "NOCREATEROLE")
    with pytest.raises(DatabaseNotReady, match=r"guest cannot be prepared: permission denied"):
        await _prepare(url)


async def _own_database_of(admin_url: str, name: str, right: str) -> str:
    connection = await asyncpg.connect(admin_url)
    await connection.execute(f"CREATE ROLE {name} LOGIN {right} PASSWORD 'secret'")
    await connection.execute(f"CREATE DATABASE {name} OWNER {name}")
    await connection.close()
    return _url(admin_url, name, "secret", database=name)


async def _upgrade(url: str) -> int | None:
    command = (sys.executable, "-m", "migrations", "upgrade")
    environment = os.environ | {"DATABASE_URL": url}
    process = await asyncio.create_subprocess_exec(*command, cwd=PROJECT_ROOT, env=environment)
    return await process.wait()


async def _prepare(url: str, *, ledger_password: str | None = None) -> None:
    await asyncio.to_thread(prepare_database, url, ledger_password=ledger_password)


async def _who_logs_in(url: str, role: str, password: str) -> object:
    connection = await asyncpg.connect(_url(url, role, password, database=make_url(url).database))
    try:
        return await connection.fetchval("SELECT current_user::text")
    finally:
        await connection.close()


def _url(url: str, user: str, password: str, *, database: str | None) -> str:
    changed = make_url(url).set(username=user, password=password, database=database)
    return changed.render_as_string(hide_password=False)

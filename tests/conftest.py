"""Fixtures for every test: databases of its own on a real PostgreSQL, and services in process."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

import httpx
import pytest
from fastapi import FastAPI

from tests import postgres
from tests.postgres import Template, TestDatabases


class Serve(Protocol):
    """Runs an application's lifespan and answers a client for it, until the test ends."""

    async def __call__(self, app: FastAPI, base_url: str = ...) -> httpx.AsyncClient: ...


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        postgres.open_session()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        postgres.close_session()


@pytest.fixture(scope="session")
def template() -> Template:
    """The database that is migrated once and cloned for each test."""
    return postgres.template()


@pytest.fixture
async def databases(template: Template) -> AsyncIterator[TestDatabases]:
    """This test's own migrated database, so tests may commit, lock and run in parallel."""
    name = await postgres.clone(template)
    yield template.databases(name)
    await postgres.drop_database(template.admin_url, name)


@pytest.fixture
async def empty_database(template: Template) -> AsyncIterator[str]:
    """The administrator's URL of this test's own empty database."""
    name = f"{template.name}_empty_{secrets.token_hex(6)}"
    await postgres.create_database(template.admin_url, name)
    yield template.databases(name).admin_url
    await postgres.drop_database(template.admin_url, name)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve applications in process: `client = await serve(app)`."""
    async with AsyncExitStack() as stack:

        async def start(app: FastAPI, base_url: str = "http://service") -> httpx.AsyncClient:
            await stack.enter_async_context(_lifespan(app))
            transport = httpx.ASGITransport(app)
            client = httpx.AsyncClient(transport=transport, base_url=base_url)
            return await stack.enter_async_context(client)

        yield start


@pytest.fixture
async def ledger(databases: TestDatabases, serve: Serve) -> httpx.AsyncClient:
    """The ledger service over HTTP, in process, on this test's own database."""
    from ledger_service.main import create_app
    from ledger_service.settings import LedgerSettings

    settings = LedgerSettings(database_url=databases.ledger_url)
    return await serve(create_app(settings), base_url="http://ledger")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold an application's lifespan in one task: a fixture's set-up and its end run in two."""
    started, ending = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.router.lifespan_context(app):
            started.set()
            await ending.wait()

    living = asyncio.create_task(live())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait((living, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if living.done():
        await living  # it failed to start: raise its error here
    try:
        yield
    finally:
        ending.set()
        await living

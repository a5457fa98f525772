"""Opens PostgreSQL: pools for reads (SQLAlchemy over asyncpg, or bare), connections for writers."""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from sqlalchemy import MetaData, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

POOL_WAIT_SECONDS_MAX = 5
CONNECT_SECONDS_MAX = 5
COMMAND_SECONDS_MAX = 45.0
PROBE_CONNECTIONS_MAX = 4
NAMING = {
    "ix": "ix_%(table_name)s__%(column_0_N_name)s",
    "uq": "uq_%(table_name)s__%(column_0_N_name)s",
    "ck": "ck_%(table_name)s__%(constraint_name)s",
    "fk": "fk_%(table_name)s__%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def schema_metadata(schema: str) -> MetaData:
    """Return the metadata in which a service declares the tables of its own schema."""
    return MetaData(schema=schema, naming_convention=NAMING)


def open_database(
    url: str,
    *,
    application_name: str,
    pool_size: int = 10,
    statement_timeout_ms: int = 30_000,
    synchronous_commit: str = "on",
) -> AsyncEngine:
    """Return a pool of connections to `url`; none is opened before the first use.

    Autocommit: a read is one statement and needs no transaction of its own.
    """

    async def creator() -> asyncpg.Connection:  # by the URL itself: asyncpg knows its sslmode
        return await connect(
            url,
            application_name=application_name,
            statement_timeout_ms=statement_timeout_ms,
            synchronous_commit=synchronous_commit,
        )

    database = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=creator,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS_MAX,
        pool_pre_ping=False,
        isolation_level="AUTOCOMMIT",
    )
    event.listen(database.sync_engine, "checkout", _refuse_dead_connection)
    return database


async def connect(
    url: str,
    *,
    application_name: str,
    statement_timeout_ms: int = 30_000,
    command_seconds_max: float | None = COMMAND_SECONDS_MAX,
    **server_settings: str,
) -> asyncpg.Connection:
    """Open one connection for a caller that owns its transactions.

    `command_seconds_max` bounds the wait for a server that no longer answers at all.
    """
    settings = _server_settings(application_name, statement_timeout_ms) | server_settings
    return await asyncpg.connect(
        plain_dsn(url),
        timeout=CONNECT_SECONDS_MAX,
        command_timeout=command_seconds_max,
        server_settings=settings,
    )


class Probes:
    """Runs single read statements of hot routes on a few connections of its own.

    Bare asyncpg: each statement is prepared once a connection, and SQLAlchemy's part of such a
    read would be most of it.
    """

    def __init__(self, url: str, *, application_name: str, statement_timeout_ms: int) -> None:
        self._pool = asyncpg.create_pool(
            plain_dsn(url),
            min_size=0,
            max_size=PROBE_CONNECTIONS_MAX,
            timeout=CONNECT_SECONDS_MAX,
            command_timeout=COMMAND_SECONDS_MAX,
            server_settings=_server_settings(application_name, statement_timeout_ms),
            reset=_leave_as_it_is,
        )

    async def start(self) -> None:
        """Make ready; a connection is opened when one is first needed."""
        await self._pool

    async def row(self, statement: str, *values: Any) -> Any:
        """Return the first row of a read-only `statement`, None where there is none."""
        async with self._pool.acquire(timeout=POOL_WAIT_SECONDS_MAX) as connection:
            return await connection.fetchrow(statement, *values)

    async def stop(self) -> None:
        """Close the connections."""
        await self._pool.close()


async def _leave_as_it_is(_connection: asyncpg.Connection) -> None:
    """Save the round trip that would clean a session: our reads leave nothing behind."""


def _refuse_dead_connection(connection: Any, _record: Any, _proxy: Any) -> None:
    """Let the pool replace a connection that PostgreSQL closed while nobody used it."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def plain_dsn(url: str) -> str:
    """Return `url` as asyncpg takes it: without SQLAlchemy's driver name."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme=parts.scheme.partition("+")[0]))


def _server_settings(application_name: str, statement_timeout_ms: int) -> dict[str, Any]:
    return {
        "application_name": application_name,
        "jit": "off",
        "timezone": "UTC",
        "statement_timeout": str(statement_timeout_ms),
        "idle_in_transaction_session_timeout": "60000",
    }

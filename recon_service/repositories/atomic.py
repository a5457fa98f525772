"""Opens the atomic steps of the service: one transaction on a driver connection of the pool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine


@asynccontextmanager
async def plain(database: AsyncEngine) -> AsyncIterator[asyncpg.Connection]:
    """Yield a driver connection of the pool; every statement stands alone."""
    async with database.connect() as connection:
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        assert isinstance(driver, asyncpg.Connection)
        yield driver


@asynccontextmanager
async def atomic(database: AsyncEngine) -> AsyncIterator[asyncpg.Connection]:
    """Yield a driver connection of the pool inside a transaction that commits at the end."""
    async with plain(database) as connection, connection.transaction():
        yield connection

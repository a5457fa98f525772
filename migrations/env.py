"""Runs one service's migrations as the owner of its schema; the ini section names the schema."""

import asyncio
import importlib
import os

import asyncpg
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.database import plain_dsn

LOCK_TIMEOUT = "5s"  # a migration that waits for a lock makes everybody behind it wait as well

config = context.config
schema = config.config_ini_section
metadata = importlib.import_module(f"{schema}_service.tables").metadata


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Compare this service's schema only, and no index that `index-metadata` has made."""
    if kind == "index":
        return name is None or "__metadata_" not in name
    return kind != "schema" or name == schema


def migrate_offline() -> None:
    """Write the SQL to the configured output; needs no database."""
    context.configure(
        dialect_name="postgresql",
        target_metadata=metadata,
        version_table_schema=schema,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},  # the default would double every percent sign
    )
    with context.begin_transaction():
        context.run_migrations()


def migrate(connection: Connection) -> None:
    connection.execute(text(f"SET ROLE {schema}_owner"))
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=schema,
        include_schemas=True,
        include_name=is_ours,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate_online() -> None:
    url = plain_dsn(config.attributes.get("url") or os.environ["DATABASE_URL"])
    database = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(url),  # it knows every libpq option, as sslmode
        poolclass=NullPool,  # an open connection would keep the tests' template from cloning
    )
    async with database.connect() as connection:
        await connection.run_sync(migrate)


if context.is_offline_mode():
    migrate_offline()
else:
    asyncio.run(migrate_online())

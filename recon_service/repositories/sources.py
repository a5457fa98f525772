"""Sources and every version of their definitions."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from recon_service.domain.config import SourceConfig

# A source with the definition in force.
_FIND = """
SELECT s.name, s.version, s.nightly_since, v.config::text, v.made_at
FROM recon.sources s JOIN recon.source_versions v ON v.source = s.name AND v.version = s.version
"""

# One definition that a source has or had.
_FIND_VERSION = "SELECT config::text FROM recon.source_versions WHERE source = $1 AND version = $2"

# Every definition of a source, newest first.
_VERSIONS = """
SELECT source AS name, version, NULL::timestamptz AS nightly_since, config::text, made_at
FROM recon.source_versions WHERE source = $1 AND version < $2 ORDER BY version DESC LIMIT $3
"""

# Keep a definition; versions are never rewritten.
_APPEND_VERSION = """
INSERT INTO recon.source_versions (source, version, config, made_at) VALUES ($1, $2, $3, $4)
"""

# Make a source, unless its name is taken.
_CREATE = """
INSERT INTO recon.sources (name, version, nightly_since) VALUES ($1, 1, $2)
ON CONFLICT (name) DO NOTHING RETURNING name
"""

# Put a version in force; a source that stays nightly keeps the time since when it is.
_CHANGE = """
UPDATE recon.sources
SET version = $2, nightly_since = CASE WHEN $3 THEN coalesce(nightly_since, $4) END
WHERE name = $1
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A source with one of its definitions."""

    name: str
    version: int
    config: SourceConfig
    made_at: datetime
    nightly_since: datetime | None


async def find_source(connection: asyncpg.Connection, name: str) -> Source | None:
    """Return a source with the definition in force, None where there is none of that name."""
    row = await connection.fetchrow(_FIND + "WHERE s.name = $1", name)
    return None if row is None else _source(row)


async def lock_source(connection: asyncpg.Connection, name: str) -> Source | None:
    """Return a source and hold it until the transaction ends: attempts are numbered under it."""
    row = await connection.fetchrow(_FIND + "WHERE s.name = $1 FOR NO KEY UPDATE OF s", name)
    return None if row is None else _source(row)


async def list_sources(
    connection: asyncpg.Connection, *, after: str, limit: int
) -> tuple[list[Source], bool]:
    """Return at most `limit` sources by name after `after`, and whether there are more."""
    rows = await connection.fetch(
        _FIND + "WHERE s.name > $1 ORDER BY s.name LIMIT $2", after, limit + 1
    )
    return [_source(row) for row in rows[:limit]], len(rows) > limit


async def nightly_sources(connection: asyncpg.Connection) -> list[Source]:
    """Return the sources that run every night."""
    rows = await connection.fetch(_FIND + "WHERE s.nightly_since IS NOT NULL ORDER BY s.name")
    return [_source(row) for row in rows]


async def list_versions(
    connection: asyncpg.Connection, name: str, *, before: int, limit: int
) -> tuple[list[Source], bool]:
    """Return at most `limit` definitions below version `before`, and whether there are more."""
    rows = await connection.fetch(_VERSIONS, name, before, limit + 1)
    return [_source(row) for row in rows[:limit]], len(rows) > limit


async def find_version(connection: asyncpg.Connection, name: str, version: int) -> SourceConfig:
    """Return a definition that a run refers to."""
    return SourceConfig.model_validate_json(await connection.fetchval(_FIND_VERSION, name, version))


async def create_source(
    connection: asyncpg.Connection, *, name: str, config: SourceConfig, now: datetime
) -> Source | None:
    """Make a source; None where the name is taken."""
    since = now if config.nightly else None
    if await connection.fetchval(_CREATE, name, since) is None:
        return None
    await connection.execute(_APPEND_VERSION, name, 1, config.model_dump_json(), now)
    return Source(name, 1, config, now, since)


async def change_source(
    connection: asyncpg.Connection, source: Source, config: SourceConfig, now: datetime
) -> Source:
    """Give a locked source another definition; what equals the one in force changes nothing."""
    if config == source.config:
        return source
    version = source.version + 1
    await connection.execute(_APPEND_VERSION, source.name, version, config.model_dump_json(), now)
    await connection.execute(_CHANGE, source.name, version, config.nightly, now)
    since = (source.nightly_since or now) if config.nightly else None
    return Source(source.name, version, config, now, since)


def _source(row: asyncpg.Record) -> Source:
    return Source(
        name=row["name"],
        version=row["version"],
        config=SourceConfig.model_validate_json(row["config"]),
        made_at=row["made_at"],
        nightly_since=row["nightly_since"],
    )

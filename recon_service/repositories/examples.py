"""Ids that exist, for the examples in Swagger; and whether the tables do."""

import asyncpg

# The newest finished run, an entry of its match log, and a record, one without a match first.
_EXAMPLES = """
SELECT r.run_id::text,
       (SELECT l.log_id::text FROM recon.match_log l WHERE l.run_id = r.run_id
        ORDER BY l.log_id LIMIT 1) AS log_id,
       coalesce((SELECT l.record_id::text FROM recon.match_log l
                 WHERE l.run_id = r.run_id AND NOT l.matched ORDER BY l.log_id LIMIT 1),
                (SELECT l.record_id::text FROM recon.match_log l
                 WHERE l.run_id = r.run_id ORDER BY l.log_id LIMIT 1)) AS record_id
FROM recon.runs r WHERE r.status = 'finished' AND NOT r.dry_run
ORDER BY r.run_id DESC LIMIT 1
"""

_MIGRATED = """
SELECT to_regclass('recon.match_log') IS NOT NULL AND to_regclass('recon.sources') IS NOT NULL
"""


async def example_ids(connection: asyncpg.Connection) -> tuple[str | None, ...]:
    """Return a run, a log entry and a record, None where there is none yet."""
    row = await connection.fetchrow(_EXAMPLES)
    return (None, None, None) if row is None else tuple(row)


async def sources_exist(connection: asyncpg.Connection) -> bool:
    """Tell whether the schema has been migrated."""
    return bool(await connection.fetchval(_MIGRATED))

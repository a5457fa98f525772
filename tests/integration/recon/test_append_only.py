"""The match log and what runs refer to cannot be changed, by the service's role or by the owner."""

import asyncpg
import pytest

from recon_service.tables import APPEND_ONLY, metadata
from tests.postgres import TestDatabases

STATEMENTS = {
    "update": "UPDATE recon.{table} SET {column} = {column}",
    "delete": "DELETE FROM recon.{table}",
    "truncate": "TRUNCATE recon.{table}",
}


async def fill(connection: asyncpg.Connection, table: str) -> None:
    """Put a row into `table`, so that row triggers have something to refuse."""
    if await connection.fetchval(f"SELECT count(*) FROM recon.{table}"):  # noqa: S608
        return
    values = {
        "run_id": "gen_random_uuid()",
        "record_id": "gen_random_uuid()",
        "first_run_id": "gen_random_uuid()",
        "kind": "'queued'",
        "disposition": "'unmatched'",
        "match_type": "'none'",
        "decision": "'unmatched'",
        "upload_id": "repeat('0', 64)",
        "key_hash": "decode(repeat('00', 32), 'hex')",
        "fingerprint": "decode(repeat('00', 32), 'hex')",
        "side": "'external'",
        "state": "'open'",
        "matched": "false",
        "carried": "false",
        "line_no": "1",
    }
    if table == "match_members":
        values |= {"match_type": "'group'", "decision": "'auto'"}
    by_type = {
        "TEXT": "'x'",
        "BIGINT": "1",
        "INTEGER": "1",
        "BOOLEAN": "false",
        "SMALLINT": "1",
        "DATE": "current_date",
        "DATETIME": "now()",
        "JSONB": "'{}'",
    }
    columns = [
        column
        for column in metadata.tables[f"recon.{table}"].columns
        if column.identity is None and (not column.nullable or column.name in values)
    ]
    names = ", ".join(column.name for column in columns)
    cells = ", ".join(
        values.get(column.name) or by_type[str(column.type).split("(")[0]] for column in columns
    )
    await connection.execute(
        f"INSERT INTO recon.{table} ({names}) VALUES ({cells})"  # noqa: S608
    )


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_the_log_refuses_every_change(databases: TestDatabases, table: str) -> None:
    column = metadata.tables[f"recon.{table}"].columns.keys()[1]
    service = await asyncpg.connect(databases.recon_url)
    try:
        await fill(service, table)
        for statement in STATEMENTS.values():
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(statement.format(table=table, column=column))
    finally:
        await service.close()
    administrator = await asyncpg.connect(databases.admin_url)
    try:
        await administrator.execute("SET ROLE recon_owner")
        # Even where triggers are told to keep quiet, these fire.
        for statement in STATEMENTS.values():
            with pytest.raises(asyncpg.RestrictViolationError):
                await administrator.execute(statement.format(table=table, column=column))
        await administrator.execute("RESET ROLE")
        await administrator.execute("SET session_replication_role = replica")
        with pytest.raises(asyncpg.RestrictViolationError):
            await administrator.execute(STATEMENTS["delete"].format(table=table))
    finally:
        await administrator.close()


async def test_the_service_cannot_delete_a_run_or_disable_a_trigger(
    databases: TestDatabases,
) -> None:
    service = await asyncpg.connect(databases.recon_url)
    try:
        for statement in (
            "DELETE FROM recon.runs",
            "DELETE FROM recon.breaks",
            "TRUNCATE recon.active_matches",
            "ALTER TABLE recon.match_log DISABLE TRIGGER refuse_change",
            "SET session_replication_role = replica",
            "SELECT * FROM ledger.journal",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(statement)
    finally:
        await service.close()


async def test_the_shipped_sources_exist_after_migration(databases: TestDatabases) -> None:
    from recon_service.domain.config import BANK_API, BANK_CSV, SourceConfig

    service = await asyncpg.connect(databases.recon_url)
    try:
        rows = await service.fetch("SELECT source, config FROM recon.source_versions")
        since = await service.fetch("SELECT name, nightly_since IS NOT NULL FROM recon.sources")
    finally:
        await service.close()
    found = {source: SourceConfig.model_validate_json(config) for source, config in rows}
    assert found == {"bank_csv": BANK_CSV, "bank_api": BANK_API}
    assert dict(since) == {"bank_csv": True, "bank_api": False}

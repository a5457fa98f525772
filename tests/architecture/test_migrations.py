"""The migrations, the tables in the code and migrations/schema.sql describe one database."""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import make_url

from migrations.prepare import (
    alembic_config,
    check_database,
    create_roles_and_schemas,
    prepare_database,
    schema_sql,
)
from migrations.roles import SERVICES
from shared import embedded_postgres
from shared.stack_files import PROJECT_ROOT
from tests.postgres import TestDatabases

SCHEMA_FILE = PROJECT_ROOT / "migrations" / "schema.sql"
INSTANT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00")


def test_the_schema_file_is_what_the_migrations_generate() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_sql(), (
        "generate it anew: python -m migrations schema > migrations/schema.sql"
    )


async def test_the_schema_file_makes_the_same_database_as_the_migrations(
    databases: TestDatabases, empty_database: str
) -> None:
    await _run("psql", empty_database, "--set=ON_ERROR_STOP=1", f"--file={SCHEMA_FILE}")
    assert await _dump(empty_database) == await _dump(databases.admin_url)


async def test_the_migrated_tables_are_those_that_the_code_declares(
    databases: TestDatabases,
) -> None:
    await asyncio.to_thread(check_database, databases.admin_url)  # raises where they differ
    connection = await asyncpg.connect(databases.admin_url)
    await connection.execute("ALTER TABLE ledger.accounts ADD COLUMN stray int")
    await connection.close()
    with pytest.raises(CommandError, match="stray"):
        await asyncio.to_thread(check_database, databases.admin_url)


async def test_preparing_a_prepared_database_changes_nothing(databases: TestDatabases) -> None:
    before = await _dump(databases.admin_url)
    await asyncio.to_thread(prepare_database, databases.admin_url)
    assert await _dump(databases.admin_url) == before


@pytest.mark.parametrize("service", SERVICES)
def test_a_history_is_one_line_of_numbered_revisions(service: str) -> None:
    history = ScriptDirectory.from_config(alembic_config(service))
    revisions = [revision.revision for revision in history.walk_revisions()]
    assert len(history.get_heads()) == 1
    assert revisions == [f"{number:04}" for number in range(len(revisions), 0, -1)]


@pytest.mark.parametrize("service", SERVICES)
async def test_migrating_down_is_refused(databases: TestDatabases, service: str) -> None:
    before = await _dump(databases.admin_url)
    with pytest.raises(RuntimeError, match="restore a backup"):
        await asyncio.to_thread(
            command.downgrade, alembic_config(service, databases.admin_url), "-1"
        )
    assert await _dump(databases.admin_url) == before


async def test_keys_of_the_first_version_keep_their_outcomes(empty_database: str) -> None:
    """A refusal with its numbers in their order; a NUL, which `json` cannot read, is replaced."""
    config = alembic_config("ledger", empty_database)
    await create_roles_and_schemas(empty_database, None, None)
    await asyncio.to_thread(command.upgrade, config, "0001")
    answer = (
        r'{"shortfall":"1.00","amount":"-\u0000","floor":"0.00","type":"urn","title":"T",'
        r'"status":422,"detail":"-\u0000 is not more than zero","instance":"/","code":"amount"}'
    )
    connection = await asyncpg.connect(empty_database)
    await connection.executemany(
        "INSERT INTO ledger.idempotency VALUES (1, $1, $1, $2, $3, $4, now())",
        [(b"a" * 32, None, 422, answer), (b"b" * 32, 7, 201, "{}")],
    )
    await asyncio.to_thread(command.upgrade, config, "head")
    rows = await connection.fetch(
        "SELECT key_hash, fingerprint, seq, refusal FROM ledger.idempotency ORDER BY key_hash"
    )
    await connection.close()
    assert tuple(rows[1]) == (b"b" * 16, b"b" * 16, 7, None)
    assert tuple(rows[0])[:3] == (b"a" * 16, b"a" * 16, None)
    declined = json.loads(rows[0]["refusal"])
    assert (declined["code"], declined["detail"]) == ("amount", "-\ufffd is not more than zero")
    assert list(declined["numbers"]) == ["shortfall", "amount", "floor"]


async def test_what_was_matched_one_to_one_stays_in_force(empty_database: str) -> None:
    """Runs and matches from before there were groups and dry runs are read as they were."""
    config = alembic_config("recon", empty_database)
    await create_roles_and_schemas(empty_database, None, None)
    await asyncio.to_thread(command.upgrade, config, "0002")
    connection = await asyncpg.connect(empty_database)
    await connection.execute(
        "INSERT INTO recon.runs (run_id, source, business_date, attempt, source_version,"
        " population, trigger, input_kind, requested_at) VALUES"
        " (gen_random_uuid(), 'bank_csv', '2025-07-13', 1, 1, 'all', 'manual', 'inbox', now())"
    )
    matched = (
        "INSERT INTO recon.active_matches (record_id, population, internal_id, run_id, source)"
        " SELECT gen_random_uuid(), 'all', 'TX-1', run_id, source FROM recon.runs"
    )
    await connection.execute(matched)
    await asyncio.to_thread(command.upgrade, config, "head")
    [run] = await connection.fetch("SELECT dry_run, policy FROM recon.runs")
    assert tuple(run) == (False, None)
    [row] = await connection.fetch("SELECT internal_id, match_id FROM recon.active_matches")
    assert tuple(row) == ("TX-1", None)
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(matched)
    await connection.close()


async def _dump(url: str) -> str:
    """Tables and rows as pg_dump writes them, without what differs each time."""
    text = await _run("pg_dump", url)
    lines = (line for line in text.splitlines() if "restrict " not in line)
    return INSTANT.sub("(an instant)", "\n".join(lines))


async def _run(program: str, url: str, *arguments: str) -> str:
    """Run one of PostgreSQL's programs on a database; the password stays off the command line."""
    where = make_url(url)
    environment = os.environ | {"PGPASSWORD": where.password or ""}
    place = where.set(password=None).render_as_string(hide_password=False)
    done = await asyncio.to_thread(
        subprocess.run,
        [str(Path(embedded_postgres.binaries()) / program), *arguments, f"--dbname={place}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)

"""The bench's own PostgreSQL: production-like settings, databases, and what it used of the CPU."""

import asyncio
import secrets
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from sqlalchemy.engine import make_url

from migrations.prepare import prepare_database
from scripts.bench.ledger.options import child_environment
from shared import embedded_postgres

SHARED_BUFFERS_MB_MAX = 2_048
TEMPLATE = "ledger_template"
PROGRAM_SECONDS_MAX = 3_600

_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
    "max_wal_size": "8GB",
    "min_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "max_connections": "300",
    "track_activity_query_size": "16384",  # the export's query is read from pg_stat_activity
}


class BenchError(Exception):
    """The bench cannot go on; the message is one sentence for a person."""


@dataclass(frozen=True, slots=True)
class BenchServer:
    """A running server that belongs to the bench alone."""

    data_dir: Path
    admin_url: str
    ledger_password: str
    recon_password: str
    settings: dict[str, str]

    def url(self, database: str, *, as_service: bool = False) -> str:
        """Return the administrator's URL of a database, or that of the ledger service's role."""
        if as_service:
            return self._url(database, username="ledger_app", password=self.ledger_password)
        return self._url(database)

    def recon_url(self, database: str) -> str:
        """Return the URL of a database for the reconciliation service's role."""
        return self._url(database, username="recon_app", password=self.recon_password)

    def _url(self, database: str, **login: str) -> str:
        url = make_url(self.admin_url).set(database=database, **login)
        return url.render_as_string(hide_password=False)

    def sql(self, statement: str, *values: Any, database: str = "postgres") -> list[Any]:
        """Run one statement as the administrator and return its rows."""
        return asyncio.run(_fetch(self.url(database), statement, values))

    def prepare_template(self) -> None:
        """Make the migrated database that every ledger of the run is a copy of."""
        self.sql(f"CREATE DATABASE {TEMPLATE}")
        prepare_database(
            self.url(TEMPLATE),
            ledger_password=self.ledger_password,
            recon_password=self.recon_password,
        )

    def copy_template(self, name: str) -> None:
        """Make a ledger with the template's accounts; nobody may be connected to that."""
        self.sql(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")

    def checkpoint(self) -> None:
        self.sql("CHECKPOINT")

    def analyze(self, database: str) -> None:
        self.sql("VACUUM (ANALYZE)", database=database)

    def cpu_seconds(self) -> float:
        """Return the CPU time of all of the server's processes so far, ended ones included."""
        pid_file = self.data_dir / "postgres" / "postmaster.pid"
        postmaster = psutil.Process(int(pid_file.read_text(encoding="utf-8").splitlines()[0]))
        ended = postmaster.cpu_times()
        return float(ended.children_user + ended.children_system) + cpu_seconds_of(
            [postmaster, *postmaster.children()]
        )


def start_server(data_dir: Path) -> BenchServer:
    """Start the embedded PostgreSQL in `data_dir` as one would run it in production here."""
    first = embedded_postgres.start(data_dir)
    memory_mb = psutil.virtual_memory().total // 2**20
    shared_buffers = f"{min(SHARED_BUFFERS_MB_MAX, memory_mb // 4)}MB"
    wanted = _SETTINGS | {"shared_buffers": shared_buffers}
    for name, value in wanted.items():
        asyncio.run(_fetch(first.admin_url, f"ALTER SYSTEM SET {name} = '{value}'", ()))
    embedded_postgres.stop(data_dir)
    server = embedded_postgres.start(data_dir)
    names = [*wanted, "server_version"]
    question = "SELECT name, current_setting(name) FROM unnest($1::text[]) AS name"
    said = asyncio.run(_fetch(server.admin_url, question, (names,)))
    return BenchServer(
        data_dir=data_dir,
        admin_url=server.admin_url,
        ledger_password=secrets.token_urlsafe(18),
        recon_password=secrets.token_urlsafe(18),
        settings=dict(said),
    )


def run_program(name: str, *arguments: str) -> str:
    """Run one of PostgreSQL's own programs and return what it printed."""
    return run_command(name, [str(embedded_postgres.binaries() / name), *arguments])


def run_command(name: str, command: Sequence[str], *, folder: Path | None = None) -> str:
    """Run a command in `folder` and return what it printed; BenchError names it by `name`."""
    ran = subprocess.run(
        command,
        cwd=folder,
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_SECONDS_MAX,
    )
    if ran.returncode:
        lines = ran.stderr.strip().splitlines() or ["it gave no reason"]
        raise BenchError(f"{name} failed: {lines[-1]}")
    return ran.stdout


def cpu_seconds_of(processes: Iterable[psutil.Process]) -> float:
    """Return the CPU time that the living processes among these have used."""
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


async def _fetch(url: str, statement: str, values: Iterable[Any]) -> list[Any]:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()

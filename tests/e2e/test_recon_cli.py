"""The reconciliation command line as a process: results, exit codes, and a kill in the middle."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner, Result

from recon_service.cli import app
from recon_service.dependencies import open_engine
from recon_service.repositories import runs
from recon_service.runner import execute
from recon_service.settings import ReconSettings
from tests.live import ROOT, live_service
from tests.postgres import TestDatabases

HEADER = "txn_id,timestamp,amount,currency,description"
WAIT_SECONDS_MAX = 60
RUN = ("run-recon", "--source", "bank_csv", "--date", "2025-07-13")
CLEAN, BREAKS, USAGE, INFRASTRUCTURE = 0, 1, 2, 3


@dataclass
class Terminal:
    """A shell in which the stack's settings are in force."""

    environment: dict[str, str]
    folder: Path

    def recon(self, *arguments: str) -> Result:
        """Run a command; whatever happens, it ends in an exit code and not in a traceback."""
        done = CliRunner().invoke(app, arguments, env=self.environment)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert "Traceback" not in done.output
        return done

    def process(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `python recon_service/cli.py` as a process of its own."""
        return subprocess.run(
            [sys.executable, "recon_service/cli.py", *arguments],
            cwd=ROOT,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def statement(self, name: str, *lines: str) -> str:
        path = self.folder / name
        path.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
        return str(path)


@pytest.fixture
def terminal(databases: TestDatabases, tmp_path: Path) -> Iterator[Terminal]:
    """The ledger as a process, and settings with which the command line finds everything."""
    environment = {
        "LEDGER_DATABASE_URL": databases.ledger_url,
        "RECON_DATABASE_URL": databases.recon_url,
        "RECON_NIGHTLY": "false",
        "RECON_LEASE_SECONDS": "1",
        "RECON_POLL_SECONDS": "0.1",
        "RECON_WORKERS": "0",
        "KAIRON_DATA_DIR": str(tmp_path),
    }
    with live_service("ledger_service.main", environment, tmp_path / "ledger.log") as (url, _):
        yield Terminal(environment | {"RECON_LEDGER_URL": url}, tmp_path)


def post(terminal: Terminal, *references: str) -> None:
    """Move ten dollars under each reference."""
    with httpx.Client(base_url=terminal.environment["RECON_LEDGER_URL"]) as ledger:
        account = {"currency": "USD", "type": "internal"}
        ids = [ledger.post("/ledger/account/", json=account).json() for _ in range(2)]
        for reference in references:
            body = {
                "source_account_id": ids[0]["account_id"],
                "destination_account_id": ids[1]["account_id"],
                "amount": "10.00",
                "currency": "USD",
                "reference": reference,
                "effective_at": "2025-07-13T12:00:00Z",
            }
            assert ledger.post("/ledger/transfer/", json=body).status_code == 201


def line(reference: str) -> str:
    return f"{reference},2025-07-13T12:00:00Z,10.00,USD,"


def test_results_and_exit_codes(terminal: Terminal) -> None:
    post(terminal, "TXN-1")
    clean = terminal.statement("clean.csv", line("TXN-1"))
    done = terminal.process(*RUN, "--file_path", clean)
    assert done.returncode == CLEAN, done.stderr
    assert "Matched exactly" in done.stdout
    broken = terminal.statement("breaks.csv", line("TXN-1"), line("TXN-2"), "rubbish")
    told = terminal.recon("run_recon", *RUN[1:], "--file-path", broken, "--json")
    assert told.exit_code == BREAKS, told.stderr
    summary: dict[str, Any] = json.loads(told.stdout)
    counted = [summary[name] for name in ("attempt", "exact", "unmatched", "rejected")]
    assert counted == [2, 1, 1, 1]
    for arguments, sentence in (
        ((*RUN, "--file_path", str(terminal.folder / "none.csv")), "does not exist"),
        ((*RUN, "--file_path", terminal.statement("empty.csv")[:-9]), "is not a regular file"),
        (("run-recon", "--source", "nope", "--date", "2025-07-13"), "no source nope"),
        (("run-recon", "--source", "bank_csv", "--date", "13.07.2025"), "does not match"),
        (("run-recon", "--source", "bank_csv"), "Missing option"),
    ):
        refused = terminal.recon(*arguments)
        assert refused.exit_code == USAGE, refused.stdout + refused.stderr
        assert sentence in refused.stderr


def test_a_policy_is_tried_out_and_the_runs_are_compared(terminal: Terminal) -> None:
    post(terminal, "TXN-1")
    path = terminal.statement("near.csv", line("TXN-1").replace("10.00", "10.02"))
    run = (*RUN, "--file_path", path, "--json")
    found = terminal.recon(*run)
    assert found.exit_code == BREAKS, found.stderr
    policy = {"amount_tolerance": {"absolute": "0.05"}}
    tried = terminal.recon(*run, "--dry-run", "--policy", json.dumps(policy))
    assert tried.exit_code == CLEAN, tried.stderr
    base, other = (json.loads(done.stdout) for done in (found, tried))
    assert (base["dry_run"], other["dry_run"], other["exact"]) == (False, True, 1)
    kept = terminal.folder / "policy.json"
    kept.write_text(json.dumps(policy))
    shown = terminal.recon(*run[:-1], "--dry-run", "--policy", str(kept))
    assert "dry run 2" in shown.stdout
    with live_service(
        "recon_service.main", terminal.environment, terminal.folder / "recon.log"
    ) as (url, _):
        there = Terminal(terminal.environment | {"RECON_URL": url}, terminal.folder)
        told = there.recon("compare", base["run_id"], other["run_id"])
        assert told.exit_code == CLEAN, told.stderr
        assert "10.02 USD" in told.stdout
        listed = there.recon("compare", base["run_id"], other["run_id"], "--json")
        assert json.loads(listed.stdout)["totals"]["gained"]["records"] == 1
        assert there.recon("compare", base["run_id"], "x").exit_code == USAGE


def test_a_policy_that_cannot_be_tried_out_is_a_usage_error(terminal: Terminal) -> None:
    run = (*RUN, "--file_path", terminal.statement("clean.csv", line("TXN-1")))
    for arguments, sentence in (
        (("--policy", "{}"), "add --dry-run"),
        (("--dry-run", "--policy", "{"), "cannot be read"),
        (("--dry-run", "--policy", "none.json"), "cannot be read"),
        (("--dry-run", "--policy", '{"auto_threshold": 2}'), "auto_threshold"),
    ):
        refused = terminal.recon(*run, *arguments)
        assert refused.exit_code == USAGE, refused.stdout + refused.stderr
        assert sentence in refused.stderr


def test_a_dead_ledger_or_database_is_a_sentence(terminal: Terminal) -> None:
    path = terminal.statement("clean.csv", line("TXN-1"))
    run = (*RUN, "--file_path", path)
    nobody = Terminal(
        terminal.environment | {"RECON_LEDGER_URL": "http://127.0.0.1:9"}, terminal.folder
    )
    done = nobody.recon(*run)
    assert done.exit_code == INFRASTRUCTURE
    assert "http://127.0.0.1:9 does not answer" in done.stderr
    nowhere = Terminal(
        terminal.environment | {"RECON_DATABASE_URL": "postgresql://recon_app:x@127.0.0.1:9/x"},
        terminal.folder,
    )
    done = nowhere.recon(*run)
    assert done.exit_code == INFRASTRUCTURE
    assert "database does not answer" in done.stderr
    done = nowhere.recon("status", "--date", "2025-07-13")
    assert done.exit_code == INFRASTRUCTURE


@asynccontextmanager
async def waiting_command(
    terminal: Terminal, databases: TestDatabases
) -> AsyncIterator[tuple[asyncpg.Connection, str, asyncio.Task[Result]]]:
    """Yield a connection, a run whose leases somebody else holds, and the command that waits."""
    path = terminal.statement("clean.csv", line("TXN-1"))
    connection = await asyncpg.connect(databases.admin_url)
    try:
        await connection.execute(
            "INSERT INTO recon.leases (name, run_id, token, until)"
            " VALUES ('source:bank_csv', gen_random_uuid(), 7, now() + interval '1 hour')"
        )
        command = asyncio.create_task(asyncio.to_thread(terminal.recon, *RUN, "--file_path", path))
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not (run_id := await connection.fetchval("SELECT run_id FROM recon.runs")):
                assert not command.done()
        yield connection, str(run_id), command
    finally:
        await connection.close()


async def test_a_run_that_another_process_has_done_is_ours(
    terminal: Terminal, databases: TestDatabases
) -> None:
    post(terminal, "TXN-1")
    settings = ReconSettings(
        database_url=databases.recon_url, ledger_url=terminal.environment["RECON_LEDGER_URL"]
    )
    async with (
        waiting_command(terminal, databases) as (connection, run_id, command),
        open_engine(settings, workers=0) as engine,
    ):
        async with connection.transaction():
            await connection.execute("UPDATE recon.leases SET until = '-infinity'")
            held = await runs.claim(connection, lease_seconds=60, run_id=run_id)
        assert held is not None
        await execute(engine, held, lease_seconds=60)
        done = await command
    assert done.exit_code == CLEAN, done.stderr
    assert "Matched exactly" in done.stdout


async def test_a_run_that_was_ended_elsewhere_is_not_shown_as_done(
    terminal: Terminal, databases: TestDatabases
) -> None:
    async with waiting_command(terminal, databases) as (connection, run_id, command):
        await runs.cancel(connection, run_id)
        done = await command
    assert done.exit_code == INFRASTRUCTURE
    assert "The run failed: Whoever asked for the run ended it." in done.stderr
    assert "done" not in done.stderr


async def test_a_lost_connection_is_told_from_a_silent_database(
    terminal: Terminal, databases: TestDatabases
) -> None:
    async with waiting_command(terminal, databases) as (connection, _, command):
        async with connection.transaction(), asyncio.timeout(WAIT_SECONDS_MAX):
            await connection.execute("SELECT FROM recon.runs FOR UPDATE")
            while not await connection.fetchval(
                "SELECT bool_or(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            ):
                assert not command.done()
        done = await command
    assert done.exit_code == INFRASTRUCTURE
    assert "The connection to the database was lost" in done.stderr


def test_a_killed_run_is_finished_once_by_the_service(terminal: Terminal) -> None:
    post(terminal, "TXN-1")
    lines = [line("TXN-1"), *(line(f"X-{number}") for number in range(15_000))]
    path = terminal.statement("many.csv", *lines)
    log = terminal.folder / "recon.log"
    with live_service("recon_service.main", terminal.environment, log) as (url, _):
        doomed = subprocess.Popen(
            [sys.executable, "-m", "recon_service.cli", *RUN, "--file_path", path, "--json"],
            cwd=ROOT,
            env=os.environ | terminal.environment,
            stdout=subprocess.DEVNULL,
        )
        with httpx.Client(base_url=url) as recon:
            _until(recon, "running")
            doomed.send_signal(signal.SIGKILL)
            doomed.wait()
            run = _until(recon, "finished")
            events = recon.get(f"/recon/runs/{run['run_id']}").json()["events"]
            [summary] = recon.get("/recon/summary/2025-07-13").json()["summaries"]
    kinds = [event["kind"] for event in events]
    assert kinds == ["queued", "started", "resumed", "finished"]
    assert (summary["lines"], summary["exact"]) == (len(lines), 1)


def _until(recon: httpx.Client, status: str) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < deadline:
        found: list[dict[str, Any]] = recon.get("/recon/runs").json()["runs"]
        if found and found[0]["status"] == status:
            return found[0]
    raise AssertionError(f"the run is not {status}: {found}")

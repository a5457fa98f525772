"""Killed with SIGKILL wherever it stands, a run that another process takes up ends the same."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import httpx
import pytest

from tests.live import ROOT, live_service
from tests.postgres import TestDatabases

DAY = "2025-07-13"
WAIT_SECONDS_MAX = 240
# Many lines without a counterpart: every phase lasts long enough to be met.
STRANGERS = 8_000
# Beside four chosen moments; six were tried by hand.
RANDOM_KILLS = 1
# What differs between two attempts that decided the same: whose they are, and when.
OWN = {"run_id", "log_id", "attempt", "decided_at", "opened_at", "changed_at", "first_run_id"}
DECIDED = ("run_records", "match_log", "match_members", "summaries")
IN_FORCE = ("active_matches", "breaks")
Met = Callable[[asyncpg.Connection], Awaitable[bool]]


@dataclass
class Stack:
    """Both services as processes, and what a third one needs to join them."""

    environment: dict[str, str]
    ledger: httpx.Client
    recon: httpx.Client
    statement: Path

    def join(self) -> subprocess.Popen[bytes]:
        """Begin a run in a process of its own, which keeps it from the service for a while."""
        command = [sys.executable, "-m", "recon_service.cli", "run-recon", "--source", "bank_csv"]
        command += ["--date", DAY, "--file_path", str(self.statement), "--json"]
        return subprocess.Popen(
            command, cwd=ROOT, env=os.environ | self.environment, stdout=subprocess.DEVNULL
        )


@pytest.fixture
def stack(databases: TestDatabases, tmp_path: Path) -> Iterator[Stack]:
    environment = {
        "LEDGER_DATABASE_URL": databases.ledger_url,
        "RECON_DATABASE_URL": databases.recon_url,
        "RECON_NIGHTLY": "false",
        "RECON_LEASE_SECONDS": "3",
        "RECON_POLL_SECONDS": "0.1",
        "RECON_WORKERS": "0",
        "KAIRON_DATA_DIR": str(tmp_path),
    }
    with live_service("ledger_service.main", environment, tmp_path / "ledger.log") as (books, _):
        environment["RECON_LEDGER_URL"] = books
        with (
            live_service("recon_service.main", environment, tmp_path / "recon.log") as (url, _),
            httpx.Client(base_url=books) as ledger,
            httpx.Client(base_url=url) as recon,
        ):
            yield Stack(environment, ledger, recon, tmp_path / "bank.csv")


def post(stack: Stack) -> None:
    """Post payments that match exactly, by their words, and three that make up one payout."""
    account = {"currency": "USD", "type": "internal"}
    ids = [stack.ledger.post("/ledger/account/", json=account).json() for _ in range(2)]
    payments = [(f"TXN-{n}", f"{n}.50", "Payment") for n in range(1, 31)]
    payments += [(f"INV-{n}", f"{n}.25", f"Northwind order {n * 7919}") for n in range(31, 41)]
    payments += [(f"PART-{n}", f"{n}0.00", f"Order {n} payout PO-77810") for n in range(1, 4)]
    for reference, amount, description in payments:
        body = {
            "source_account_id": ids[0]["account_id"],
            "destination_account_id": ids[1]["account_id"],
            "amount": amount,
            "currency": "USD",
            "reference": reference,
            "effective_at": f"{DAY}T12:00:00Z",
            "metadata": {"description": description},
        }
        assert stack.ledger.post("/ledger/transfer/", json=body).status_code == 201


def write_statement(path: Path) -> None:
    lines = ["txn_id,timestamp,amount,currency,description"]
    at = f"{DAY}T12:00:00Z"
    lines += [f"TXN-{n},{at},{n}.50,USD,Payment" for n in range(1, 31)]
    lines += [f"BNK-{n},{at},{n}.25,USD,NORTHWIND ORDER {n * 7919}" for n in range(31, 41)]
    lines += [f"P-1,{at},60.00,USD,Payout PO-77810", "no line at all"]
    lines += [f"X-{n},{at},{90_000 + n}.00,USD,Stranger {n}" for n in range(STRANGERS)]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


async def decided(connection: asyncpg.Connection, run_id: str) -> dict[str, list[str]]:
    """Return all that a run left behind, without whose it is and when."""
    found = {}
    for table in (*DECIDED, *IN_FORCE):
        where = f"WHERE run_id = '{run_id}'" if table in DECIDED else ""
        rows = await connection.fetch(f"SELECT * FROM recon.{table} {where}")  # noqa: S608
        found[table] = sorted(
            repr([(name, value) for name, value in row.items() if name not in OWN]) for row in rows
        )
    return found


def in_phase(phase: str) -> Met:
    async def met(connection: asyncpg.Connection) -> bool:
        return bool(
            await connection.fetchval(
                "SELECT true FROM recon.runs WHERE status = 'running' AND phase = $1", phase
            )
        )

    return met


async def copying(connection: asyncpg.Connection) -> bool:
    """Tell whether somebody is in the middle of the atomic step, with rows under way."""
    return bool(
        await connection.fetchval(
            "SELECT true FROM pg_stat_activity WHERE state = 'active'"
            " AND datname = current_database()"
            " AND application_name = 'kairon recon writer' AND query LIKE 'COPY%match_log%'"
        )
    )


async def finished(stack: Stack, attempt: int) -> dict[str, Any]:
    """Wait until the attempt has come to its end in the service; return it with its events."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            query = f"/recon/status/{DAY}?source=bank_csv&attempt={attempt}"
            runs = (await asyncio.to_thread(stack.recon.get, query)).json()["runs"]
            if runs and runs[0]["status"] in {"finished", "failed"}:
                run_id = runs[0]["run_id"]
                return dict(stack.recon.get(f"/recon/runs/{run_id}").json())


async def kill_when(met: Met, connection: asyncpg.Connection, doomed: Any) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not await met(connection):
            assert doomed.poll() is None, "it ended before it could be killed"
    doomed.send_signal(signal.SIGKILL)
    await asyncio.to_thread(doomed.wait)


async def kill_after(seconds: float, connection: asyncpg.Connection, doomed: Any) -> bool:
    """Kill a run so long after it began; False where it was faster."""
    begun = "SELECT true FROM recon.runs WHERE status = 'running'"
    while not await connection.fetchval(begun) and doomed.poll() is None:  # noqa: ASYNC110 - another process's
        await asyncio.sleep(0.01)
    await asyncio.sleep(seconds)
    is_late = doomed.poll() is not None or not await connection.fetchval(begun)
    doomed.send_signal(signal.SIGKILL)
    await asyncio.to_thread(doomed.wait)
    return not is_late


def seconds_of(run: dict[str, Any]) -> float:
    started, ended = (datetime.fromisoformat(run[name]) for name in ("started_at", "finished_at"))
    return (ended - started).total_seconds()


async def assert_resumed_alike(
    stack: Stack, connection: asyncpg.Connection, attempt: int, expected: dict[str, list[str]]
) -> None:
    run = await finished(stack, attempt)
    kinds = [event["kind"] for event in run["events"]]
    assert kinds == ["queued", "started", "resumed", "finished"]
    assert await decided(connection, run["run_id"]) == expected


async def test_a_killed_run_ends_as_if_it_had_not_been_killed(
    stack: Stack, databases: TestDatabases
) -> None:
    await asyncio.to_thread(post, stack)
    write_statement(stack.statement)
    connection = await asyncpg.connect(databases.admin_url)
    try:
        assert await asyncio.to_thread(stack.join().wait) == 1
        whole = await finished(stack, 1)
        expected = await decided(connection, whole["run_id"])
        assert len(expected["match_members"]) == 4
        assert len(expected["match_log"]) == STRANGERS + 41
        moments = (in_phase("ledger"), in_phase("matching"), in_phase("writing"), copying)
        for attempt, met in enumerate(moments, start=2):
            await kill_when(met, connection, stack.join())
            await assert_resumed_alike(stack, connection, attempt, expected)
        dice, kills = Random(1), 0
        while kills < RANDOM_KILLS:
            attempt += 1
            if await kill_after(dice.uniform(0.0, seconds_of(whole)), connection, stack.join()):
                kills += 1
                await assert_resumed_alike(stack, connection, attempt, expected)
    finally:
        await connection.close()

"""A run whose process dies is begun again by another, and lands exactly once."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import httpx
import pytest

from recon_service.dependencies import open_engine
from recon_service.domain.run import Claim
from recon_service.domain.summary import Summary
from recon_service.match_log import LeaseLost
from recon_service.repositories import runs
from recon_service.repositories.atomic import atomic, plain
from recon_service.runner import execute
from tests.conftest import Serve
from tests.integration.recon.books import Books, line, open_books, recon_settings
from tests.postgres import TestDatabases

TABLES = ("records", "run_records", "match_log", "active_matches", "breaks", "summaries")


async def counts(books: Books) -> dict[str, int]:
    """Return how many rows each table holds that a run writes."""
    connection = await asyncpg.connect(books.databases.admin_url)
    try:
        return {
            table: await connection.fetchval(f"SELECT count(*) FROM recon.{table}")  # noqa: S608
            for table in TABLES
        }
    finally:
        await connection.close()


async def queue_behind(books: Books, name: str) -> str:
    """Ask for a run that this test reserves for itself; return its id."""
    connection = await asyncpg.connect(books.databases.recon_url)
    try:
        await connection.execute(
            "INSERT INTO recon.leases (name, run_id, token, until)"
            " VALUES ('source:bank_csv', gen_random_uuid(), 7, now() + interval '1 hour')"
        )
        asked = await books.ask(name)
        await connection.execute("UPDATE recon.runs SET reserved_until = now() + interval '1 hour'")
        await connection.execute("UPDATE recon.leases SET until = now()")
        return str(asked.json()["run_id"])
    finally:
        await connection.close()


@pytest.mark.parametrize("phase", ["ledger", "matching", "writing"])
async def test_a_run_that_dies_in_any_phase_lands_once(
    databases: TestDatabases,
    serve: Serve,
    ledger: httpx.AsyncClient,
    tmp_path: Path,
    phase: str,
) -> None:
    books = await open_books(databases, serve, ledger, tmp_path)
    await books.post("TXN-1", "10.00")
    name = books.statement("one.csv", line("TXN-1", "10.00"), line("TXN-2", "5.00"))
    run_id = await queue_behind(books, name)
    settings = recon_settings(databases, tmp_path)
    async with open_engine(settings, workers=0, transport=ledger._transport) as doomed:
        async with atomic(doomed.database) as connection:
            held = await runs.claim(connection, lease_seconds=60, run_id=run_id)
        assert held is not None

        async def die(reached: str, _counts: Mapping[str, int]) -> None:
            if reached == phase:
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await doomed.run(held, die)
        assert set((await counts(books)).values()) == {0}
        # Nobody renews the lease of a dead process.
        async with plain(doomed.database) as connection:
            await runs.release_leases(connection, run_id)
        run = await books.wait(run_id)
        assert [event["kind"] for event in run["events"]] == [
            "queued",
            "started",
            "resumed",
            "finished",
        ]
        once = await counts(books)
        assert (once["match_log"], once["active_matches"], once["summaries"]) == (2, 1, 1)

        # The process was only slow: its late result is refused.
        async def ignore(_reached: str, _counts: Mapping[str, int]) -> None:
            return

        with pytest.raises((LeaseLost, AssertionError)):
            await doomed.run(held, ignore)
        assert await counts(books) == once


async def test_a_run_is_given_up_when_it_keeps_dying(
    databases: TestDatabases, serve: Serve, ledger: httpx.AsyncClient, tmp_path: Path
) -> None:
    books = await open_books(databases, serve, ledger, tmp_path, poll_seconds=600)
    name = books.statement("one.csv", line("TXN-1", "10.00"))
    run_id = await queue_behind(books, name)
    database = books.app.state.resources.database
    for _ in range(5):
        async with atomic(database) as connection:
            assert await runs.claim(connection, lease_seconds=60, run_id=run_id) is not None
        async with atomic(database) as connection:
            await runs.release_leases(connection, run_id)
    books.app.state.resources.wake()
    run = await books.wait(run_id, expect="failed")
    assert run["error"]["code"] == "gave-up"


async def test_a_stopped_process_leaves_its_run_to_the_next(books: Books) -> None:
    await books.post("TXN-1", "10.00")
    name = books.statement("one.csv", line("TXN-1", "10.00"))
    run_id = await queue_behind(books, name)
    engine = books.app.state.resources.engine
    async with atomic(engine.database) as connection:
        held = await runs.claim(connection, lease_seconds=3_600, run_id=run_id)
    assert held is not None
    reached = asyncio.Event()
    stopping = asyncio.create_task(_execute(engine, held, reached))
    await reached.wait()
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert (await books.wait(run_id))["counts"]["exact"] == 1


async def _execute(engine: object, held: Claim, reached: asyncio.Event) -> Summary | object:
    def watch(_phase: str, _counts: Mapping[str, int]) -> None:
        reached.set()

    return await execute(engine, held, lease_seconds=3_600, watch=watch)  # type: ignore[arg-type]

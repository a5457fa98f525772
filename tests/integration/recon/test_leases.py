"""Leases: what was given back stays given back, and a late holder touches nothing."""

import asyncio
from dataclasses import fields

import asyncpg

from recon_service.dependencies import Resources
from recon_service.domain.run import Claim
from recon_service.domain.summary import Summary
from recon_service.engine import Progress, ReconEngine
from recon_service.repositories import runs
from recon_service.repositories.atomic import atomic, plain
from recon_service.runner import Failed, execute
from tests.integration.recon.books import Books, line
from tests.integration.recon.test_crash import queue_behind


async def claimed(books: Books) -> Claim:
    """Return a run that this test holds."""
    await books.post("TXN-1", "10.00")
    run_id = await queue_behind(books, books.statement("one.csv", line("TXN-1", "10.00")))
    return await claim(books, run_id)


async def claim(books: Books, run_id: str) -> Claim:
    resources: Resources = books.app.state.resources
    async with atomic(resources.database) as connection:
        held = await runs.claim(connection, lease_seconds=60, run_id=run_id)
    assert held is not None
    return held


async def alive(connection: asyncpg.Connection) -> int:
    found: int = await connection.fetchval("SELECT count(*) FROM recon.leases WHERE until > now()")
    return found


async def test_a_late_holder_neither_extends_nor_releases_its_successors_leases(
    books: Books,
) -> None:
    stale = await claimed(books)
    async with plain(books.app.state.resources.database) as connection:
        assert await runs.renew(connection, stale, 60)
        async with atomic(books.app.state.resources.database) as claiming:
            # in one step, or the service itself takes the run over in between
            await claiming.execute("UPDATE recon.leases SET until = now()")
            successor = await runs.claim(claiming, lease_seconds=60, run_id=stale.run.run_id)
        assert successor is not None
        assert not await runs.renew(connection, stale, 3_600)
        await runs.release(connection, stale)
        assert await alive(connection) == 2
        await runs.release(connection, successor)
        assert await alive(connection) == 0
        assert not await runs.renew(connection, successor, 60)


async def test_a_heartbeat_that_waited_for_the_last_step_revives_nothing(books: Books) -> None:
    held = await claimed(books)
    database = books.app.state.resources.database
    async with plain(database) as watching, plain(database) as beating:
        async with atomic(database) as writing:
            await writing.execute("SELECT FROM recon.leases FOR UPDATE")
            renewal = asyncio.create_task(runs.renew(beating, held, 60))
            async with asyncio.timeout(10):
                while not await watching.fetchval(
                    "SELECT cardinality(pg_blocking_pids($1)) > 0", beating.get_server_pid()
                ):
                    assert not renewal.done()
            await runs.release_leases(writing, held.run.run_id)
        assert await renewal is False
        assert await alive(watching) == 0


class SlowToReturn(ReconEngine):
    """An engine whose caller hears of the end only after the heartbeat has."""

    async def run(self, held: Claim, progress: Progress) -> Summary:
        """Run, and return once the heartbeat is over."""
        name = f"heartbeat {held.run.run_id}"
        [heartbeat] = [task for task in asyncio.all_tasks() if task.get_name() == name]
        summary = await super().run(held, progress)
        await asyncio.wait([heartbeat])
        return summary


async def test_a_finished_run_is_not_reported_as_lost(books: Books) -> None:
    held = await claimed(books)
    engine: ReconEngine = books.app.state.resources.engine
    outcome = await execute(remade(engine, SlowToReturn), held, lease_seconds=0.5)
    assert isinstance(outcome, Summary)
    assert outcome.document["exact"] == 1


class Endless(ReconEngine):
    """An engine that is still at work when the run has been ended from elsewhere."""

    async def run(self, _held: Claim, _progress: Progress) -> Summary:
        """Never return."""
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_run_that_was_ended_elsewhere_tells_how(books: Books) -> None:
    held = await claimed(books)
    engine: ReconEngine = books.app.state.resources.engine
    async with plain(engine.database) as connection:
        await runs.cancel(connection, held.run.run_id)
    outcome = await execute(remade(engine, Endless), held, lease_seconds=0.01)
    assert isinstance(outcome, Failed)
    assert outcome.code == "interrupted"


def remade(engine: ReconEngine, kind: type[ReconEngine]) -> ReconEngine:
    """Return an engine of another kind with all that `engine` has."""
    return kind(**{one.name: getattr(engine, one.name) for one in fields(engine)})

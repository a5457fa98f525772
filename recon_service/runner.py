"""Executes runs: claims them from the queue, keeps their leases alive, ends those that fail."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from recon_service.domain.errors import LaterRunDepends, WeightsUnknown
from recon_service.domain.run import Claim
from recon_service.domain.summary import Summary
from recon_service.engine import EquationBroken, Progress, ReconEngine
from recon_service.match_log import LeaseLost
from recon_service.readers.errors import SourceUnreadable
from recon_service.readers.ledger_items import LedgerUnreadable
from recon_service.repositories import runs
from recon_service.repositories.atomic import atomic, plain
from shared.problems import is_connection_trouble

RENEWALS_PER_LEASE = 3
log = structlog.get_logger()
Watch = Callable[[str, Mapping[str, int]], None]
Count = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Failed:
    """A run that came to its end without a result."""

    code: str
    detail: str


async def execute(
    engine: ReconEngine,
    held: Claim,
    *,
    lease_seconds: float,
    watch: Watch = lambda _phase, _counts: None,
) -> Summary | Failed | None:
    """Run what was claimed; None where another process has taken it over.

    What cannot be reconciled ends as a failed run. Trouble with the database raises and leaves
    the run to whoever finds its lease expired. When cancelled, the run is free at once.
    """

    async def show(phase: str, counts: Mapping[str, int]) -> None:
        watch(phase, counts)
        async with plain(engine.database) as connection:
            await runs.show_progress(connection, held, phase, counts)

    working = asyncio.create_task(_run(engine, held, show), name=f"run {held.run.run_id}")
    beating = asyncio.create_task(
        _keep_leases(engine.database, held, lease_seconds), name=f"heartbeat {held.run.run_id}"
    )
    with structlog.contextvars.bound_contextvars(
        request_id=held.run.request_id or held.run.run_id, run_id=held.run.run_id
    ):
        try:
            await asyncio.wait((working, beating), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                failed = await _lost(engine.database, held, working)
                if not working.done():
                    return failed
            return await _outcome(engine.database, held, working)
        except asyncio.CancelledError:
            async with plain(engine.database) as connection:
                await runs.release(connection, held)
            raise
        finally:
            for task in (working, beating):
                task.cancel()
            await asyncio.gather(working, beating, return_exceptions=True)


async def _run(engine: ReconEngine, held: Claim, show: Progress) -> Summary:
    """Run; once more where a worker died, which another run's work may have brought down."""
    try:
        return await engine.run(held, show)
    except BrokenProcessPool:
        log.warning("worker_died")
        return await engine.run(held, show)


async def _lost(
    database: AsyncEngine, held: Claim, working: asyncio.Task[Summary]
) -> Failed | None:
    """Find out why the leases are no longer ours; a run that we have just finished is no loss.

    The last step gives the leases back, and its caller may hear of that after the heartbeat does.
    """
    async with plain(database) as connection:
        end = await runs.find_end(connection, held.run.run_id)
    if end is None or end.token != held.token:
        if not working.done():
            log.warning("lease_lost")
        return None
    if end.summary is None:
        return Failed(end.error_code, end.error)
    await asyncio.wait((working,))
    return None


async def _outcome(
    database: AsyncEngine, held: Claim, working: asyncio.Task[Summary]
) -> Summary | Failed | None:
    try:
        summary = working.result()
    except LeaseLost:
        log.warning("lease_lost")
        return None
    except (
        SourceUnreadable,
        LedgerUnreadable,
        EquationBroken,
        LaterRunDepends,
        WeightsUnknown,
    ) as error:
        failed = Failed(error.code, error.detail)
    except BrokenProcessPool:
        failed = Failed("worker-died", "The process that read and matched died; was memory short?")
    except Exception as error:
        if is_connection_trouble(error):
            log.warning("database_unavailable", error=repr(error))
            raise
        log.error("run_broke", exc_info=error)
        failed = Failed("internal-error", "The service made a mistake; its log says which.")
    else:
        log.info("run_finished", source=held.run.source, date=str(held.run.business_date))
        return summary
    log.warning("run_failed", code=failed.code, detail=failed.detail)
    async with atomic(database) as connection:
        await runs.fail(connection, held, code=failed.code, detail=failed.detail)
    return failed


async def _keep_leases(database: AsyncEngine, held: Claim, lease_seconds: float) -> None:
    """Renew the leases until one is lost; a database that is away for a moment is tried again."""
    while True:
        await asyncio.sleep(lease_seconds / RENEWALS_PER_LEASE)
        try:
            async with plain(database) as connection:
                if not await runs.renew(connection, held, lease_seconds):
                    return
        except Exception as error:
            if not is_connection_trouble(error):
                raise
            log.warning("lease_not_renewed", error=repr(error))


class Runner:
    """Works off the queue with a few runs at once; one queue serves any number of copies."""

    def __init__(
        self,
        engine: ReconEngine,
        *,
        lease_seconds: float,
        poll_seconds: float,
        runs_at_once: int,
        count: Count,
    ) -> None:
        self._engine = engine
        self._lease_seconds = lease_seconds
        self._poll_seconds = poll_seconds
        self._runs_at_once = runs_at_once
        self._count = count
        self._woken = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to claim runs."""
        self._loops = [
            asyncio.create_task(self._work(), name=f"runner {number}")
            for number in range(self._runs_at_once)
        ]

    def wake(self) -> None:
        """Look at the queue now: something was added."""
        self._woken.set()

    async def stop(self) -> None:
        """Stop; what was under way is left to another copy, which begins it again."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            try:
                worked = await self._work_once()
            except Exception as error:
                if not is_connection_trouble(error):
                    log.error("runner_stumbled", exc_info=error)
                worked = False
            if not worked:
                await self._rest()

    async def _work_once(self) -> bool:
        async with atomic(self._engine.database) as connection:
            held = await runs.claim(connection, lease_seconds=self._lease_seconds)
        if held is None:
            return False
        outcome = await execute(self._engine, held, lease_seconds=self._lease_seconds)
        if outcome is not None:
            self._count("failed" if isinstance(outcome, Failed) else "finished")
        return True

    async def _rest(self) -> None:
        wait: Awaitable[bool] = self._woken.wait()
        try:
            await asyncio.wait_for(wait, self._poll_seconds)
        except TimeoutError:
            return
        self._woken.clear()

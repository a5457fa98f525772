"""What routes, the scheduler and the command line are given: made once, held for a lifetime."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Annotated, TypeVar

import httpx
from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from recon_service.engine import Inputs, ReconEngine
from recon_service.match_log import ReconLogger
from recon_service.readers.ledger_reader import LedgerReader
from recon_service.settings import ReconSettings
from shared.clock import Clock, utc_now
from shared.database import open_database
from shared.money import Currencies
from shared.streaming import Streams

LEDGER_CONNECT_SECONDS_MAX = 5
_Result = TypeVar("_Result")


class Workers:
    """Runs slow pure work in other processes, or in threads where there are to be none."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool = self._new_pool()

    async def __call__(self, work: Callable[..., _Result], *arguments: object) -> _Result:
        """Return what `work` returns; a process that dies takes only its own work with it."""
        pool = self._pool
        if pool is None:
            return await asyncio.to_thread(work, *arguments)
        try:
            call = partial(work, *arguments)
            return await asyncio.get_running_loop().run_in_executor(pool, call)
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = self._new_pool()
            raise

    def close(self) -> None:
        """End the processes; work under way is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor | None:
        if self._processes == 0:
            return None
        # Spawned, not forked: a fork would copy the threads' locks in whatever state they are.
        return ProcessPoolExecutor(self._processes, mp_context=get_context("spawn"))


@dataclass(frozen=True, slots=True)
class Resources:
    """All that one running reconciliation process holds."""

    settings: ReconSettings
    database: AsyncEngine
    streams: Streams
    engine: ReconEngine
    currencies: Currencies
    clock: Clock
    wake: Callable[[], None]


@asynccontextmanager
async def open_engine(
    settings: ReconSettings,
    *,
    workers: int,
    clock: Clock = utc_now,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[ReconEngine]:
    """Yield an engine with its database, ledger client and workers; `transport` is for tests."""
    url = settings.require_database_url()
    database = open_database(
        url,
        application_name="kairon recon",
        pool_size=settings.pool_size,
        statement_timeout_ms=settings.statement_timeout_ms,
    )
    timeout = httpx.Timeout(settings.ledger_seconds_max, connect=LEDGER_CONNECT_SECONDS_MAX)
    client = httpx.AsyncClient(
        base_url=settings.ledger_url, timeout=timeout, transport=transport, trust_env=False
    )
    pool = Workers(workers)
    try:
        yield ReconEngine(
            database=database,
            logger=ReconLogger(url, settings.write_timeout_ms),
            ledger=LedgerReader(client, Currencies(settings.assets).scales),
            inputs=Inputs(
                inbox=settings.inbox,
                uploads=settings.uploads_folder(),
                api_hosts=settings.api_hosts,
                file_bytes_max=settings.file_bytes_max,
            ),
            offload=pool,
            clock=clock,
        )
    finally:
        pool.close()
        await client.aclose()
        await database.dispose()


async def _resources(request: Request) -> Resources:
    found: Resources = request.app.state.resources
    return found


Held = Annotated[Resources, Depends(_resources)]

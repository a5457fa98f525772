"""What routes, the scheduler and the command line are given: made once, held for a lifetime."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import httpx
from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from recon_service.engine import ReconEngine
from recon_service.match_log import ReconLogger
from recon_service.readers.ledger_reader import LedgerReader
from recon_service.readers.statements import Inputs
from recon_service.settings import ReconSettings
from shared.clock import Clock, utc_now
from shared.database import open_database
from shared.money import Currencies
from shared.streaming import Streams
from shared.workers import Workers

LEDGER_CONNECT_SECONDS_MAX = 5


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
    pool.warm_up("recon_service.engine")
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

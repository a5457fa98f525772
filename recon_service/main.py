"""Puts the reconciliation service together: settings, database, engine, runner, routes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client import Counter

from recon_service.api import compare, logs, runs, sources, uploads, why
from recon_service.api.bodies import LOG_EXAMPLE, RECORD_EXAMPLE, RUN_EXAMPLE
from recon_service.dependencies import Resources, open_engine
from recon_service.repositories.atomic import plain
from recon_service.repositories.examples import example_ids, sources_exist
from recon_service.runner import Runner
from recon_service.scheduler import Scheduler
from recon_service.settings import ReconSettings
from shared.clock import Clock, utc_now
from shared.errors import Unavailable
from shared.http import create_service
from shared.logging import configure_logging
from shared.money import Currencies
from shared.streaming import Streams

_DESCRIPTION = """
Proves the ledger against the outside world: reads a bank's statement, matches it with the ledger
exactly and then by probability, and keeps every decision with its reason in an append-only log.

Amounts are decimal strings, times RFC 3339 with offset, errors `application/problem+json`.
"""


def create_app(
    settings: ReconSettings | None = None,
    *,
    clock: Clock = utc_now,
    ledger: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """Return the service; the database is opened when it starts, not when it is made.

    `ledger` replaces the network between the services, `clock` the time, both for tests.
    """
    settings = settings or ReconSettings.load()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        configure_logging("recon", settings.log_level)
        registry = app.state.metrics.registry
        ended = Counter("recon_runs", "runs that came to an end", ("status",), registry=registry)
        async with open_engine(
            settings, workers=settings.workers, clock=clock, transport=ledger
        ) as engine:
            runner = Runner(
                engine,
                lease_seconds=settings.lease_seconds,
                poll_seconds=settings.poll_seconds,
                runs_at_once=settings.runs_at_once,
                count=lambda status: ended.labels(status).inc(),
            )
            app.state.resources = held = Resources(
                settings=settings,
                database=engine.database,
                streams=Streams(
                    settings.require_database_url(),
                    application_name="kairon recon streams",
                    streams_max=settings.streams_max,
                ),
                engine=engine,
                currencies=Currencies(settings.assets),
                clock=clock,
                wake=runner.wake,
            )
            scheduler = Scheduler(held)
            runner.start()
            if settings.nightly:
                await scheduler.start()
            try:
                yield
            finally:
                scheduler.stop()
                await runner.stop()

    return create_service(
        title="Kairon reconciliation",
        description=_DESCRIPTION,
        version=version("kairon"),
        body_bytes_max=settings.body_bytes_max,
        body_bytes_max_by_path=dict.fromkeys(
            (uploads.UPLOADS_PATH, uploads.UPLOADS_PATH + "/"), None
        ),
        lifespan=lifespan,
        readiness=_readiness,
        examples=_examples,
        routers=[module.router for module in (runs, logs, why, compare, sources, uploads)],
    )


async def _readiness(app: FastAPI) -> dict[str, Any]:
    """The database must answer and be migrated; whether the ledger does is only told."""
    held: Resources = app.state.resources
    async with plain(held.database) as connection:
        if not await sources_exist(connection):
            raise Unavailable("the database is not migrated: run `python -m migrations upgrade`")
    try:
        answer = await held.engine.ledger.client.get("/livez", timeout=1)
        reachable = answer.status_code == 200
    except httpx.HTTPError:
        reachable = False
    return {"ledger_reachable": reachable}


async def _examples(app: FastAPI) -> Mapping[str, str]:
    """Return ids of this database for the ids in the examples."""
    held: Resources = app.state.resources
    async with plain(held.database) as connection:
        run_id, log_id, record_id = await example_ids(connection)
    found = {RUN_EXAMPLE: run_id, LOG_EXAMPLE: log_id, RECORD_EXAMPLE: record_id}
    return {placeholder: existing for placeholder, existing in found.items() if existing}


app = create_app()

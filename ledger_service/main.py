"""Puts the ledger service together: settings, database, processor, routes."""

import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from ledger_service.api import (
    account_changes,
    accounts,
    balances,
    batches,
    charts,
    events,
    holds,
    ledgers,
    periods,
    postings,
    proofs,
    statements,
    transactions,
    transfers,
    trial_balance,
    webhooks,
)
from ledger_service.api.answers import TRANSFER_PATH, posted_text
from ledger_service.api.bodies import ACCOUNT_EXAMPLE, OTHER_ACCOUNT_EXAMPLE, TRANSACTION_EXAMPLE
from ledger_service.api.models_holds import HOLD_EXAMPLE
from ledger_service.api.models_periods import PERIOD_EXAMPLE
from ledger_service.api.models_postings import (
    EUROS_EXAMPLE,
    EXCHANGE_DOLLARS_EXAMPLE,
    EXCHANGE_EUROS_EXAMPLE,
)
from ledger_service.api.models_webhooks import WEBHOOK_EXAMPLE
from ledger_service.api.verdicts import BATCH_PATH
from ledger_service.dependencies import Resources
from ledger_service.feed import Feed
from ledger_service.ledgers import Books, Ledgers
from ledger_service.processor import CommandProcessor
from ledger_service.repositories.accounts import head_now
from ledger_service.repositories.examples import example_ids
from ledger_service.repositories.webhooks import all_webhooks
from ledger_service.settings import LedgerSettings
from ledger_service.sweeper import Sweeper
from ledger_service.tables import MAIN_LEDGER_ID
from ledger_service.trust.sealer import Sealer
from ledger_service.webhooks.metrics import WebhookMetrics
from ledger_service.webhooks.sender import WebhookSender
from ledger_service.webhooks.targets import Targets
from shared.database import Probes, open_database
from shared.http import create_service
from shared.logging import configure_logging
from shared.money import Currencies
from shared.shutdown import stop_signal_calls
from shared.streaming import Streams
from shared.workers import Workers

# A batch makes tens of thousands of objects, which are no cycles: by default Python would look
# through all that live again and again while it is decided, at the price of the deciding itself.
_GC_THRESHOLDS = (100_000, 50, 100)
WEBHOOK_CONNECTIONS_MAX = 4
_DESCRIPTION = """
An event-sourced double-entry ledger. Every accepted command is an entry of an append-only journal;
every transaction is a balanced set of debits and credits; balances can be rebuilt from the log.

Amounts are decimal strings, times RFC 3339 with offset, errors `application/problem+json`.
"""


def create_app(settings: LedgerSettings | None = None) -> FastAPI:
    """Return the service; the database is opened when it starts, not when it is made."""
    settings = settings or LedgerSettings.load()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        configure_logging("ledger", settings.log_level)
        app.state.resources = held = _open(settings, app.state.metrics.registry)
        await held.probes.start()
        held.ledgers.start()
        sweeper = Sweeper(held.probes, held.ledgers)
        sweeper.start()
        held.webhooks.start()
        sealer = Sealer(
            database_url=settings.require_database_url(), interval_seconds=settings.seal_seconds
        )
        sealer.start()
        gc.set_threshold(*_GC_THRESHOLDS)
        try:
            with stop_signal_calls(held.stop_sending):
                yield
        finally:
            await sealer.stop()
            await sweeper.stop()
            await held.webhooks.stop()
            await held.ledgers.stop()
            held.workers.close()
            await held.probes.stop()
            await held.database.dispose()

    return create_service(
        title="Kairon ledger",
        description=_DESCRIPTION,
        version=version("kairon"),
        body_bytes_max=settings.body_bytes_max,
        body_bytes_max_by_path={
            BATCH_PATH: settings.batch_bytes_max,
            BATCH_PATH.rstrip("/"): settings.batch_bytes_max,
        },
        lean_routes={
            TRANSFER_PATH: transfers.LeanTransfer(settings.body_bytes_max),
            BATCH_PATH: batches.LeanBatch(settings.batch_bytes_max),
        },
        lifespan=lifespan,
        readiness=_readiness,
        examples=_examples,
        routers=[
            module.router
            for module in (
                charts,
                accounts,
                balances,
                account_changes,
                transfers,
                postings,
                batches,
                holds,
                transactions,
                events,
                ledgers,
                periods,
                webhooks,
                proofs,
                statements,
                trial_balance,
            )
        ],
    )


def _open(settings: LedgerSettings, registry: CollectorRegistry) -> Resources:
    url = settings.require_database_url()
    database = open_database(
        url,
        application_name="kairon ledger reads",
        pool_size=settings.pool_size,
        statement_timeout_ms=settings.statement_timeout_ms,
    )
    probes = Probes(
        url,
        application_name="kairon ledger probes",
        statement_timeout_ms=settings.statement_timeout_ms,
    )

    sender = _sender(settings, registry)

    def open_books(ledger_id: int, name: str) -> Books:
        feed = Feed(database, ledger_id)

        def tell(last_seq: int) -> None:
            feed.notify(last_seq)
            sender.wake()

        processor = CommandProcessor(
            database_url=url,
            ledger_id=ledger_id,
            queue_max=settings.queue_max,
            batch_max=settings.batch_max,
            answer_seconds_max=settings.answer_seconds_max,
            synchronous_commit=settings.synchronous_commit,
            on_commit=tell,
        )
        return Books(ledger_id, name, processor, feed)

    ledgers = Ledgers(probes, open_books)
    return Resources(
        books=ledgers.main,
        ledgers=ledgers,
        settings=settings,
        database=database,
        probes=probes,
        streams=Streams(
            url, application_name="kairon ledger streams", streams_max=settings.streams_max
        ),
        currencies=Currencies(settings.assets),
        workers=Workers(settings.workers),
        webhooks=sender,
    )


def _sender(settings: LedgerSettings, registry: CollectorRegistry) -> WebhookSender:
    metrics = WebhookMetrics(registry)
    return WebhookSender(
        open_database(
            settings.require_database_url(),
            application_name="kairon ledger webhooks",
            pool_size=WEBHOOK_CONNECTIONS_MAX,
            statement_timeout_ms=settings.statement_timeout_ms,
            synchronous_commit="off",  # what a crash forgets is sent once more
        ),
        Targets(
            seconds_max=settings.webhook_seconds_max,
            is_private_allowed=settings.webhook_private,
        ),
        posted_text,
        backoff_seconds_max=settings.webhook_backoff_seconds_max,
        watch=metrics.watch,
        count=metrics.count,
    )


async def _readiness(app: FastAPI) -> dict[str, Any]:
    held: Resources = app.state.resources
    head = await head_now(held.database, MAIN_LEDGER_ID)
    return {"ledger": head.name, "seq": head.last_seq}


async def _examples(app: FastAPI) -> Mapping[str, str]:
    """Return ids of this ledger for the ids in the examples: money flows from our own account."""
    held: Resources = app.state.resources
    found = await example_ids(held.database, MAIN_LEDGER_ID)
    hooks = await all_webhooks(held.database, MAIN_LEDGER_ID)
    return {
        placeholder: str(existing)
        for placeholder, existing in (
            (ACCOUNT_EXAMPLE, found.internal_account),
            (OTHER_ACCOUNT_EXAMPLE, found.user_account),
            (TRANSACTION_EXAMPLE, found.transaction),
            (WEBHOOK_EXAMPLE, hooks[0].webhook_id if hooks else None),
            (EXCHANGE_DOLLARS_EXAMPLE, found.exchange_account or found.user_account),
            (EXCHANGE_EUROS_EXAMPLE, found.internal_euros),
            (EUROS_EXAMPLE, found.user_euros),
            (HOLD_EXAMPLE, found.open_hold),
            (PERIOD_EXAMPLE, found.closable_period),
        )
        if existing is not None
    }


app = create_app()

"""What routes ask for: the processor, the database, the feed, the currencies, the settings."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.feed import Feed
from ledger_service.processor import CommandProcessor
from ledger_service.settings import LedgerSettings
from shared.database import Probes
from shared.money import Currencies
from shared.streaming import Streams
from shared.workers import Workers


@dataclass(frozen=True, slots=True)
class Resources:
    """All that one running ledger service holds for one of its ledgers."""

    ledger_id: int
    ledger_name: str
    settings: LedgerSettings
    database: AsyncEngine
    probes: Probes
    streams: Streams
    feed: Feed
    processor: CommandProcessor
    currencies: Currencies
    workers: Workers

    def stop_sending(self) -> None:
        """End the answers that do not end by themselves, for the server waits for them."""
        self.feed.stop()
        self.streams.stop()


async def _resources(request: Request) -> Resources:
    found: Resources = request.app.state.resources
    return found


Held = Annotated[Resources, Depends(_resources)]

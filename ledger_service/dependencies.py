"""What routes ask for: the processor, the database, the known currencies, the settings."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.processor import CommandProcessor
from ledger_service.settings import LedgerSettings
from shared.money import Currencies
from shared.streaming import Streams


@dataclass(frozen=True, slots=True)
class Resources:
    """All that one running ledger service holds, made once at start-up."""

    settings: LedgerSettings
    database: AsyncEngine
    streams: Streams
    processor: CommandProcessor
    currencies: Currencies


async def _resources(request: Request) -> Resources:
    found: Resources = request.app.state.resources
    return found


Held = Annotated[Resources, Depends(_resources)]

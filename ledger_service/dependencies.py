"""What routes ask for: the ledger that a request means, and what the service holds for it."""

from dataclasses import dataclass, replace
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.feed import Feed
from ledger_service.ledgers import Books, Ledgers
from ledger_service.processor import CommandProcessor
from ledger_service.settings import LedgerSettings
from ledger_service.tables import LEDGER_PATTERN
from ledger_service.webhooks.sender import WebhookSender
from shared.database import Probes
from shared.errors import AppError, InvalidRequest
from shared.money import Currencies
from shared.streaming import Streams
from shared.workers import Workers


class UnknownLedger(AppError):
    code, title, status = "unknown_ledger", "There is no such ledger", 422


@dataclass(frozen=True, slots=True)
class Resources:
    """All that one running service holds, made once at start-up, for one of its ledgers.

    `is_chosen` where the request named the ledger.
    """

    books: Books
    ledgers: Ledgers
    settings: LedgerSettings
    database: AsyncEngine
    probes: Probes
    streams: Streams
    currencies: Currencies
    workers: Workers
    webhooks: WebhookSender
    is_chosen: bool = False

    @property
    def ledger_id(self) -> int:
        return self.books.ledger_id

    @property
    def ledger_name(self) -> str:
        return self.books.name

    @property
    def processor(self) -> CommandProcessor:
        return self.books.processor

    @property
    def feed(self) -> Feed:
        return self.books.feed

    async def named(self, name: str) -> "Resources":
        """Return what is held for the ledger of this name. Raises UnknownLedger."""
        books = await self.ledgers.named(name)
        if books is None:
            raise UnknownLedger(f"there is no ledger {name}", ledger=name)
        return replace(self, books=books, is_chosen=True)

    async def of_account(self, account_id: UUID) -> "Resources":
        """Return what is held for the account's ledger, unless the request named one."""
        if self.is_chosen:
            return self
        books = await self.ledgers.of_account(account_id)
        return self if books is self.books else replace(self, books=books)

    def stop_sending(self) -> None:
        """End the answers that do not end by themselves, for the server waits for them."""
        self.ledgers.stop_sending()
        self.streams.stop()


async def _resources(
    request: Request,
    ledger: Annotated[
        str | None,
        Query(
            pattern=LEDGER_PATTERN,
            description="whose books; without it those of the account that the request names, "
            "else `main`",
        ),
    ] = None,
) -> Resources:
    held: Resources = request.app.state.resources
    if ledger is not None:
        return await held.named(ledger)
    named = request.path_params.get("account_id") or request.query_params.getlist("account_id")
    if not named:
        return held
    try:
        return await held.of_account(UUID(named if isinstance(named, str) else named[0]))
    except ValueError:  # which the route itself refuses
        return held


Held = Annotated[Resources, Depends(_resources)]


def _for_real(dry_run: Annotated[bool, Query(include_in_schema=False)] = False) -> None:
    """Refuse to try what is no command of the books, rather than do it."""
    if dry_run:
        raise InvalidRequest("only commands of the books have a dry run; nothing was done")


FOR_REAL = Depends(_for_real)

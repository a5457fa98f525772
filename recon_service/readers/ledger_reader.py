"""Reads the ledger over HTTP, as it stood at one sequence number, into columns."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import polars as pl

from recon_service.readers.ledger_items import (
    EVENTS,
    ITEM_COLUMNS,
    TRANSACTIONS,
    LedgerUnreadable,
    Listing,
)
from shared.http import REQUEST_ID_HEADER
from shared.logging import current_request_id

ATTEMPTS_MAX = 4
BACKOFF_SECONDS = 0.25
CHUNK_BYTES_MIN = 4 * 1024 * 1024
LINE_BYTES_MAX = 1024 * 1024
ITEMS_MAX = 5_000_000  # what one run may hold in memory
RETRIED_STATUSES = frozenset({502, 503, 504})
ALL = "all"
# The ledger is near: to compress the stream would take longer than to send it.
_PLAIN = {"Accept-Encoding": "identity"}
_Answer = TypeVar("_Answer")


class _TryAgain(Exception):
    """The ledger may answer at the next attempt."""


@dataclass(frozen=True, slots=True)
class LedgerRange:
    """What to read: bounds of the effective time (inclusive) or of seq (exclusive, inclusive)."""

    up_to_seq: int
    effective_from: datetime | None = None
    effective_to: datetime | None = None
    after_seq: int | None = None

    def query(self) -> dict[str, str]:
        """Return the range as the ledger's query parameters."""
        found = {"up_to_seq": str(self.up_to_seq)}
        if self.effective_from is not None:
            found["effective_from"] = self.effective_from.astimezone(UTC).isoformat()
        if self.effective_to is not None:
            found["effective_to"] = self.effective_to.astimezone(UTC).isoformat()
        if self.after_seq is not None:
            found["after_seq"] = str(self.after_seq)
        return found


@dataclass(frozen=True, slots=True)
class LedgerReader:
    """Reads one population: an account's events, or (`all`) whole transactions.

    Every method raises LedgerUnreadable: `ledger-unreachable` after its attempts are used up,
    `ledger-answer` for an answer that is not what the ledger promises, `unknown-account`,
    `unknown-currency` for one that this service's settings do not declare, `too-many-items`.
    """

    client: httpx.AsyncClient
    scales: Mapping[str, int]

    async def head_seq(self) -> int:
        """Return the highest sequence number now: the watermark of what is read next."""
        document = await self._document("/ledger/head")
        seq = document.get("seq")
        if not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
            raise LedgerUnreadable("ledger-answer", "The ledger's head carries no seq.")
        return seq

    async def require_account(self, account_id: str) -> None:
        """Raise LedgerUnreadable `unknown-account` unless the ledger has this account."""
        await self._document(f"/ledger/account/{account_id}")

    async def read(self, population: str, wanted: LedgerRange) -> pl.DataFrame:
        """Return the items of `wanted` (ITEM_COLUMNS) in the ledger's order.

        Amounts of an account's events are signed, credit positive; those of whole transactions
        carry no sign.
        """
        listing, query = TRANSACTIONS, wanted.query()
        if population != ALL:
            listing, query = EVENTS, query | {"account_id": population}

        async def attempt() -> pl.DataFrame:
            parts: list[pl.DataFrame] = []
            rows_read = 0
            async for part in self._parts(listing, query):
                parts.append(part)
                rows_read += part.height
                if rows_read > ITEMS_MAX:
                    raise LedgerUnreadable(
                        "too-many-items",
                        f"The days of the statement hold more than {ITEMS_MAX:,} ledger items;"
                        " is one of its dates wrong?",
                    )
            return pl.concat(parts) if parts else pl.DataFrame(schema=ITEM_COLUMNS)

        return _checked(await self._with_retries(attempt), wanted)

    async def _parts(
        self, listing: Listing, query: Mapping[str, str]
    ) -> AsyncIterator[pl.DataFrame]:
        """Yield the items of each piece; it is taken apart while the next one is coming."""
        ahead: asyncio.Task[pl.DataFrame] | None = None
        try:
            async for piece in self._pieces(listing, query):
                if ahead is not None:
                    yield await ahead
                work = asyncio.to_thread(listing.parse, piece, self.scales)
                ahead = asyncio.create_task(work, name="piece of the ledger")
            if ahead is not None:
                yield await ahead
        finally:
            if ahead is not None:
                await asyncio.gather(ahead, return_exceptions=True)

    async def _document(self, path: str) -> dict[str, Any]:
        async def attempt() -> dict[str, Any]:
            response = await self.client.get(path, headers=_headers("application/json"))
            _require_success(response.status_code, response.text, path)
            try:
                document = response.json()
            except ValueError as error:
                raise LedgerUnreadable("ledger-answer", f"{path} is not JSON.") from error
            if not isinstance(document, dict):
                raise LedgerUnreadable("ledger-answer", f"{path} is not a JSON object.")
            return document

        return await self._with_retries(attempt)

    async def _pieces(self, listing: Listing, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Yield the stream behind its header in pieces that end with a line's end."""
        pending = bytearray()
        header = listing.header
        async with self.client.stream(
            "GET", listing.path, params=dict(query), headers=_headers(listing.media_type) | _PLAIN
        ) as response:
            if response.status_code != 200:
                body = await response.aread()
                _require_success(response.status_code, body.decode(errors="replace"), listing.path)
            if not response.headers.get("content-type", "").startswith(listing.media_type):
                raise LedgerUnreadable(
                    "ledger-answer", f"{listing.path} does not stream {listing.media_type}."
                )
            async for piece in response.aiter_bytes():
                pending += piece
                if header and len(pending) >= len(header):
                    _cut(header, pending, listing.path)
                    header = b""
                if len(pending) >= CHUNK_BYTES_MIN:
                    end = pending.rfind(b"\n") + 1
                    if end == 0 and len(pending) > CHUNK_BYTES_MIN + LINE_BYTES_MAX:
                        raise LedgerUnreadable(
                            "ledger-answer", f"{listing.path} sends endless lines."
                        )
                    if end:
                        yield bytes(memoryview(pending)[:end])
                        del pending[:end]
        if header or (pending and not pending.endswith(b"\n")):
            raise _TryAgain(f"{listing.path} ended in the middle of a line")
        if pending:
            yield bytes(pending)

    async def _with_retries(self, attempt: Callable[[], Awaitable[_Answer]]) -> _Answer:
        for number in range(1, ATTEMPTS_MAX + 1):
            try:
                return await attempt()
            except (httpx.TransportError, _TryAgain) as error:
                if number == ATTEMPTS_MAX:
                    raise LedgerUnreadable(
                        "ledger-unreachable",
                        f"The ledger at {self.client.base_url} does not answer:"
                        f" {str(error) or type(error).__name__}.",
                    ) from error
            await asyncio.sleep(BACKOFF_SECONDS * 2 ** (number - 1))
        raise AssertionError("the last attempt returns or raises")


def _headers(accept: str) -> dict[str, str]:
    request_id = current_request_id()
    return {"Accept": accept} | ({REQUEST_ID_HEADER: request_id} if request_id else {})


def _require_success(status: int, body: str, path: str) -> None:
    if status == 200:
        return
    if status in RETRIED_STATUSES:
        raise _TryAgain(f"{path} answered {status}")
    if status == 404 and path.startswith("/ledger/account/"):
        raise LedgerUnreadable(
            "unknown-account", f"The ledger has no account {path.rpartition('/')[2]}."
        )
    raise LedgerUnreadable("ledger-answer", f"{path} answered {status}: {body[:200]}")


def _cut(header: bytes, pending: bytearray, path: str) -> None:
    if not pending.startswith(header):
        raise LedgerUnreadable("ledger-answer", f"{path} has other columns.")
    del pending[: len(header)]


def _checked(items: pl.DataFrame, wanted: LedgerRange) -> pl.DataFrame:
    """Return `items`; raise LedgerUnreadable where they are not what was asked for."""
    needed = ("internal_id", "seq", "effective_at", "recorded_at", "amount_minor", "currency")
    for name in needed:
        if items[name].null_count():
            row = items.filter(pl.col(name).is_null()).row(0, named=True)
            raise LedgerUnreadable(
                "ledger-answer",
                f"The ledger's item {row['internal_id']} (seq {row['seq']}) has no valid {name}.",
            )
    if items.is_empty():
        return items.cast(pl.Schema(ITEM_COLUMNS))
    problems = {
        "is beyond the sequence number asked for": pl.col("seq").max() > wanted.up_to_seq,
        "was asked for not to be sent": pl.col("seq").min() <= (wanted.after_seq or 0),
        "comes twice": pl.col("internal_id").is_duplicated().any(),
        "is out of order": ~pl.col("seq").is_sorted(),
    }
    found = items.select(**problems).row(0, named=True)
    for problem, holds in found.items():
        if holds:
            raise LedgerUnreadable("ledger-answer", f"An item of the ledger's answer {problem}.")
    return items.cast(pl.Schema(ITEM_COLUMNS))

"""Reads the ledger over HTTP, as it stood at one sequence number, into columns."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import polars as pl
from polars._typing import PolarsDataType

from recon_service.domain.records import INSTANT
from shared.http import REQUEST_ID_HEADER
from shared.logging import current_request_id
from shared.streaming import NDJSON

ATTEMPTS_MAX = 4
BACKOFF_SECONDS = 0.25
CHUNK_BYTES_MIN = 4 * 1024 * 1024
LINE_BYTES_MAX = 1024 * 1024
ITEMS_MAX = 5_000_000  # what one run may hold in memory
RETRIED_STATUSES = frozenset({502, 503, 504})
ALL = "all"
_AMOUNT = r"^[0-9]{1,18}(\.[0-9]{1,18})?$"

# A ledger item: a whole transaction, or one event of an account. `internal_id` is the
# transaction's id, with `:<currency>` if it moves several, or `<transaction_id>:<line>`.
ITEM_COLUMNS: dict[str, PolarsDataType] = {
    "internal_id": pl.String,
    "seq": pl.Int64,
    "reference": pl.String,
    "effective_at": INSTANT,
    "recorded_at": INSTANT,
    "amount_minor": pl.Int64,
    "scale": pl.Int16,
    "currency": pl.String,
    "text": pl.String,
    "counterparty": pl.String,
}
_COMMON: dict[str, PolarsDataType] = {
    "transaction_id": pl.String,
    "seq": pl.Int64,
    "reference": pl.String,
    "effective_at": pl.String,
    "recorded_at": pl.String,
    "description": pl.String,
    "counterparty": pl.String,
}
_TRANSACTION = _COMMON | {
    "amounts": pl.List(pl.Struct({"currency": pl.String, "amount": pl.String}))
}
_EVENT = _COMMON | {
    "line": pl.Int64,
    "account_id": pl.String,
    "direction": pl.String,
    "amount": pl.String,
    "currency": pl.String,
}
_Answer = TypeVar("_Answer")


class LedgerUnreadable(Exception):
    """Says in one plain sentence (`detail`) why the ledger could not be read; `code` is stable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


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
        path, schema, query = "/ledger/transactions/", _TRANSACTION, wanted.query()
        if population != ALL:
            path, schema = "/ledger/events/", _EVENT
            query["account_id"] = population

        async def attempt() -> pl.DataFrame:
            parts: list[pl.DataFrame] = []
            rows_read = 0
            async for chunk in self._chunks(path, query):
                parts.append(await asyncio.to_thread(_parse, chunk, schema))
                rows_read += parts[-1].height
                if rows_read > ITEMS_MAX:
                    raise LedgerUnreadable(
                        "too-many-items",
                        f"The days of the statement hold more than {ITEMS_MAX:,} ledger items;"
                        " is one of its dates wrong?",
                    )
            return pl.concat(parts) if parts else pl.DataFrame(schema=schema)

        rows = await self._with_retries(attempt)
        items = _event_items(rows) if population != ALL else _transaction_items(rows)
        return _checked(_in_minor_units(items, self.scales), wanted)

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

    async def _chunks(self, path: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Yield the stream in pieces that end with a line's end."""
        pending = bytearray()
        async with self.client.stream(
            "GET", path, params=dict(query), headers=_headers(NDJSON)
        ) as response:
            if response.status_code != 200:
                body = await response.aread()
                _require_success(response.status_code, body.decode(errors="replace"), path)
            if not response.headers.get("content-type", "").startswith(NDJSON):
                raise LedgerUnreadable("ledger-answer", f"{path} does not stream {NDJSON}.")
            async for piece in response.aiter_bytes():
                pending += piece
                if len(pending) >= CHUNK_BYTES_MIN:
                    end = pending.rfind(b"\n") + 1
                    if end == 0 and len(pending) > CHUNK_BYTES_MIN + LINE_BYTES_MAX:
                        raise LedgerUnreadable("ledger-answer", f"{path} sends endless lines.")
                    if end:
                        yield bytes(pending[:end])
                        del pending[:end]
        if pending:
            if not pending.endswith(b"\n"):
                raise _TryAgain(f"{path} ended in the middle of a line")
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


def _parse(chunk: bytes, schema: Mapping[str, PolarsDataType]) -> pl.DataFrame:
    try:
        rows = pl.read_ndjson(io.BytesIO(chunk), schema=schema)
    except pl.exceptions.PolarsError as error:
        raise LedgerUnreadable(
            "ledger-answer", f"A line of the ledger's answer cannot be read: {error}"
        ) from error
    if rows.height != chunk.count(b"\n"):
        raise LedgerUnreadable("ledger-answer", "The ledger's answer holds empty lines.")
    return rows


def _transaction_items(rows: pl.DataFrame) -> pl.DataFrame:
    several = pl.col("amounts").list.len() > 1
    return (
        rows.with_columns(several=several)
        .explode("amounts", empty_as_null=True, keep_nulls=True)
        .unnest("amounts")
        .with_columns(
            internal_id=pl.when("several")
            .then(pl.format("{}:{}", "transaction_id", "currency"))
            .otherwise("transaction_id"),
            sign=pl.lit(1, dtype=pl.Int64),
        )
    )


def _event_items(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        internal_id=pl.format("{}:{}", "transaction_id", "line"),
        sign=pl.col("direction").replace_strict(
            {"credit": 1, "debit": -1}, default=None, return_dtype=pl.Int64
        ),
    )


def _in_minor_units(items: pl.DataFrame, scales: Mapping[str, int]) -> pl.DataFrame:
    codes = items["currency"].drop_nulls().unique().to_list()
    unknown = sorted(set(codes) - scales.keys())
    if unknown:
        raise LedgerUnreadable(
            "unknown-currency",
            f"The ledger moves {unknown[0]}, which RECON_ASSETS does not declare.",
        )
    decimals = pl.col("amount").str.split(".").list.get(1, null_on_oob=True).str.len_bytes()
    scale = pl.col("currency").replace_strict(
        {code: scales[code] for code in codes}, default=None, return_dtype=pl.Int16
    )
    fits = pl.col("amount").str.contains(_AMOUNT) & (decimals.fill_null(0) == scale)
    digits = pl.col("amount").str.replace(".", "", literal=True)
    instant = {
        name: pl.col(name).str.to_datetime("%+", time_zone="UTC", time_unit="us", strict=False)
        for name in ("effective_at", "recorded_at")
    }
    return items.with_columns(
        amount_minor=pl.when(fits).then(digits).cast(pl.Int64, strict=False) * pl.col("sign"),
        scale=scale,
        text="description",
        **instant,
    ).select(list(ITEM_COLUMNS))


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

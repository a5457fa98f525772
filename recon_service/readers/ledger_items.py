"""Turns pieces of the ledger's answers into items: NDJSON of transactions, TSV of events."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl
from polars._typing import PolarsDataType

from recon_service.domain.records import INSTANT
from shared.streaming import NDJSON, TSV

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
_TRANSACTION: dict[str, PolarsDataType] = {
    "transaction_id": pl.String,
    "seq": pl.Int64,
    "reference": pl.String,
    "effective_at": pl.String,
    "recorded_at": pl.String,
    "description": pl.String,
    "counterparty": pl.String,
    "amounts": pl.List(pl.Struct({"currency": pl.String, "amount": pl.String})),
}
# Instants are microseconds since 1970; reference, description and counterparty are JSON.
_EVENT: dict[str, PolarsDataType] = {
    "transaction_id": pl.String,
    "seq": pl.Int64,
    "line": pl.String,
    "direction": pl.String,
    "amount_minor": pl.Int64,
    "scale": pl.Int16,
    "currency": pl.String,
    "reference": pl.String,
    "effective_at": pl.Int64,
    "recorded_at": pl.Int64,
    "description": pl.String,
    "counterparty": pl.String,
}
_EVENT_HEADER = "\t".join(_EVENT).encode() + b"\n"
_SIGNS = {"credit": 1, "debit": -1}


class LedgerUnreadable(Exception):
    """Says in one plain sentence (`detail`) why the ledger could not be read; `code` is stable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of the ledger: where it is, as what it is asked for, and how a piece is read.

    Pieces are whole lines. Every answer begins with the `header`; the pieces lack it.
    """

    path: str
    media_type: str
    header: bytes
    parse: Callable[[bytes, Mapping[str, int]], pl.DataFrame]


def _transactions(lines: bytes, scales: Mapping[str, int]) -> pl.DataFrame:
    """Return items without a sign."""
    with _Reading():
        rows = pl.read_ndjson(io.BytesIO(lines), schema=_TRANSACTION)
    _require_lines(rows, lines)
    several = pl.col("amounts").list.len() > 1
    items = (
        rows.with_columns(several=several)
        .explode("amounts", empty_as_null=True, keep_nulls=True)
        .unnest("amounts")
    )
    scale = _scale(items, scales)
    decimals = pl.col("amount").str.split(".").list.get(1, null_on_oob=True).str.len_bytes()
    fits = pl.col("amount").str.contains(_AMOUNT) & (decimals.fill_null(0) == scale)
    digits = pl.col("amount").str.replace(".", "", literal=True)
    instant = {
        name: pl.col(name).str.to_datetime("%+", time_zone="UTC", time_unit="us", strict=False)
        for name in ("effective_at", "recorded_at")
    }
    return items.select(
        "seq",
        "reference",
        "currency",
        "counterparty",
        internal_id=pl.when("several")
        .then(pl.format("{}:{}", "transaction_id", "currency"))
        .otherwise("transaction_id"),
        amount_minor=pl.when(fits).then(digits).cast(pl.Int64, strict=False),
        scale=scale,
        text="description",
        **instant,
    ).select(list(ITEM_COLUMNS))


def _events(lines: bytes, scales: Mapping[str, int]) -> pl.DataFrame:
    """Return items with a sign: credit is positive."""
    with _Reading():
        rows = pl.read_csv(
            io.BytesIO(lines), schema=_EVENT, separator="\t", quote_char=None, has_header=False
        )
        _require_lines(rows, lines)
        texts = {
            name: _from_json(rows[name]) for name in ("reference", "description", "counterparty")
        }
    scale = _scale(rows, scales)
    sign = pl.col("direction").replace_strict(_SIGNS, default=None, return_dtype=pl.Int64)
    return rows.select(
        "seq",
        "currency",
        pl.col("effective_at", "recorded_at").cast(INSTANT),
        internal_id=pl.format("{}:{}", "transaction_id", "line"),
        reference=texts["reference"],
        amount_minor=pl.when(pl.col("scale") == scale).then(pl.col("amount_minor") * sign),
        scale=scale,
        text=texts["description"],
        counterparty=texts["counterparty"],
    ).select(list(ITEM_COLUMNS))


TRANSACTIONS = Listing("/ledger/transactions/", NDJSON, b"", _transactions)
EVENTS = Listing("/ledger/events/", TSV, _EVENT_HEADER, _events)


class _Reading:
    """Says that a line cannot be read, where polars says so."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, pl.exceptions.PolarsError):
            raise LedgerUnreadable(
                "ledger-answer", f"A line of the ledger's answer cannot be read: {error}"
            ) from error


def _require_lines(rows: pl.DataFrame, lines: bytes) -> None:
    if rows.height != lines.count(b"\n"):
        raise LedgerUnreadable("ledger-answer", "The ledger's answer holds empty lines.")


def _from_json(values: pl.Series) -> pl.Series:
    """Return the texts among JSON values, null for what is none; few of them hold an escape."""
    plain = values.str.strip_prefix('"').str.strip_suffix('"')
    plain = plain.set(~values.str.starts_with('"'), None)
    escaped = values.str.contains("\\", literal=True).fill_null(False) & plain.is_not_null()
    if not escaped.any():
        return plain
    documents = '{"text":' + values.filter(escaped) + "}"
    found = documents.str.json_decode(pl.Struct({"text": pl.String})).struct.field("text")
    return plain.scatter(escaped.arg_true(), found)


def _scale(rows: pl.DataFrame, scales: Mapping[str, int]) -> pl.Expr:
    codes = rows["currency"].drop_nulls().unique().to_list()
    unknown = sorted(set(codes) - scales.keys())
    if unknown:
        raise LedgerUnreadable(
            "unknown-currency",
            f"The ledger moves {unknown[0]}, which RECON_ASSETS does not declare.",
        )
    return pl.col("currency").replace_strict(
        {code: scales[code] for code in codes}, default=None, return_dtype=pl.Int16
    )

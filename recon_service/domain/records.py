"""The columns that travel from a reader through normalisation to the matchers, and back."""

from dataclasses import dataclass

import polars as pl

from recon_service.domain.config import SourceConfig

RAW_FIELDS = (
    "txn_id",
    "timestamp",
    "amount",
    "debit",
    "credit",
    "currency",
    "description",
    "counterparty",
)
INSTANT = pl.Datetime("us", "UTC")


def _schema(**columns: pl.DataType | type[pl.DataType]) -> pl.Schema:
    return pl.Schema(columns)


# What a reader hands over: text as it stands in the source, one row per line that could be read.
RAW_SCHEMA = _schema(
    line_no=pl.Int64,
    offset=pl.Int64,
    raw=pl.String,
    **dict.fromkeys(RAW_FIELDS, pl.String),
)
REJECTED_SCHEMA = _schema(line_no=pl.Int64, offset=pl.Int64, raw=pl.String, reason=pl.String)
ACCEPTED_SCHEMA = _schema(
    line_no=pl.Int64,
    offset=pl.Int64,
    external_id=pl.String,
    occurred_at=INSTANT,
    booked_on=pl.Date,
    amount_minor=pl.Int64,
    scale=pl.Int16,
    currency=pl.String,
    text=pl.String,
    counterparty=pl.String,
    fingerprint=pl.String,
    ordinal=pl.Int32,
)

# The two sides of a match. Amounts are comparable: signed on both sides or on neither.
RECORD_SCHEMA = _schema(
    record_id=pl.String,
    external_id=pl.String,
    occurred_at=INSTANT,
    booked_on=pl.Date,
    amount_minor=pl.Int64,
    scale=pl.Int16,
    currency=pl.String,
    text=pl.String,
    counterparty=pl.String,
)
ITEM_SCHEMA = _schema(
    internal_id=pl.String,
    reference=pl.String,
    effective_at=INSTANT,
    effective_on=pl.Date,
    amount_minor=pl.Int64,
    currency=pl.String,
    text=pl.String,
    counterparty=pl.String,
)
OUTCOME_SCHEMA = _schema(
    record_id=pl.String,
    internal_id=pl.String,
    match_type=pl.String,
    decision=pl.String,
    score=pl.Float64,
    residual_minor=pl.Int64,
    cause=pl.String,
    evidence=pl.String,
    reason=pl.String,
)
# Who is in each match that is not one-to-one: groups, and pairs of one side that cancel out.
# `match_id` is the smallest id of its members, `side` is "record" or "item".
MEMBER_SCHEMA = _schema(match_id=pl.String, side=pl.String, id=pl.String)


@dataclass(frozen=True, slots=True)
class RawRead:
    """A source as read: every record is in `frame` (RAW_SCHEMA) or in `rejected`.

    `lines` counts records, without preamble, header and blank lines.
    """

    frame: pl.DataFrame
    rejected: pl.DataFrame
    lines: int
    sha256: str
    size_bytes: int
    encoding: str


@dataclass(frozen=True, slots=True)
class Normalised:
    """Canonical records (ACCEPTED_SCHEMA) and every line that did not become one."""

    accepted: pl.DataFrame
    rejected: pl.DataFrame

    @property
    def lines(self) -> int:
        """Return the number of records in the source: accepted and rejected ones."""
        return self.accepted.height + self.rejected.height


def comparable(records: pl.DataFrame, config: SourceConfig) -> pl.DataFrame:
    """Return records as the matcher's left side: the amount keeps its sign only beside an account.

    `records` is ACCEPTED_SCHEMA plus `record_id`. A source without a ledger account is compared
    with whole transactions, which have no sign.
    """
    amount = pl.col("amount_minor")
    signed = amount if config.ledger_account_id is not None else amount.abs()
    return records.with_columns(signed).select(RECORD_SCHEMA.names()).cast(RECORD_SCHEMA)


def on_local_date(instant: str, *, config: SourceConfig, name: str) -> pl.Expr:
    """Return the calendar day of an instant column in the source's zone, as column `name`."""
    return pl.col(instant).dt.convert_time_zone(config.time_zone).dt.date().alias(name)

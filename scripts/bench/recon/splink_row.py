"""The same lines and ledger items given to Splink on DuckDB, without any service around it."""

from dataclasses import dataclass

import polars as pl

from recon_service.domain.config import Policy
from recon_service.domain.records import ITEM_SCHEMA, RECORD_SCHEMA
from scripts.bench.matching.generator import Case as MatchingCase
from scripts.bench.matching.splink_baseline import splink
from scripts.bench.recon.data import CURRENCY, Case

# It trains on all pairs of one day: 50,000 lines of a month are 90 million, in 6 GB.
SPLINK_ROWS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class SplinkRow:
    """What Splink took to link frames in memory, and how many of the planted pairs it found."""

    name: str
    rows: int
    seconds: float
    right: int
    wrong: int
    planted: int


def measure_splink(name: str, case: Case) -> SplinkRow:
    """Link the case with the baseline's settings and the default policy."""
    lines = case.lines.with_row_index("line")
    records = lines.select(
        record_id=pl.col("line").cast(pl.String),
        external_id="txn_id",
        occurred_at="timestamp",
        booked_on=pl.col("timestamp").dt.date(),
        amount_minor="amount_minor",
        scale=pl.lit(2),
        currency=pl.lit(CURRENCY),
        text="description",
        counterparty="counterparty",
    ).cast(RECORD_SCHEMA)
    items = case.books.select(
        internal_id="reference",
        reference="reference",
        effective_at="effective_at",
        effective_on=pl.col("effective_at").dt.date(),
        amount_minor="amount_minor",
        currency=pl.lit(CURRENCY),
        text="description",
        counterparty="counterparty",
    ).cast(ITEM_SCHEMA)
    predicted = splink(MatchingCase("speed", 1, records, items, Policy(), truth=pl.DataFrame()))
    truth = lines["truth"].to_list()
    automatic = [match for match in predicted.matches if match.decision == "auto"]
    right = sum(
        truth[int(record)] == item
        for match in automatic
        for record, item in zip(match.record_ids, match.item_ids, strict=True)
    )
    return SplinkRow(
        name=name,
        rows=case.lines.height,
        seconds=predicted.seconds,
        right=right,
        wrong=len(automatic) - right,
        planted=lines["truth"].drop_nulls().len(),
    )

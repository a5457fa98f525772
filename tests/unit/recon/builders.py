"""Small frames for tests: records of a bank and items of the ledger."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

import polars as pl

from recon_service.domain.config import AmountTolerance, FeeRule, Policy, Window
from recon_service.domain.records import ITEM_SCHEMA, RECORD_SCHEMA
from recon_service.matchers.partition import match_partition

DAY = date(2025, 7, 13)
SCALES = {"EUR": 2, "USD": 2, "GBP": 2, "JPY": 0, "KWD": 3}


def a_record(
    record_id: str,
    external_id: str | None = None,
    *,
    amount_minor: int = 10_000,
    days: int = 0,
    hour: int = 12,
    currency: str = "EUR",
    text: str | None = None,
    counterparty: str | None = None,
) -> dict[str, Any]:
    """A bank's record, `days` after DAY."""
    day = DAY + timedelta(days=days)
    return {
        "record_id": record_id,
        "external_id": external_id,
        "occurred_at": datetime.combine(day, time(hour), UTC),
        "booked_on": day,
        "amount_minor": amount_minor,
        "scale": SCALES[currency],
        "currency": currency,
        "text": text,
        "counterparty": counterparty,
    }


def an_item(
    internal_id: str,
    reference: str | None = None,
    *,
    amount_minor: int = 10_000,
    days: int = 0,
    hour: int = 9,
    currency: str = "EUR",
    text: str | None = None,
    counterparty: str | None = None,
) -> dict[str, Any]:
    """A ledger item, `days` after DAY."""
    day = DAY + timedelta(days=days)
    return {
        "internal_id": internal_id,
        "reference": reference,
        "effective_at": datetime.combine(day, time(hour), UTC),
        "effective_on": day,
        "amount_minor": amount_minor,
        "currency": currency,
        "text": text,
        "counterparty": counterparty,
    }


def left(*rows: dict[str, Any]) -> pl.DataFrame:
    """The records' frame."""
    return pl.DataFrame(rows, schema=RECORD_SCHEMA)


def right(*rows: dict[str, Any]) -> pl.DataFrame:
    """The ledger items' frame."""
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


def a_policy(
    *,
    absolute: str = "0.00",
    percent: str = "0",
    before_days: int = 1,
    after_days: int = 2,
    auto: float = 0.8,
    suggest: float = 0.5,
    unit: Literal["calendar_days", "business_days"] = "calendar_days",
    calendar: str | None = None,
    fees: tuple[FeeRule, ...] = (),
) -> Policy:
    """A policy that differs from the default where a test says so."""
    return Policy(
        amount_tolerance=AmountTolerance(absolute=absolute, percent=percent),
        window=Window(before_days=before_days, after_days=after_days, unit=unit, calendar=calendar),
        auto_threshold=auto,
        suggest_threshold=suggest,
        fees=fees,
    )


def decide(
    records: Sequence[dict[str, Any]],
    items: Sequence[dict[str, Any]],
    policy: Policy | None = None,
) -> dict[str, dict[str, Any]]:
    """Match and return each record's row by its id."""
    outcome = match_partition(left(*records), right(*items), policy or Policy())
    return {row["record_id"]: row for row in outcome.rows.iter_rows(named=True)}

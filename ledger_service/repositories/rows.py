"""What the rows of the lists are made of, rendered by PostgreSQL for pages and streams alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Select,
    Text,
    case,
    cast,
    func,
    literal,
    null,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.streaming import CSV, csv_safe


@dataclass(frozen=True, slots=True)
class Range:
    """Which part of the history a list shows; every bound may be left open.

    `effective_from` and `effective_to` are inclusive, `after_seq` exclusive, `up_to_seq` inclusive.
    """

    effective_from: datetime | None = None
    effective_to: datetime | None = None
    after_seq: int | None = None
    up_to_seq: int | None = None
    account_id: UUID | None = None
    reference: str | None = None


_USER_TEXTS = {"reference", "description", "counterparty"}
Columns = Mapping[str, ColumnElement[Any]]


def decimal_text(amount_minor: ColumnElement[Any], scale: ColumnElement[Any]) -> ColumnElement[str]:
    """Return minor units as a decimal string; exact, since multiplying by 1e-scale never rounds."""
    unit = cast(func.concat("1e-", scale), Numeric)
    return cast(cast(amount_minor, Numeric) * unit, Text)


def text_member(payload: ColumnElement[Any], name: str) -> ColumnElement[str | None]:
    """Return `metadata.<name>` of a journal payload where it is a text, else null."""
    found = payload["metadata"][name]
    return case((func.jsonb_typeof(found) == "string", found.astext), else_=null())


def json_rows(columns: Columns) -> ColumnElement[str]:
    """Return one JSON text per row, its members in the order of `columns`."""
    parts: list[Any] = []
    for name, column in columns.items():
        parts += [literal(name, literal_execute=True), column]
    return cast(func.json_build_object(*parts), Text)


def stream_columns(columns: Columns, media_type: str) -> list[ColumnElement[Any]]:
    """Return what a stream of `media_type` selects: plain columns, or one JSON text."""
    if media_type != CSV:
        return [json_rows(columns).label("document")]
    return [
        (csv_safe(column) if name in _USER_TEXTS else column).label(name)
        for name, column in columns.items()
    ]


async def fetch_page(
    database: AsyncEngine, statement: Select[Any], limit: int
) -> tuple[list[Any], bool]:
    """Return at most `limit` rows of `statement`, and whether there are more."""
    async with database.connect() as connection:
        rows = list(await connection.execute(statement.limit(limit + 1)))
    return rows[:limit], len(rows) > limit

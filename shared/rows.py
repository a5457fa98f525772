"""What the rows of lists are made of, rendered by PostgreSQL for pages and streams alike."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Numeric, Select, Text, cast, func, literal
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.streaming import CSV, csv_safe

Columns = Mapping[str, ColumnElement[Any]]


def decimal_text(amount_minor: ColumnElement[Any], scale: ColumnElement[Any]) -> ColumnElement[str]:
    """Return minor units as a decimal string; exact, since multiplying by 1e-scale never rounds."""
    unit = cast(func.concat("1e-", scale), Numeric)
    return cast(cast(amount_minor, Numeric) * unit, Text)


def json_rows(columns: Columns) -> ColumnElement[str]:
    """Return one JSON text per row, its members in the order of `columns`."""
    parts: list[Any] = []
    for name, column in columns.items():
        parts += [literal(name, literal_execute=True), column]
    return cast(func.json_build_object(*parts), Text)


def stream_columns(
    columns: Columns, media_type: str, *, user_texts: Collection[str]
) -> list[ColumnElement[Any]]:
    """Return what a stream of `media_type` selects: plain columns, or one JSON text.

    `user_texts` are the columns that hold what people wrote: in CSV they never become formulas.
    """
    if media_type != CSV:
        return [json_rows(columns).label("document")]
    return [_csv_cell(column, name in user_texts).label(name) for name, column in columns.items()]


async def fetch_page(
    database: AsyncEngine, statement: Select[Any], limit: int
) -> tuple[list[Any], bool]:
    """Return at most `limit` rows of `statement`, and whether there are more."""
    async with database.connect() as connection:
        rows = list(await connection.execute(statement.limit(limit + 1)))
    return rows[:limit], len(rows) > limit


def _csv_cell(column: ColumnElement[Any], is_user_text: bool) -> ColumnElement[Any]:
    if is_user_text:
        return csv_safe(column)
    if isinstance(column.type, Boolean):
        return cast(column, Text)  # COPY would write t and f
    return column

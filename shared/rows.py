"""What the rows of lists are made of, rendered by PostgreSQL for pages and streams alike."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Integer,
    Numeric,
    Select,
    Text,
    Uuid,
    cast,
    func,
    literal,
    type_coerce,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.streaming import CSV, PlainText, csv_safe

Columns = Mapping[str, ColumnElement[Any]]
_MICROS = 1_000_000


def decimal_text(amount_minor: ColumnElement[Any], scale: ColumnElement[Any]) -> ColumnElement[str]:
    """Return minor units as a decimal string; exact, since multiplying by 1e-scale never rounds."""
    unit = cast(func.concat("1e-", scale), Numeric)
    return type_coerce(cast(cast(amount_minor, Numeric) * unit, Text), PlainText)


def plain_text(text: ColumnElement[Any]) -> ColumnElement[str]:
    """Return a text that is known to hold nothing that JSON would escape."""
    return type_coerce(text, PlainText)


def json_rows(columns: Columns) -> ColumnElement[str]:
    """Return one JSON text per row, its members in the order of `columns`.

    Put together by concat(): json_build_object looks up each value's type again in every row, and
    took as long as all the rest of a stream.
    """
    parts: list[Any] = []
    before = "{"
    for name, column in columns.items():
        before += f'"{name}":'
        if _is_plain(column) and _is_never_null(column):
            parts += [_literal(before + '"'), column]
            before = '",'
        else:
            parts += [_literal(before), _json_value(column)]
            before = ","
    return func.concat(*parts, _literal(before.removesuffix(",") + "}"), type_=Text)


def json_array(document: ColumnElement[str]) -> ColumnElement[Any]:
    """Return a JSON array of one JSON text."""
    return func.concat(_literal("["), document, _literal("]"), type_=JSON)


def stream_columns(
    columns: Columns, media_type: str, *, user_texts: Collection[str]
) -> list[ColumnElement[Any]]:
    """Return what a stream of `media_type` selects: plain columns, or one JSON text.

    `user_texts` are the columns that hold what people wrote: in CSV they never become formulas.
    """
    if media_type != CSV:
        return [json_rows(columns).label("document")]
    return [_csv_cell(column, name in user_texts).label(name) for name, column in columns.items()]


def tsv_columns(columns: Columns, *, texts: Collection[str]) -> list[ColumnElement[Any]]:
    """Return what a stream of TSV selects: fields that hold neither tab nor line's end.

    Instants are microseconds since 1970 (exact until 2242, since PostgreSQL tells seconds in 53
    bits), `texts` are written as JSON, and null is nothing.
    """
    found: list[ColumnElement[Any]] = []
    for name, column in columns.items():
        field = column
        if isinstance(column.type, DateTime):
            field = cast(func.date_part("epoch", column) * _MICROS, BigInteger)
        elif name in texts and not isinstance(column.type, JSON):
            field = func.to_json(column)
        found.append(field.label(name))
    return found


async def fetch_page(
    database: AsyncEngine, statement: Select[Any], limit: int
) -> tuple[list[Any], bool]:
    """Return at most `limit` rows of `statement`, and whether there are more."""
    async with database.connect() as connection:
        rows = list(await connection.execute(statement.limit(limit + 1)))
    return rows[:limit], len(rows) > limit


def _json_value(column: ColumnElement[Any]) -> ColumnElement[Any]:
    if _is_plain(column):
        value: ColumnElement[Any] = _literal('"').concat(cast(column, Text)).concat(_literal('"'))
    elif isinstance(column.type, (Integer, Numeric, Boolean, JSON)):
        value = cast(column, Text)
    else:
        value = cast(func.to_json(column), Text)
    if _is_never_null(column):
        return value
    return func.coalesce(value, _literal("null"), type_=Text)


def _is_plain(column: ColumnElement[Any]) -> bool:
    return isinstance(column.type, (PlainText, Uuid))


def _is_never_null(column: ColumnElement[Any]) -> bool:
    return isinstance(column, Column) and not column.nullable


def _literal(text: str) -> ColumnElement[str]:
    return literal(text, literal_execute=True)


def _csv_cell(column: ColumnElement[Any], is_user_text: bool) -> ColumnElement[Any]:
    if is_user_text:
        return csv_safe(column)
    if isinstance(column.type, Boolean):
        return cast(column, Text)  # COPY would write t and f
    return column

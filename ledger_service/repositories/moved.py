"""What a transaction moved in each currency, as its entry in the journal has it."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Numeric,
    and_,
    case,
    cast,
    column,
    exists,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, aggregate_order_by

from ledger_service.domain.entries import EntryKind
from shared.rows import Columns, decimal_text, json_array, json_rows, plain_text

_TRANSFER: ColumnElement[str] = literal_column(f"'{EntryKind.TRANSFER}'")
_CAPTURE: ColumnElement[str] = literal_column(f"'{EntryKind.HOLD_CAPTURED}'")


def amounts(entry: FromClause) -> ColumnElement[Any]:
    """Return what an entry moved as a JSON array, one object a currency."""
    payload, moved = entry.c.payload, moved_rows(entry)
    one = json_rows(_amount(moved.c.value, moved.c.value))
    several = select(func.string_agg(one, aggregate_order_by(text("','"), moved.c.place)))
    return case(
        (entry.c.kind == _TRANSFER, json_array(json_rows(_amount(payload, payload)))),
        (entry.c.kind == _CAPTURE, json_array(json_rows(_amount(payload, payload["hold"])))),
        else_=json_array(several.scalar_subquery()),
    )


def moved_rows(entry: FromClause) -> FromClause:
    """Return what a transaction of many legs moved in each currency; no rows for other kinds."""
    elements = func.json_array_elements(entry.c.payload["moved"])
    value = column("value", JSON)
    return elements.table_valued(value, with_ordinality="place").render_derived("moved")


def amount_columns(entry: FromClause, moved: FromClause) -> Columns:
    """Return amount and currency of one of `moved_rows`, or of the entry that has none."""
    payload, one = entry.c.payload, moved.c.value
    only = _amount(payload, case((entry.c.kind == _CAPTURE, payload["hold"]), else_=payload))
    several = _amount(one, one)
    return {
        name: plain_text(case((one.is_(None), only[name]), else_=several[name])) for name in only
    }


def moves(
    entry: FromClause, currency: str | None, least: Any | None, most: Any | None
) -> ColumnElement[bool]:
    """Return the condition that the entry moved from `least` to `most` of (any) one currency."""

    def fits(amount: ColumnElement[Any], money: ColumnElement[Any]) -> ColumnElement[bool]:
        minor, unit = amount["amount_minor"].astext, func.concat("1e-", money["scale"].astext)
        value = cast(minor, Numeric) * cast(unit, Numeric)
        conditions = []
        if currency is not None:
            conditions.append(money["currency"].astext == currency)
        if least is not None:
            conditions.append(value >= least)
        if most is not None:
            conditions.append(value <= most)
        return and_(*conditions)

    payload, moved = entry.c.payload, moved_rows(entry)
    return case(
        (entry.c.kind == _TRANSFER, fits(payload, payload)),
        (entry.c.kind == _CAPTURE, fits(payload, payload["hold"])),
        else_=exists(select(1).select_from(moved).where(fits(moved.c.value, moved.c.value))),
    )


def _amount(amount: ColumnElement[Any], money: ColumnElement[Any]) -> Columns:
    """Return the amount that one JSON object has, in the currency that another one names."""
    minor, scale = cast(amount["amount_minor"].astext, Numeric), money["scale"].astext
    return {
        "amount": decimal_text(minor, scale),
        "currency": plain_text(money["currency"].astext),
    }

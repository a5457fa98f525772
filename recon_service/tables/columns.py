"""Columns that tables of reconciliation have in common."""

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, SmallInteger, Text

from shared.database import schema_metadata

SCHEMA = "recon"
metadata = schema_metadata(SCHEMA)


def instant(name: str, *, nullable: bool = False) -> Column[Any]:
    """Return a column for a point in time."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def money(prefix: str, *, nullable: bool = False) -> tuple[Column[Any], ...]:
    """Return the columns of an amount: currency, its scale, and minor units."""
    return (
        Column(f"{prefix}currency", Text, nullable=nullable),
        Column(f"{prefix}scale", SmallInteger, nullable=nullable),
        Column(f"{prefix}amount_minor", BigInteger, nullable=nullable),
    )

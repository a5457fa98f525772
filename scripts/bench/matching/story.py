"""Collects what belongs together while it is being told, and writes it down as truth."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import polars as pl

TRUTH_SCHEMA = pl.Schema(
    {
        "side": pl.String,  # record | item
        "id": pl.String,
        "group": pl.String,
        "kind": pl.String,  # 1-1 | 1-N | N-1 | N-M | netted | none: records to items
        "cause": pl.String,  # of a difference or of standing alone; null where all is plain
    }
)

Row = dict[str, Any]


@dataclass(slots=True)
class Story:
    """Records, items, and which of them are the same money."""

    records: list[Row] = field(default_factory=list)
    items: list[Row] = field(default_factory=list)
    _truth: list[tuple[str, str, str, str, str | None]] = field(default_factory=list)
    _groups: int = 0

    def add(self, records: Sequence[Row], items: Sequence[Row], cause: str | None = None) -> None:
        """Tell one group: what stands alone is a group of its own."""
        self._groups += 1
        name, kind = f"g{self._groups:07d}", _kind(len(records), len(items))
        self.records += records
        self.items += items
        self._truth += [("record", row["record_id"], name, kind, cause) for row in records]
        self._truth += [("item", row["internal_id"], name, kind, cause) for row in items]

    def truth(self) -> pl.DataFrame:
        """Return TRUTH_SCHEMA: every record and every item once."""
        return pl.DataFrame(self._truth, schema=TRUTH_SCHEMA, orient="row").sort("side", "id")


def copy_of(row: Row, id_: UUID, **changes: Any) -> Row:
    """Return the same line under another id."""
    name = "record_id" if "record_id" in row else "internal_id"
    return row | {name: str(id_)} | changes


def _kind(records: int, items: int) -> str:
    if records == 0 or items == 0:
        return "none" if records + items == 1 else "netted"
    if records == items == 1:
        return "1-1"
    if records == 1:
        return "1-N"
    return "N-1" if items == 1 else "N-M"

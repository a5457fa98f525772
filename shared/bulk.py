"""Writes many rows at once: by arrays inside a statement, or by COPY if there are thousands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Bulk:
    """The columns of a table that are written, each with its PostgreSQL type, in row order."""

    schema: str
    table: str
    columns: Mapping[str, str]
    on_conflict: str = ""

    def insert(self, first_parameter: int, source: str = "") -> str:
        """Return an INSERT whose rows come from array parameters, numbered from the one given.

        `source` is another relation of the statement that must have its one row for any row to
        be written.
        """
        arrays = ", ".join(
            f"${number}::{kind}[]"
            for number, kind in enumerate(self.columns.values(), first_parameter)
        )
        names = ", ".join(self.columns)
        values = ", ".join(f"bulk.{name}" for name in self.columns)
        relations = ", ".join(filter(None, (source, f"unnest({arrays}) AS bulk ({names})")))
        # names of columns and types are this program's own; every value is a parameter
        return (
            f"INSERT INTO {self.schema}.{self.table} ({names})\n"
            f"SELECT {values} FROM {relations} {self.on_conflict}"
        )

    def arrays(self, rows: Sequence[Row]) -> Sequence[Sequence[Any]]:
        """Return `rows` as the array parameters of `insert`."""
        return list(zip(*rows, strict=True)) if rows else [()] * len(self.columns)

    async def copy(self, connection: asyncpg.Connection, rows: Sequence[Row]) -> None:
        """Write `rows` by COPY."""
        await connection.copy_records_to_table(
            self.table, schema_name=self.schema, columns=list(self.columns), records=rows
        )

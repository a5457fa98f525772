"""Writes many rows at once: by arrays inside a statement, or by COPY if there are thousands."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
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

    def insert(self, first_parameter: int, source: str = "") -> str:
        """Return an INSERT whose rows come from array parameters, numbered from the one given.

        `source` is another relation of the statement that must have its one row for any row to
        be written.
        """
        values = ", ".join(f"bulk.{name}" for name in self.columns)
        # names of columns and types are this program's own; every value is a parameter
        return (
            f"INSERT INTO {self.schema}.{self.table} ({', '.join(self.columns)})\n"
            f"SELECT {values} FROM {self._relations(first_parameter, source)}"
        )

    def update(self, keys: Sequence[str], first_parameter: int, source: str = "") -> str:
        """Return an UPDATE of the rows that `keys` name; no row may be named twice."""
        values = ", ".join(f"{name} = bulk.{name}" for name in self.columns if name not in keys)
        found = " AND ".join(f"stored.{name} = bulk.{name}" for name in keys)
        return (
            f"UPDATE {self.schema}.{self.table} AS stored SET {values}\n"  # noqa: S608
            f"FROM {self._relations(first_parameter, source)}\nWHERE {found}"
        )

    def upsert(self, keys: Sequence[str], first_parameter: int) -> str:
        """Return an INSERT that updates the rows that are there; no row may be named twice."""
        values = ", ".join(f"{name} = excluded.{name}" for name in self.columns if name not in keys)
        return (
            f"{self.insert(first_parameter)}\n"
            f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {values}"
        )

    def _relations(self, first_parameter: int, source: str) -> str:
        arrays = ", ".join(
            f"${number}::{kind}[]"
            for number, kind in enumerate(self.columns.values(), first_parameter)
        )
        bulk = f"unnest({arrays}) AS bulk ({', '.join(self.columns)})"
        return f"{source}, {bulk}" if source else bulk

    def arrays(self, rows: Sequence[Row]) -> Sequence[Sequence[Any]]:
        """Return `rows` as the array parameters of `insert`."""
        return list(zip(*rows, strict=True)) if rows else [()] * len(self.columns)

    async def copy(self, connection: asyncpg.Connection, rows: Iterable[bytes]) -> None:
        """Write `rows`, in the binary form of COPY, its columns in the order of `columns`."""

        async def source() -> AsyncIterator[bytes]:
            for block in rows:
                yield block

        await connection.copy_to_table(
            self.table,
            schema_name=self.schema,
            columns=list(self.columns),
            source=source(),
            format="binary",
        )

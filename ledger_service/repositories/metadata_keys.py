"""Keys of metadata by which lists may be filtered: each is declared, and has an index of its own.

`python -m migrations index-metadata` makes them. An index holds the beginning of each value, for
PostgreSQL refuses rows whose index entry is long; the whole value is compared in the row found.
"""

from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Table, Text, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.tables import INDEXED_VALUE_CHARS, accounts, indexed_metadata

Subject = Literal["accounts", "transactions"]


class MetadataFilter(NamedTuple):
    """The value that a declared key of the metadata has; numbers and truth values as JSON has them.

    The key is written into the statement, so it must be a declared one.
    """

    key: str
    value: str


async def declared_keys(database: AsyncEngine, subject: Subject) -> list[str]:
    """Return the keys that are declared for accounts or for transactions, in order."""
    statement = (
        select(indexed_metadata.c.key)
        .where(indexed_metadata.c.subject == subject)
        .order_by(indexed_metadata.c.key)
    )
    async with database.connect() as connection:
        return list((await connection.execute(statement)).scalars())


def starts_alike(table: Table, wanted: MetadataFilter) -> list[ColumnElement[bool]]:
    """Return the conditions that the index of the key answers."""
    member = _member(table, wanted.key)
    beginning = func.left(member, literal_column(str(INDEXED_VALUE_CHARS)))
    return [member.is_not(None), beginning == wanted.value[:INDEXED_VALUE_CHARS]]


def has_member(rows: FromClause, wanted: MetadataFilter) -> ColumnElement[bool]:
    """Return the condition that the whole value is the wanted one."""
    return _member(rows, wanted.key) == wanted.value


def _member(rows: FromClause, key: str) -> ColumnElement[Any]:
    """Return a member of the metadata as text, in the very words of its index."""
    if "payload" in rows.c:
        path: ColumnElement[str] = literal_column(f"'{{metadata,{key}}}'")
        return rows.c.payload.op("#>>", return_type=Text())(path)
    assert set(accounts.primary_key.columns.keys()) <= set(rows.c.keys())
    return rows.c.metadata.op("->>", return_type=Text())(literal_column(f"'{key}'"))

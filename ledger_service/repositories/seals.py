"""Reads seals, and of the sealed trees the few rows that a proof is made of."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Select, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger_service.domain.canonical import StoredEntry, StoredEvent
from ledger_service.domain.merkle import (
    BLOCK_BITS,
    BLOCK_LEAVES,
    HASH_BYTES,
    Frontier,
    Range,
    complete_parts,
    fold,
    root_of,
    split_hashes,
)
from ledger_service.repositories.rows import ENTRY_COLUMNS
from ledger_service.tables import events, journal, seal_blocks, seal_leaves, seals

Tree = Literal["entries", "keys"]


class Seal(NamedTuple):
    """A row of the seals: both trees as they were then; keys of before `keys_before`."""

    number: int
    entries: Frontier
    entries_root: bytes
    keys: Frontier
    keys_root: bytes
    keys_before: datetime
    sealed_at: datetime

    def tree(self, name: Tree) -> tuple[Frontier, bytes]:
        """Return what the tree needs to grow, and its root."""
        if name == "entries":
            return self.entries, self.entries_root
        return self.keys, self.keys_root


async def find_seal(
    database: AsyncEngine, ledger_id: int, number: int | None = None
) -> Seal | None:
    """Return the seal of this number, or the last one; None where there is none."""
    statement = _seals(ledger_id).order_by(seals.c.number.desc()).limit(1)
    if number is not None:
        statement = statement.where(seals.c.number == number)
    async with database.connect() as connection:
        row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _seal_of(row)


async def seals_after(database: AsyncEngine, ledger_id: int, number: int, limit: int) -> list[Seal]:
    """Return the seals behind the one of this number, in their order."""
    statement = _seals(ledger_id).where(seals.c.number > number)
    async with database.connect() as connection:
        rows = await connection.execute(statement.order_by(seals.c.number).limit(limit))
        return [_seal_of(row) for row in rows]


async def find_stored_entry(
    database: AsyncEngine, ledger_id: int, entry_id: UUID
) -> StoredEntry | None:
    """Return the entry of this id with its events as stored, None where there is none."""
    entry = select(*ENTRY_COLUMNS).where(
        journal.c.ledger_id == ledger_id, journal.c.entry_id == entry_id
    )
    async with database.connect() as connection:
        row = (await connection.execute(entry)).one_or_none()
        if row is None:
            return None
        found = await connection.execute(
            select(
                events.c.line,
                events.c.account_id,
                events.c.transaction_id,
                events.c.direction,
                events.c.amount_minor,
                events.c.balance_after_minor,
                events.c.position,
            )
            .where(events.c.ledger_id == ledger_id, events.c.seq == row.seq)
            .order_by(events.c.line)
        )
        return StoredEntry(*row)._replace(events=tuple(StoredEvent(*one) for one in found))


async def subtree_roots(
    database: AsyncEngine, ledger_id: int, tree: Tree, ranges: Sequence[Range], grown: Frontier
) -> list[bytes]:
    """Return the roots of subtrees of the tree as `grown`, as a proof needs them.

    What is not a root of `grown` lies, for each size of block, within one block of the next size:
    at most 256 hashes are read for each.
    """
    parts = complete_parts(Range(0, grown.size))
    known = dict(zip(parts, grown.roots, strict=True))
    unknown: dict[int, list[Range]] = {}
    for part in (part for one in ranges for part in complete_parts(one)):
        if part not in known:
            level = ((part.end - part.start).bit_length() - 1) // BLOCK_BITS
            unknown.setdefault(level, []).append(part)
    async with database.connect() as connection:
        for level, missing in unknown.items():
            bits = level * BLOCK_BITS
            first = min(part.start for part in missing) >> bits
            end = max(part.end for part in missing) >> bits
            assert end - first <= BLOCK_LEAVES, "a proof needs more than one block of a level"
            read = _leaves if level == 0 else _blocks
            hashes = await read(connection, ledger_id, tree, level, Range(first, end))
            for part in missing:
                here = hashes[(part.start >> bits) - first : (part.end >> bits) - first]
                known[part] = root_of(here)
    return [fold([known[part] for part in complete_parts(one)]) for one in ranges]


async def _blocks(
    connection: AsyncConnection, ledger_id: int, tree: Tree, level: int, wanted: Range
) -> list[bytes]:
    table = seal_blocks.c
    statement = (
        select(table.root)
        .where(
            table.ledger_id == ledger_id,
            table.tree == tree,
            table.level == level,
            table.position >= wanted.start,
            table.position < wanted.end,
        )
        .order_by(table.position)
    )
    return _all_of(wanted, (await connection.execute(statement)).scalars())


async def _leaves(
    connection: AsyncConnection, ledger_id: int, tree: Tree, _level: int, wanted: Range
) -> list[bytes]:
    table = seal_leaves.c
    rows_of_tree = [table.ledger_id == ledger_id, table.tree == tree]
    row_of_first = select(func.max(table.first_index)).where(
        *rows_of_tree, table.first_index <= wanted.start
    )
    skipped = func.greatest(wanted.start - table.first_index, 0)
    here = wanted.end - func.greatest(table.first_index, wanted.start)
    statement = (
        select(
            func.substring(
                table.hashes,
                cast(skipped * HASH_BYTES + 1, Integer),
                cast(here * HASH_BYTES, Integer),
            )
        )
        .where(
            *rows_of_tree,
            table.first_index >= row_of_first.scalar_subquery(),
            table.first_index < wanted.end,
        )
        .order_by(table.first_index)
    )
    packed = (await connection.execute(statement)).scalars()
    return _all_of(wanted, (one for row in packed for one in split_hashes(row)))


def _all_of(wanted: Range, hashes: Iterable[bytes]) -> list[bytes]:
    found = list(hashes)
    assert len(found) == wanted.end - wanted.start, f"{len(found)} hashes are kept of {wanted}"
    return found


def _seals(ledger_id: int) -> Select[Any]:
    return select(
        seals.c.number,
        seals.c.entries_size,
        seals.c.entries_frontier,
        seals.c.entries_root,
        seals.c.keys_size,
        seals.c.keys_frontier,
        seals.c.keys_root,
        seals.c.keys_before,
        seals.c.sealed_at,
    ).where(seals.c.ledger_id == ledger_id)


def _seal_of(row: Any) -> Seal:
    return Seal(
        row.number,
        Frontier.unpack(row.entries_size, row.entries_frontier),
        row.entries_root,
        Frontier.unpack(row.keys_size, row.keys_frontier),
        row.keys_root,
        row.keys_before,
        row.sealed_at,
    )

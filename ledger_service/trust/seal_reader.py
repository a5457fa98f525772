"""Reads the seals of a ledger from the database, in the order in which checks go along them."""

from collections.abc import AsyncIterator

import asyncpg

from ledger_service.domain.merkle import Block
from ledger_service.trust.anchors import Anchor
from ledger_service.trust.seal_check import SealRow, Tree

ROWS_PER_READ = 100

_SEALS = """
SELECT number, entries_size, entries_root, entries_frontier, keys_size, keys_root, keys_frontier,
       keys_before
FROM ledger.seals WHERE ledger_id = $1 ORDER BY number
"""
_LEAVES = """
SELECT first_index, hashes FROM ledger.seal_leaves
WHERE ledger_id = $1 AND tree = $2 ORDER BY first_index
"""
_BLOCKS = """
SELECT level, position, root FROM ledger.seal_blocks
WHERE ledger_id = $1 AND tree = $2 ORDER BY level, position
"""

# What an anchor says: the last seal of a ledger.
_LAST = """
SELECT l.name, s.number, s.entries_size, s.entries_root, s.keys_size, s.keys_root, s.keys_before,
       s.sealed_at
FROM ledger.seals s JOIN ledger.ledgers l USING (ledger_id)
WHERE ledger_id = $1 ORDER BY number DESC LIMIT 1
"""


async def last_seal(connection: asyncpg.Connection, ledger_id: int) -> Anchor | None:
    """Return what an anchor of the ledger would say now, None where nothing is sealed."""
    row = await connection.fetchrow(_LAST, ledger_id)
    return None if row is None else Anchor(*row)


class StoredSeals:
    """The seals of one ledger; the connection must be in a transaction."""

    def __init__(self, connection: asyncpg.Connection, ledger_id: int) -> None:
        self._connection = connection
        self._ledger_id = ledger_id

    async def seals(self) -> AsyncIterator[SealRow]:
        """Yield all seals in their order."""
        async for row in self._rows(_SEALS):
            yield SealRow(*row)

    async def leaves(self, tree: Tree) -> AsyncIterator[tuple[int, bytes]]:
        """Yield the index of a first leaf, and the hashes from it on, in their order."""
        async for row in self._rows(_LEAVES, tree):
            yield row[0], row[1]

    async def blocks(self, tree: Tree) -> AsyncIterator[Block]:
        """Yield all blocks that are kept."""
        async for row in self._rows(_BLOCKS, tree):
            yield Block(*row)

    def _rows(self, statement: str, *values: str) -> AsyncIterator[asyncpg.Record]:
        found: AsyncIterator[asyncpg.Record] = aiter(
            self._connection.cursor(statement, self._ledger_id, *values, prefetch=ROWS_PER_READ)
        )
        return found

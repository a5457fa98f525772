"""Seals the log in the background: never on the write path, one process at a time.

    every LEDGER_SEAL_SECONDS, for each ledger whose history has grown
        1. take the ledger's advisory lock                  another process seals: leave it to it
        2. read on from the last seal, some 10,000 entries  in pages, resting between them
        3. grow both trees                                  one leaf an entry, one a key: PostgreSQL
                                                            hashes them
        4. write the seal with its leaves and blocks        one transaction; stopped before: nothing

Which keys does a seal cover? Those recorded before its last entry was. Whoever writes later takes
the head behind that entry and records at its time or after it, so no key can still join the ones
before: in the order of (recorded_at, key_hash) the sealed keys only ever grow at the end.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from time import perf_counter
from typing import NamedTuple

import asyncpg
import structlog

from ledger_service.domain.merkle import Block, Frontier
from ledger_service.trust.leaf_hashes import entry_leaves, key_leaves
from ledger_service.trust.log_reader import BEGINNING
from shared.clock import Clock, utc_now
from shared.database import connect
from shared.problems import is_connection_trouble

ENTRIES_PER_SEAL_MAX = 10_000
LEAVES_PER_READ = 500
LEAVES_PER_ROW_MAX = 8_192
BUSY_SHARE = 0.25
"""So much of the time the service's own sealer is at work: transfers come first."""
STOP_SECONDS_MAX = 1.0
SEALING_LOCK = 0x5EA1
log = structlog.get_logger()

# Ledgers with entries that are not sealed.
_BEHIND = """
SELECT l.ledger_id FROM ledger.ledgers l LEFT JOIN LATERAL (
    SELECT entries_size FROM ledger.seals s
    WHERE s.ledger_id = l.ledger_id ORDER BY number DESC LIMIT 1
) s ON true
WHERE l.last_seq > coalesce(s.entries_size, 0) ORDER BY l.ledger_id
"""

# Where the last seal left both trees.
_LAST_SEAL = """
SELECT number, entries_size, entries_frontier, keys_size, keys_frontier, keys_before
FROM ledger.seals WHERE ledger_id = $1 ORDER BY number DESC LIMIT 1
"""
_LAST_SEQ = "SELECT last_seq FROM ledger.ledgers WHERE ledger_id = $1"
_ADD_SEAL = """
INSERT INTO ledger.seals (ledger_id, number, entries_size, entries_root, entries_frontier,
                          keys_size, keys_root, keys_frontier, keys_before, sealed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_ADD_LEAVES = """
INSERT INTO ledger.seal_leaves (ledger_id, tree, first_index, hashes) VALUES ($1, $2, $3, $4)
"""
_ADD_BLOCKS = """
INSERT INTO ledger.seal_blocks (ledger_id, tree, level, position, root)
VALUES ($1, $2, $3, $4, $5)
"""


class LogDamaged(Exception):
    """The journal has no unbroken history up to its head: it is not sealed as it is."""


class _Growing:
    """A tree with what was added to it since the last seal."""

    def __init__(self, tree: Frontier) -> None:
        self.tree = tree
        self.first = tree.size
        self.leaves: list[bytes] = []
        self.blocks: list[Block] = []

    def add(self, leaf: bytes) -> None:
        self.leaves.append(leaf)
        self.blocks += self.tree.append(leaf)


class _Last(NamedTuple):
    """The last seal's number, and where it left the trees."""

    number: int
    entries: Frontier
    keys: Frontier
    keys_before: datetime


async def seal_what_is_new(
    connection: asyncpg.Connection,
    ledger_id: int,
    *,
    clock: Clock = utc_now,
    busy_share: float = 1.0,
) -> int:
    """Seal all that is committed and return how many seals that made.

    0 also where another process is sealing this ledger. Raises LogDamaged where the history has a
    gap. `busy_share` is how much of the time it may be at work.
    """
    if not await connection.fetchval(
        "SELECT pg_try_advisory_lock($1, $2)", SEALING_LOCK, ledger_id
    ):
        return 0
    try:
        made = 0
        while await _seal_next(connection, ledger_id, clock, busy_share):
            made += 1
        return made
    finally:
        if not connection.is_closed():
            await connection.fetchval("SELECT pg_advisory_unlock($1, $2)", SEALING_LOCK, ledger_id)


async def _seal_next(
    connection: asyncpg.Connection, ledger_id: int, clock: Clock, busy_share: float
) -> bool:
    last = await _last_seal(connection, ledger_id)
    last_seq = await connection.fetchval(_LAST_SEQ, ledger_id)
    up_to_seq = min(last_seq, last.entries.size + ENTRIES_PER_SEAL_MAX)
    if up_to_seq <= last.entries.size:
        return False
    pace = _Pace(busy_share)
    entries, keys = _Growing(last.entries), _Growing(last.keys)
    keys_before = last.keys_before
    while entries.tree.size < up_to_seq:
        after_seq = entries.tree.size
        pace.begin()
        rows = await entry_leaves(
            connection,
            ledger_id,
            after_seq=after_seq,
            up_to_seq=min(after_seq + LEAVES_PER_READ, up_to_seq),
        )
        if not rows:
            raise LogDamaged(f"the journal ends with seq {after_seq}, the head says {last_seq}")
        for seq, recorded_at, leaf in rows:
            if seq != entries.tree.size + 1:
                raise LogDamaged(f"seq {seq} follows {entries.tree.size}")
            entries.add(leaf)
            keys_before = recorded_at
        await pace.rest()
    async with connection.transaction():
        pace.begin()
        found = await key_leaves(connection, ledger_id, since=last.keys_before, before=keys_before)
        while rows := await found.fetch(LEAVES_PER_READ):
            for (leaf,) in rows:
                keys.add(leaf)
            await pace.rest()
            pace.begin()
        await _write(connection, ledger_id, last.number + 1, entries, keys, keys_before, clock())
    return True


async def _last_seal(connection: asyncpg.Connection, ledger_id: int) -> _Last:
    row = await connection.fetchrow(_LAST_SEAL, ledger_id)
    if row is None:
        return _Last(0, Frontier(), Frontier(), BEGINNING)
    number, entries_size, entries_frontier, keys_size, keys_frontier, keys_before = row
    return _Last(
        number,
        Frontier.unpack(entries_size, entries_frontier),
        Frontier.unpack(keys_size, keys_frontier),
        keys_before,
    )


async def _write(
    connection: asyncpg.Connection,
    ledger_id: int,
    number: int,
    entries: _Growing,
    keys: _Growing,
    keys_before: datetime,
    sealed_at: datetime,
) -> None:
    await connection.execute(
        _ADD_SEAL,
        ledger_id,
        number,
        *(entries.tree.size, entries.tree.root(), entries.tree.pack()),
        *(keys.tree.size, keys.tree.root(), keys.tree.pack()),
        keys_before,
        sealed_at,
    )
    for name, grown in (("entries", entries), ("keys", keys)):
        await connection.executemany(
            _ADD_LEAVES,
            [(ledger_id, name, *row) for row in _leaf_rows(grown.first, grown.leaves)],
        )
        await connection.executemany(
            _ADD_BLOCKS, [(ledger_id, name, *block) for block in grown.blocks]
        )


def _leaf_rows(first: int, leaves: Sequence[bytes]) -> list[tuple[int, bytes]]:
    return [
        (first + at, b"".join(leaves[at : at + LEAVES_PER_ROW_MAX]))
        for at in range(0, len(leaves), LEAVES_PER_ROW_MAX)
    ]


class _Pace:
    """Rests after work for so long that the work is only a share of the time."""

    def __init__(self, busy_share: float) -> None:
        self._rest_by_work = 1 / busy_share - 1
        self._began = 0.0

    def begin(self) -> None:
        self._began = perf_counter()

    async def rest(self) -> None:
        await asyncio.sleep((perf_counter() - self._began) * self._rest_by_work)


class Sealer:
    """Keeps every ledger of the database sealed, on a connection of its own."""

    def __init__(
        self, *, database_url: str, interval_seconds: float, clock: Clock = utc_now
    ) -> None:
        """`interval_seconds` 0 means never: another process does it, or nobody."""
        self._database_url = database_url
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._connection: asyncpg.Connection | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first look is one interval away."""
        if self._interval_seconds > 0:
            self._running = asyncio.create_task(self._seal_forever(), name="sealer")

    async def stop(self) -> None:
        """End at once; what was not written is sealed by the next process."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running}, timeout=STOP_SECONDS_MAX)
        self._drop_connection()

    async def _seal_forever(self) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds)
            try:
                await self._seal_all()
            except LogDamaged as error:
                log.error("not_sealed", damage=str(error))
            except Exception as error:
                self._drop_connection()
                if is_connection_trouble(error) or isinstance(error, TimeoutError):
                    log.warning("sealer_lost_database", error=repr(error))
                else:
                    log.error("not_sealed", exc_info=error)

    async def _seal_all(self) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(
                self._database_url,
                application_name="kairon ledger sealer",
                # A plan made while a table was small would be kept while it grows.
                enable_seqscan="off",
            )
        for row in await self._connection.fetch(_BEHIND):
            made = await seal_what_is_new(
                self._connection, row[0], clock=self._clock, busy_share=BUSY_SHARE
            )
            log.debug("sealed", ledger_id=row[0], seals=made)

    def _drop_connection(self) -> None:
        if self._connection is not None:
            with suppress(Exception):  # it is broken already, or goes without a word
                self._connection.terminate()
        self._connection = None

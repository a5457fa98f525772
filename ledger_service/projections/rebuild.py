"""Makes the projections anew from the log, beside a service that goes on, and repairs them.

    look     one snapshot: replay the log in pages, compare every row of every projection
    repair   one transaction: take the head; replay what was appended meanwhile; compare again;
             replace the rows that differ; raise the epoch

While the repair holds the head, commands wait. Its new epoch makes the next batch of every
running committer lose its comparison with the head: it forgets what it remembers, and reads again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg

from ledger_service.event_store import EventStore, Head
from ledger_service.projections.compare import (
    PROJECTIONS,
    REVERSALS,
    Difference,
    Projection,
    Replay,
    differences,
    insert_rows,
)
from ledger_service.projections.follow import DoesNotFollow, follow
from ledger_service.trust.log_reader import entry_pages

ENTRIES_PER_READ = 5_000
OWNER = "ledger_owner"
HEAD_WAIT_MS_MAX = 30_000

_GUARD = "ALTER TABLE ledger.reversals {} TRIGGER refuse_change"


class RebuildRefused(Exception):
    """The log or the head is damaged: no projection can be made of it. The message is a sentence.

    Nothing was changed.
    """


@dataclass(slots=True)
class Rebuilt:
    """What was replayed, which rows differ, or differed, and the epoch that a repair began."""

    ledger_id: int
    replay: Replay = field(default_factory=Replay)
    differences: Sequence[Difference] = ()
    epoch: int | None = None

    @property
    def entries(self) -> int:
        return self.replay.state.last_seq


async def look(
    connection: asyncpg.Connection,
    ledger_id: int,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Rebuilt:
    """Replay the log of one instant and return where its projections differ.

    `progress` is told how many entries are replayed, and how many there are.
    """
    rebuilt = Rebuilt(ledger_id)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await _catch_up(connection, rebuilt, progress)
        rebuilt.differences = [
            one async for one in differences(connection, ledger_id, rebuilt.replay)
        ]
    return rebuilt


async def repair(owner: asyncpg.Connection, rebuilt: Rebuilt) -> Rebuilt:
    """Replace every row that differs now, and return what `look` would have found.

    `owner` is a connection of the administrator, who may act as the owner of the tables. Raises
    RebuildRefused, and has changed nothing then.
    """
    ledger_id, store = rebuilt.ledger_id, EventStore(rebuilt.ledger_id)
    async with owner.transaction():
        await owner.execute(f"SET LOCAL lock_timeout = {HEAD_WAIT_MS_MAX}")
        await owner.execute(f"SET LOCAL ROLE {OWNER}")
        await store.read_head(owner, lock=True)
        after = Rebuilt(ledger_id, rebuilt.replay)
        await _catch_up(owner, after, lambda done, total: None)
        after.differences = [one async for one in differences(owner, ledger_id, after.replay)]
        if not after.differences:
            return after
        for projection in PROJECTIONS:
            differing = [one for one in after.differences if one.projection is projection]
            if differing:
                await _replace(owner, ledger_id, projection, differing)
        left = [str(one) async for one in differences(owner, ledger_id, after.replay)]
        assert not left, f"the repair did not reach {left[:3]}"
        await store.take_over(owner)
        after.epoch = (await store.read_head(owner, lock=True)).epoch
    return after


async def _catch_up(
    connection: asyncpg.Connection, rebuilt: Rebuilt, progress: Callable[[int, int], None]
) -> None:
    """Replay what is behind the last entry so far, up to the head."""
    replay = rebuilt.replay
    head = await EventStore(rebuilt.ledger_id).read_head(connection, lock=False)
    progress(rebuilt.entries, head.last_seq)
    async for page in entry_pages(
        connection, rebuilt.ledger_id, after_seq=rebuilt.entries, rows=ENTRIES_PER_READ
    ):
        if page.strays:
            raise _damaged(f"events of seq {page.strays[0]} belong to no entry")
        try:
            for entry in page.entries:
                follow(replay, entry)
        except DoesNotFollow as error:
            raise _damaged(str(error)) from None
        progress(rebuilt.entries, head.last_seq)
    last = replay.last
    end = Head(last.seq, last.entry_id, last.recorded_at, head.epoch) if last else None
    if head != (end or Head(0, None, None, head.epoch)):
        raise _damaged(
            f"the head says that it ends with seq {head.last_seq} at {head.last_recorded_at}, "
            f"the journal ends with seq {rebuilt.entries}"
        )


def _damaged(sentence: str) -> RebuildRefused:
    return RebuildRefused(
        f"The log itself is damaged: {sentence}. Projections are not made of it; "
        "`ledger verify` tells more."
    )


async def _replace(
    owner: asyncpg.Connection,
    ledger_id: int,
    projection: Projection,
    differing: Sequence[Difference],
) -> None:
    """Delete all rows that differ before any is written: two of them may have swapped a code."""
    stored = [one.key for one in differing if one.stored is not None]
    is_guarded = projection is REVERSALS and bool(stored)
    if is_guarded:
        await owner.execute(_GUARD.format("DISABLE"))
    if stored:
        found = " AND ".join(f"{key} = ${place}" for place, key in enumerate(projection.keys, 2))
        await owner.executemany(
            # names of tables and columns are this program's own
            f"DELETE FROM ledger.{projection.table} WHERE ledger_id = $1 AND {found}",  # noqa: S608
            [(ledger_id, *key) for key in stored],
        )
    if is_guarded:
        await owner.execute(_GUARD.format("ENABLE ALWAYS"))
    rows = [one.replayed for one in differing if one.replayed is not None]
    await insert_rows(owner, ledger_id, projection, rows)

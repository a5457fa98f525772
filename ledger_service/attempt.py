"""A batch of the queue on its way through the rules, before it is written."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger_service.domain.batch import Decided, Kept, Outcome, Posted, decide_group, expire_due
from ledger_service.domain.commands import Key
from ledger_service.event_store import CopyRows, EventStore, Head, is_large
from ledger_service.intake import Pending
from ledger_service.loading import Seen
from shared.errors import AppError
from shared.ids import new_id


@dataclass(frozen=True, slots=True)
class Attempt:
    """A batch, decided on top of `base` and not yet written."""

    base: Head
    decided: Decided
    outcomes: list[list[Outcome] | AppError]
    rows: CopyRows | None


async def decide_batch(
    store: EventStore,
    head: Head,
    seen: Seen,
    known: Mapping[bytes, Kept],
    batch: Sequence[Pending],
    recorded_at: datetime,
) -> Attempt:
    """Decide every group in its turn, folding what is accepted into the state that is `seen`.

    In a large batch others get their turn between two groups: what PostgreSQL says to the batch
    before must not wait until all of this one is decided.
    """
    decided = Decided(seen.state, recorded_at, known)
    expire_due(decided, ((hold, new_id()) for hold in seen.due))
    outcomes: list[list[Outcome] | AppError] = []
    for pending in batch:
        outcomes.append(decide_group(decided, pending.group))
        if is_large(decided):
            await asyncio.sleep(0)
    return Attempt(head, decided, outcomes, await store.encode(decided))


def keys_of(batch: Sequence[Pending]) -> Iterator[Key]:
    """Yield the keys of the batch, those of groups included."""
    for pending in batch:
        if pending.group.key is not None:
            yield pending.group.key
        for _, key in pending.group.asked:
            if key is not None:
                yield key


def rests_on_unseen_keys(
    pending: Pending, outcomes: list[Outcome] | AppError, kept: Mapping[bytes, Kept]
) -> bool:
    """Tell whether an atomic group was refused that may have been posted before.

    A refused one writes none of its items' keys, so the index of keys cannot be the judge.
    """
    if not pending.group.is_atomic or isinstance(outcomes, AppError):
        return False
    keys = [key for _, key in pending.group.asked if key is not None]
    return not isinstance(outcomes[0], Posted) and any(key.key_hash not in kept for key in keys)

"""Random histories of every command, written the way the service writes them."""

import random
from functools import cache
from hashlib import sha256

import asyncpg

from ledger_service.domain.batch import Decided, Declined, Posted
from ledger_service.domain.commands import Key
from ledger_service.domain.entries import Entry
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.state import State
from ledger_service.event_store import EventStore
from ledger_service.tables import MAIN_LEDGER_ID
from scripts.simulation.world import World


async def write_history(
    connection: asyncpg.Connection, seed: int, steps: int = 150, ledger_id: int = MAIN_LEDGER_ID
) -> int:
    """Write the accepted commands of a random world, some under keys; return how many they are."""
    entries, luck = _history(seed, steps), random.Random(seed)
    store, state, left = EventStore(ledger_id), State(last_seq=0), entries
    while left:
        many = luck.choice((1, 3, 20, 300))
        batch, left = left[:many], left[many:]
        recorded_at = batch[-1].recorded_at  # a batch has one
        decided = Decided(state, recorded_at, {})
        for one in batch:
            entry = one._replace(recorded_at=recorded_at)
            changes = decided.take(entry)
            if luck.random() < 0.5:
                decided.keep(_key(entry.seq), Posted(entry, changes.events))
        decided.keep(_key(-batch[0].seq), luck.choice((None, _REFUSED)))
        async with connection.transaction():
            head = await store.read_head(connection, lock=True)
            assert await store.write(connection, head, decided, await store.encode(decided))
        state = decided.state
    return len(entries)


@cache
def _history(seed: int, steps: int) -> list[Entry]:
    world = World(seed)
    for _ in range(steps):
        world.step()
    return world.entries


_REFUSED = Declined(Refused(Refusal.AMOUNT_MALFORMED, "amount 'é\x01' is no decimal", {"is": "é"}))


def _key(number: int) -> Key:
    return Key(sha256(f"{number}".encode()).digest()[:16], sha256(b"asked").digest()[:16])

"""Brings together the part of the books that a batch of commands can see."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from ledger_service.domain.batch import Decided
from ledger_service.domain.commands import Transfer
from ledger_service.domain.model import Hold
from ledger_service.domain.state import State
from ledger_service.event_store import Head
from ledger_service.intake import Pending
from ledger_service.memory import Memory
from ledger_service.state_reader import StateReader


class Seen(NamedTuple):
    """What a batch is decided on, and the holds that fall due before its first command."""

    state: State
    due: Sequence[Hold] = ()


class _Named(NamedTuple):
    """What the commands of a batch name; accounts may come more than once."""

    accounts: list[UUID]
    holds: set[UUID]
    transactions: set[UUID]
    codes: set[str]

    @property
    def is_plain(self) -> bool:
        """Tell whether nothing but accounts is named."""
        return not (self.holds or self.transactions or self.codes)


class Loader:
    """Takes what is remembered and reads the rest."""

    def __init__(self, reader: StateReader, memory: Memory) -> None:
        self._reader = reader
        self._memory = memory

    async def load(
        self,
        connection: asyncpg.Connection,
        head: Head,
        batch: Sequence[Pending],
        recorded_at: datetime,
    ) -> Seen:
        """Return what `batch` can see at `head`. Sound if the head is still there at the write."""
        memory, reader, named = self._memory, self._reader, _named_in(batch)
        if memory.standing is None:
            memory.standing = await reader.standing(connection)
        state = State(head.last_seq, periods=dict(memory.standing.periods))
        due: Sequence[Hold] = ()
        if memory.standing.is_due(recorded_at):
            due = await reader.due(connection, recorded_at)
            if not due:  # what was to fall due has ended before
                memory.standing = await reader.standing(connection)
            state.holds.update({hold.hold_id: hold for hold in due})
        if not named.is_plain:
            await self._load_named(connection, named, state)
        for hold in state.holds.values():
            named.accounts.extend((hold.source_account_id, hold.destination_account_id))
        state.accounts, missing = memory.recall(named.accounts)
        if missing:
            loaded = await reader.accounts(connection, set(missing))
            memory.accounts.update(loaded)
            state.accounts |= loaded
        return Seen(state, due)

    async def _load_named(
        self, connection: asyncpg.Connection, named: _Named, state: State
    ) -> None:
        reader = self._reader
        if named.holds:
            state.holds.update(await reader.holds(connection, named.holds))
        if named.transactions:
            found = await reader.originals(connection, named.transactions)
            state.originals, state.reversed = found
            for original in state.originals.values():
                named.accounts.extend(line.account_id for line in original.lines)
        if named.codes:
            state.codes = await reader.codes(connection, named.codes)

    def recall(
        self, head: Head, batch: Sequence[Pending], recorded_at: datetime, decided: Decided
    ) -> Seen | None:
        """Return what `batch` can see behind `decided`; None where that would have to be read."""
        memory, named = self._memory, _named_in(batch)
        if memory.standing is None or memory.standing.is_due(recorded_at) or not named.is_plain:
            return None
        accounts, missing = memory.recall(named.accounts, newer=decided.changed)
        if missing:
            return None
        return Seen(State(head.last_seq, accounts, periods=dict(memory.standing.periods)))


def _named_in(batch: Sequence[Pending]) -> _Named:
    named = _Named([], set(), set(), set())
    for pending in batch:
        for command, _ in pending.group.asked:
            if isinstance(command, Transfer) and not command.conditions:
                named.accounts.append(command.source_account_id)
                named.accounts.append(command.destination_account_id)
            else:
                accounts, holds, transactions, codes = command.needs
                named.accounts.extend(accounts)
                named.holds.update(holds)
                named.transactions.update(transactions)
                named.codes.update(codes)
    return named

"""Decides what was asked for together: each command in its turn, each with a verdict of its own."""

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

from ledger_service.domain.commands import Asked, Key
from ledger_service.domain.decide import decide
from ledger_service.domain.entries import AccountOpened, Entry, Event, Transferred
from ledger_service.domain.evolve import advance
from ledger_service.domain.model import Account, Hold, Period
from ledger_service.domain.refusals import Refused
from ledger_service.domain.rules.holds import expiry
from ledger_service.domain.state import Changes, State


class Posted(NamedTuple):
    """The command was accepted; `is_replayed` where its key had posted it before.

    `left` are the accounts that it changed, as it left them; only a dry run tells, for the log
    cannot tell again.
    """

    entry: Entry
    events: tuple[Event, ...]
    is_replayed: bool = False
    left: tuple[Account, ...] = ()


class Declined(NamedTuple):
    """The command was refused; `place` counts it in an atomic group, which it sinks."""

    refused: Refused
    is_replayed: bool = False
    place: int | None = None


class Reused(NamedTuple):
    """The key came with another request before; `is_group` where it is the group's own key."""

    place: int | None = None
    is_group: bool = False


Outcome = Posted | Declined | Reused


class Kept(NamedTuple):
    """The first outcome under a key, and None where the key stands for a whole group.

    The commands of a group have keys of their own, under which their outcomes are found.
    """

    key: Key
    outcome: Posted | Declined | None


class Group(NamedTuple):
    """Commands that came in one request; `is_atomic` where one refusal refuses them all.

    `is_dry` asks what would become of them: they are decided in their turn and then forgotten.
    """

    asked: Sequence[Asked]
    key: Key | None = None
    is_atomic: bool = False
    is_dry: bool = False


@dataclass(slots=True)
class Decided:
    """What is decided so far and not yet written, on top of `state` and the `known` keys."""

    state: State
    recorded_at: datetime
    known: Mapping[bytes, Kept]
    entries: list[Entry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    changed: dict[UUID, Account] = field(default_factory=dict)
    kept: dict[bytes, Kept] = field(default_factory=dict)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    periods: dict[UUID, Period] = field(default_factory=dict)
    is_plain: bool = True
    """Whether all entries transfer money or open accounts: these are written the short way."""
    is_dry: bool = False

    def find_kept(self, key: Key) -> Kept | None:
        return self.kept.get(key.key_hash) or self.known.get(key.key_hash)

    def keep(self, key: Key, outcome: Posted | Declined | None) -> None:
        self.kept[key.key_hash] = Kept(key, outcome)

    def fork(self) -> "Decided":
        """Return a copy to decide on further; `absorb` it, or forget it and nothing was done."""
        return Decided(
            self.state.fork(),
            self.recorded_at,
            ChainMap(self.kept, cast("dict[bytes, Kept]", self.known)),
            is_dry=self.is_dry,
        )

    def absorb(self, fork: "Decided") -> None:
        self.state = fork.state
        self.entries += fork.entries
        self.events += fork.events
        self.changed |= fork.changed
        self.kept |= fork.kept
        self.holds |= fork.holds
        self.periods |= fork.periods
        self.is_plain = self.is_plain and fork.is_plain

    def take(self, entry: Entry) -> Changes:
        """Fold an accepted entry."""
        changes = advance(self.state, entry)
        accounts, events, hold, period, _ = changes
        self.entries.append(entry)
        self.events.extend(events)
        for account in accounts:
            self.changed[account[0][0]] = account
        if hold is not None:
            self.holds[hold.hold_id] = hold
        if period is not None:
            self.periods[period.period_id] = period
        if not isinstance(entry.body, Transferred | AccountOpened):
            self.is_plain = False
        return changes


def expire_due(decided: Decided, due: Iterable[tuple[Hold, UUID]]) -> None:
    """End what is due by `recorded_at`, before any command; each hold has the id of its entry."""
    for hold, entry_id in due:
        decided.take(expiry(decided.state, hold, entry_id, decided.recorded_at))


def decide_group(decided: Decided, group: Group) -> list[Outcome]:
    """Return the outcome of each command of `group`, or of an atomic one that fails just the cause.

    `decided` grows by what is accepted. A key of the group itself is found again by the key and
    the fingerprint of the whole; the commands then are found by theirs.
    """
    if group.is_dry:
        plain = [asked._replace(key=None) for asked in group.asked]
        fork = decided.fork()
        fork.is_dry = True
        return decide_group(fork, Group(plain, is_atomic=group.is_atomic))
    first = None if group.key is None else decided.find_kept(group.key)
    if group.key is not None and first is not None:
        if first.key.fingerprint != group.key.fingerprint:
            return [Reused(is_group=True)]
        if isinstance(first.outcome, Declined):
            return [first.outcome._replace(is_replayed=True)]
    if group.is_atomic:
        return _decide_atomically(decided, group, is_first=first is None)
    if group.key is not None and first is None:
        decided.keep(group.key, None)
    return [_decide_one(decided, asked) for asked in group.asked]


def _decide_atomically(decided: Decided, group: Group, *, is_first: bool) -> list[Outcome]:
    fork = decided.fork()
    if group.key is not None and is_first:
        fork.keep(group.key, None)
    outcomes: list[Outcome] = []
    for place, asked in enumerate(group.asked):
        outcome = _decide_one(fork, asked)
        if not isinstance(outcome, Posted):
            cause = outcome._replace(place=place)
            if group.key is not None and is_first and isinstance(cause, Declined):
                decided.keep(group.key, cause._replace(is_replayed=False))
            return [cause]
        outcomes.append(outcome)
    decided.absorb(fork)
    return outcomes


def _decide_one(decided: Decided, asked: Asked) -> Outcome:
    command, key = asked
    if key is not None and (first := decided.find_kept(key)) is not None:
        if first.key.fingerprint != key.fingerprint or first.outcome is None:
            return Reused()
        return first.outcome._replace(is_replayed=True)
    verdict = decide(decided.state, command, decided.recorded_at)
    outcome: Posted | Declined
    if isinstance(verdict, Refused):
        outcome = Declined(verdict)
    else:
        changes = decided.take(verdict)
        outcome = Posted(verdict, changes.events)
        if decided.is_dry:
            outcome = outcome._replace(left=changes.accounts)
    if key is not None:
        decided.kept[key.key_hash] = Kept(key, outcome)
    return outcome

"""The part of the books that a decision can see, and what one entry changes in it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from ledger_service.domain.entries import EntryKind, Event, Line
from ledger_service.domain.model import Account, Hold, Period


class Original(NamedTuple):
    """A transaction as the log has it, for whoever wants to reverse it."""

    transaction_id: UUID
    kind: EntryKind
    effective_at: datetime
    lines: tuple[Line, ...]


@dataclass(slots=True)
class State:
    """The part of the books that a decision can see.

    The head, the accounts and holds that are named, what was `reversed` of each line of the
    transactions that are named, and all periods; and from the log the `originals` that a reversal
    names, and the accounts that have the `codes` that are named.
    """

    last_seq: int
    accounts: dict[UUID, Account] = field(default_factory=dict)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    reversed: dict[UUID, tuple[int, ...]] = field(default_factory=dict)
    periods: dict[UUID, Period] = field(default_factory=dict)
    codes: dict[str, UUID] = field(default_factory=dict)
    originals: dict[UUID, Original] = field(default_factory=dict)

    def fork(self) -> "State":
        """Return a copy to fold further."""
        return State(
            self.last_seq,
            dict(self.accounts),
            dict(self.holds),
            dict(self.reversed),
            dict(self.periods),
            dict(self.codes),
            dict(self.originals),
        )


class Changes(NamedTuple):
    """What one entry does to the books: what is different after it, and its events.

    `reversed` names a transaction and what is now reversed of each of its lines.
    """

    accounts: tuple[Account, ...]
    events: tuple[Event, ...] = ()
    hold: Hold | None = None
    period: Period | None = None
    reversed: tuple[UUID, tuple[int, ...]] | None = None

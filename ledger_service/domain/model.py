"""What the books are made of: accounts, entries of the journal, and their events.

Accounts, entries and events are named tuples: immutable, and made several times as fast as frozen
dataclasses, which counts where tens of thousands are made in a second. Where several are made for
each transfer, `made` skips the constructor that only gives names to positions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID


class Direction(StrEnum):
    """Which side of an account an event stands on; the amount itself is never signed."""

    DEBIT = "debit"
    CREDIT = "credit"


class EntryKind(StrEnum):
    """What an accepted command did."""

    ACCOUNT_OPENED = "account_opened"
    TRANSFER = "transfer"


class AccountType(StrEnum):
    """`internal` accounts are our own floats, funding and fees; `user` accounts are customers'."""

    INTERNAL = "internal"
    USER = "user"


made = tuple.__new__


class Leg(NamedTuple):
    """One side of a transaction: a positive amount in the account's minor units."""

    account_id: UUID
    direction: Direction
    amount_minor: int


class Account(NamedTuple):
    """One account of one currency with its running totals, in minor units.

    The balance is credits less debits: what we owe the holder. `floor_minor` is the lowest balance
    that a debit may leave (0: no overdraft, None: no floor). It and `scale` are fixed when the
    account is opened, so that no later setting changes what was decided.
    """

    account_id: UUID
    currency: str
    scale: int
    type: AccountType
    floor_minor: int | None
    debits_minor: int = 0
    credits_minor: int = 0
    position: int = 0

    @property
    def balance_minor(self) -> int:
        return self.credits_minor - self.debits_minor

    def shortfall_minor(self, debit_minor: int) -> int:
        """Return by how much a debit of `debit_minor` would fall below the floor, 0 if it fits."""
        if self.floor_minor is None:
            return 0
        return max(0, self.floor_minor - (self.balance_minor - debit_minor))

    def after(self, leg: Leg) -> "Account":
        """Return the account with `leg` counted."""
        debits_minor, credits_minor, position = self[5:]
        if leg.direction is Direction.DEBIT:
            debits_minor += leg.amount_minor
        else:
            credits_minor += leg.amount_minor
        return made(Account, (*self[:5], debits_minor, credits_minor, position + 1))


class AccountOpened(NamedTuple):
    """The facts of an account, fixed from its opening."""

    account_id: UUID
    currency: str
    scale: int
    type: AccountType
    floor_minor: int | None
    metadata: Mapping[str, Any]

    @property
    def kind(self) -> EntryKind:
        return EntryKind.ACCOUNT_OPENED

    @property
    def legs(self) -> tuple[Leg, ...]:
        return ()


class Transferred(NamedTuple):
    """Money that went from one account to another of the same currency."""

    source_account_id: UUID
    destination_account_id: UUID
    amount_minor: int
    currency: str
    scale: int
    metadata: Mapping[str, Any]

    @property
    def kind(self) -> EntryKind:
        return EntryKind.TRANSFER

    @property
    def legs(self) -> tuple[Leg, ...]:
        source_account_id, destination_account_id, amount_minor = self[:3]
        return (
            made(Leg, (source_account_id, Direction.DEBIT, amount_minor)),
            made(Leg, (destination_account_id, Direction.CREDIT, amount_minor)),
        )


Body = AccountOpened | Transferred
"""What an accepted command did, with all that the fold needs to know of it."""


class Entry(NamedTuple):
    """One accepted command in the journal.

    `entry_id` is also the transaction's id where the entry moves money.
    """

    seq: int
    entry_id: UUID
    effective_at: datetime
    recorded_at: datetime
    reference: str | None
    body: Body

    @property
    def kind(self) -> EntryKind:
        return self.body.kind


class Event(NamedTuple):
    """One debit or credit as recorded; `position` counts the account's events from 1."""

    seq: int
    line: int
    account_id: UUID
    transaction_id: UUID
    direction: Direction
    amount_minor: int
    balance_after_minor: int
    position: int


@dataclass(slots=True)
class State:
    """The part of the books that a decision can see: the head, and the accounts that it names."""

    last_seq: int
    accounts: dict[UUID, Account] = field(default_factory=dict)


class Changes(NamedTuple):
    """What one entry does to the books: the accounts as they are after it, and its events."""

    accounts: tuple[Account, ...]
    events: tuple[Event, ...] = ()

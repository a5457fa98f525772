"""What the books are made of: accounts, entries of the journal, and their events."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
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


@dataclass(frozen=True, slots=True)
class Account:
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

    def after(self, leg: "Leg") -> "Account":
        """Return the account with `leg` counted."""
        if leg.direction is Direction.DEBIT:
            return replace(
                self, debits_minor=self.debits_minor + leg.amount_minor, position=self.position + 1
            )
        return replace(
            self, credits_minor=self.credits_minor + leg.amount_minor, position=self.position + 1
        )


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of a transaction: a positive amount in the account's minor units."""

    account_id: UUID
    direction: Direction
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted command in the journal; `payload` holds all that the fold needs, as JSON.

    `entry_id` is also the transaction's id where the entry moves money.
    """

    seq: int
    entry_id: UUID
    kind: EntryKind
    effective_at: datetime
    recorded_at: datetime
    reference: str | None
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One debit or credit as recorded; `position` counts the account's events from 1."""

    seq: int
    line: int
    transaction_id: UUID
    account_id: UUID
    direction: Direction
    amount_minor: int
    balance_after_minor: int
    position: int


@dataclass(slots=True)
class State:
    """The part of the books that a decision can see: the head, and the accounts that it names."""

    last_seq: int
    accounts: dict[UUID, Account] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """What one entry does to the books: the accounts as they are after it, and its events."""

    accounts: tuple[Account, ...]
    events: tuple[Event, ...] = ()

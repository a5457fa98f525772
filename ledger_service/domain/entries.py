"""What the journal holds: the entries of all kinds, and the events that they make."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from ledger_service.domain.model import (
    AccountFacts,
    Direction,
    Hold,
    Leg,
    Period,
    PeriodStatus,
    made,
)


class EntryKind(StrEnum):
    """What an accepted command did."""

    ACCOUNT_OPENED = "account_opened"
    ACCOUNT_CHANGED = "account_changed"
    TRANSFER = "transfer"
    TRANSACTION = "transaction"
    EXCHANGE = "exchange"
    REVERSAL = "reversal"
    HOLD_PLACED = "hold_placed"
    HOLD_INCREASED = "hold_increased"
    HOLD_CAPTURED = "hold_captured"
    HOLD_RELEASED = "hold_released"
    HOLD_VOIDED = "hold_voided"
    HOLD_EXPIRED = "hold_expired"
    PERIOD_OPENED = "period_opened"
    PERIOD_CLOSED = "period_closed"
    PERIOD_REOPENED = "period_reopened"


MOVING_KINDS = (
    EntryKind.TRANSFER,
    EntryKind.TRANSACTION,
    EntryKind.EXCHANGE,
    EntryKind.REVERSAL,
    EntryKind.HOLD_CAPTURED,
)
"""Entries of these kinds are transactions: they have events."""


class Dating(NamedTuple):
    """How a closed period changed the effective time of a posting, or was warned of.

    `asked_at` is the effective time that was asked for, where another was given.
    """

    period_id: UUID
    status: PeriodStatus
    asked_at: datetime | None = None


class AccountOpened(NamedTuple):
    """The facts of a new account."""

    facts: AccountFacts
    metadata: Mapping[str, Any]

    @property
    def kind(self) -> EntryKind:
        return EntryKind.ACCOUNT_OPENED

    @property
    def legs(self) -> tuple[Leg, ...]:
        return ()


class AccountChanged(NamedTuple):
    """The facts of an account after a change; `metadata` None where it stays as it was."""

    facts: AccountFacts
    metadata: Mapping[str, Any] | None

    @property
    def kind(self) -> EntryKind:
        return EntryKind.ACCOUNT_CHANGED

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
    dating: Dating | None = None

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


class Line(NamedTuple):
    """A leg with the currency in which its account is kept."""

    account_id: UUID
    direction: Direction
    amount_minor: int
    currency: str
    scale: int


class Moved(NamedTuple):
    """What a transaction moved in one currency: the sum of its debits, or of its credits."""

    currency: str
    amount_minor: int
    scale: int


class Rate(NamedTuple):
    """At which rate one currency was exchanged for another, and who said so.

    `rate` is a decimal string: units of the bought currency for one of the sold. `rounding_minor`
    is what was bought above (below: negative) the exact product, rounded to its minor unit.
    """

    rate: str
    rate_source: str
    sold: Moved
    bought: Moved
    rounding_minor: int


class Reverses(NamedTuple):
    """Which transaction is reversed, and how much of each of its lines, by line from 1."""

    transaction_id: UUID
    amounts_minor: tuple[int, ...]


class Transacted(NamedTuple):
    """Any number of debits and credits, balanced in each currency; `kind` says what they are."""

    kind: EntryKind
    lines: tuple[Line, ...]
    moved: tuple[Moved, ...]
    metadata: Mapping[str, Any]
    is_adjusting: bool = False
    rate: Rate | None = None
    reverses: Reverses | None = None
    dating: Dating | None = None

    @property
    def legs(self) -> tuple[Leg, ...]:
        return tuple(Leg(*line[:3]) for line in self.lines)


class HoldMoved(NamedTuple):
    """A hold as it is after `kind` was done to it; `amount_minor` is what that was about."""

    kind: EntryKind
    hold: Hold
    amount_minor: int
    metadata: Mapping[str, Any]
    dating: Dating | None = None

    @property
    def legs(self) -> tuple[Leg, ...]:
        if self.kind is not EntryKind.HOLD_CAPTURED:
            return ()
        return (
            Leg(self.hold.source_account_id, Direction.DEBIT, self.amount_minor),
            Leg(self.hold.destination_account_id, Direction.CREDIT, self.amount_minor),
        )


class PeriodChanged(NamedTuple):
    """A period as it is after `kind` was done to it."""

    kind: EntryKind
    period: Period
    metadata: Mapping[str, Any]

    @property
    def legs(self) -> tuple[Leg, ...]:
        return ()


Body = AccountOpened | AccountChanged | Transferred | Transacted | HoldMoved | PeriodChanged
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

"""What callers ask for. Ids and known facts about currencies are filled in at the edge."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from ledger_service.domain.model import (
    Direction,
    Freeze,
    LatePolicy,
    LimitsOn,
    PeriodStatus,
)


class Needs(NamedTuple):
    """What of the books a command names, beside what every decision sees."""

    accounts: tuple[UUID, ...] = ()
    holds: tuple[UUID, ...] = ()
    transactions: tuple[UUID, ...] = ()
    codes: tuple[str, ...] = ()


class Condition(NamedTuple):
    """What must be true of an account, or the command is refused.

    `expected_position` is the number of its events before the command; `balance_min` a decimal
    string, below which its balance may not be after it.
    """

    account_id: UUID
    expected_position: int | None = None
    balance_min: str | None = None


class OpenAccount(NamedTuple):
    """Open an account; `scale` or `normal_side` is None where currency or type is not known.

    `overdraft_limit` is the decimal string by which the balance may go below zero; "0" for not at
    all, None for without a limit. `ceiling` is the highest balance. Both count on the normal side.
    """

    account_id: UUID
    currency: str
    scale: int | None
    type: str
    overdraft_limit: str | None
    metadata: Mapping[str, Any]
    normal_side: Direction | None = Direction.CREDIT
    ceiling: str | None = None
    limits_on: LimitsOn = LimitsOn.AVAILABLE
    code: str | None = None

    @property
    def needs(self) -> Needs:
        return Needs(codes=() if self.code is None else (self.code,))


class ChangeAccount(NamedTuple):
    """Change what is given of an account; None leaves it as it is.

    `limits` are the floor and the ceiling as decimal strings on the normal side, each None for
    none; `expected_version` is the version that the caller has seen.
    """

    entry_id: UUID
    account_id: UUID
    expected_version: int | None
    limits: "Limits | None" = None
    freeze: Freeze | None = None
    is_closed: bool | None = None
    code: str | None = None
    metadata: Mapping[str, Any] | None = None

    @property
    def needs(self) -> Needs:
        return Needs((self.account_id,), codes=() if self.code is None else (self.code,))


class Limits(NamedTuple):
    """Bounds of a balance, decimal strings on the account's normal side; None for none."""

    floor: str | None
    ceiling: str | None
    on: LimitsOn = LimitsOn.AVAILABLE


class Transfer(NamedTuple):
    """Move `amount` from one account to another; `amount` is a decimal string as it was sent.

    `effective_at` None means the moment of recording.
    """

    transaction_id: UUID
    source_account_id: UUID
    destination_account_id: UUID
    amount: str
    currency: str
    currency_known: bool
    reference: str | None
    effective_at: datetime | None
    metadata: Mapping[str, Any]
    conditions: tuple[Condition, ...] = ()

    @property
    def account_ids(self) -> tuple[UUID, UUID]:
        return self.source_account_id, self.destination_account_id

    @property
    def needs(self) -> Needs:
        return Needs(self.account_ids + tuple(one.account_id for one in self.conditions))


class PartAsked(NamedTuple):
    """One debit or credit that is asked for: an amount, or a share of what is left to divide.

    Parts with a `share` (a positive integer) divide, in proportion, what the other side of their
    currency has more than the parts of their own side with amounts.
    """

    account_id: UUID
    direction: Direction
    amount: str | None
    share: int | None = None


class Transact(NamedTuple):
    """Post any number of debits and credits that balance in each currency."""

    transaction_id: UUID
    parts: tuple[PartAsked, ...]
    reference: str | None
    effective_at: datetime | None
    metadata: Mapping[str, Any]
    is_adjusting: bool = False
    conditions: tuple[Condition, ...] = ()

    @property
    def needs(self) -> Needs:
        parts = (one.account_id for one in self.parts)
        return Needs((*parts, *(one.account_id for one in self.conditions)))


class Exchange(NamedTuple):
    """Sell an amount of one currency for one of another, through exchange accounts.

    `bought` None means the exact product of `sold` and `rate`, rounded half to even. What `bought`
    differs from that goes to or comes from the rounding account, in the bought currency.
    """

    transaction_id: UUID
    source_account_id: UUID
    destination_account_id: UUID
    sold_exchange_account_id: UUID
    bought_exchange_account_id: UUID
    rounding_account_id: UUID | None
    sold: str
    bought: str | None
    rate: str
    rate_source: str
    reference: str | None
    effective_at: datetime | None
    metadata: Mapping[str, Any]
    conditions: tuple[Condition, ...] = ()

    @property
    def needs(self) -> Needs:
        named = (
            self.source_account_id,
            self.destination_account_id,
            self.sold_exchange_account_id,
            self.bought_exchange_account_id,
            self.rounding_account_id,
            *(one.account_id for one in self.conditions),
        )
        return Needs(tuple(one for one in named if one is not None))


class LineAsked(NamedTuple):
    """How much of one line of a transaction is to be reversed; lines count from 1."""

    line: int
    amount: str


class Reverse(NamedTuple):
    """Reverse what is left of a transaction, or `amount` of one that has two lines, or `lines`."""

    transaction_id: UUID
    original_id: UUID
    amount: str | None
    lines: tuple[LineAsked, ...]
    reference: str | None
    effective_at: datetime | None
    metadata: Mapping[str, Any]

    @property
    def needs(self) -> Needs:
        return Needs(transactions=(self.original_id,))


class PlaceHold(NamedTuple):
    """Keep `amount` of the source for the destination, until it is captured, voided or expired.

    `over_capture` is the decimal string that may be captured beyond `amount`.
    """

    hold_id: UUID
    source_account_id: UUID
    destination_account_id: UUID
    amount: str
    currency: str
    currency_known: bool
    over_capture: str
    expires_at: datetime | None
    reference: str | None
    metadata: Mapping[str, Any]
    conditions: tuple[Condition, ...] = ()

    @property
    def needs(self) -> Needs:
        named = [one.account_id for one in self.conditions]
        return Needs((self.source_account_id, self.destination_account_id, *named))


class IncreaseHold(NamedTuple):
    """Keep `amount` more, and until `expires_at` if that is given."""

    entry_id: UUID
    hold_id: UUID
    amount: str
    expires_at: datetime | None
    metadata: Mapping[str, Any]

    @property
    def needs(self) -> Needs:
        return Needs(holds=(self.hold_id,))


class CaptureHold(NamedTuple):
    """Move `amount` of a hold, None for all that is left of it; `is_final` gives back the rest."""

    transaction_id: UUID
    hold_id: UUID
    amount: str | None
    is_final: bool
    reference: str | None
    effective_at: datetime | None
    metadata: Mapping[str, Any]

    @property
    def needs(self) -> Needs:
        return Needs(holds=(self.hold_id,))


class ReleaseHold(NamedTuple):
    """Give back `amount` of what a hold keeps, None for all of it, which voids the hold."""

    entry_id: UUID
    hold_id: UUID
    amount: str | None
    metadata: Mapping[str, Any]

    @property
    def needs(self) -> Needs:
        return Needs(holds=(self.hold_id,))


class OpenPeriod(NamedTuple):
    """Name a stretch of effective time, `starts_at` inclusive, `ends_at` exclusive."""

    period_id: UUID
    name: str
    starts_at: datetime
    ends_at: datetime
    metadata: Mapping[str, Any]

    @property
    def needs(self) -> Needs:
        return Needs()


class ClosePeriod(NamedTuple):
    """Close a period softly or hard, or open one again that is closed softly."""

    entry_id: UUID
    period_id: UUID
    status: PeriodStatus
    late: LatePolicy
    metadata: Mapping[str, Any]

    @property
    def needs(self) -> Needs:
        return Needs()


Command = (
    OpenAccount
    | ChangeAccount
    | Transfer
    | Transact
    | Exchange
    | Reverse
    | PlaceHold
    | IncreaseHold
    | CaptureHold
    | ReleaseHold
    | OpenPeriod
    | ClosePeriod
)


class Key(NamedTuple):
    """A client's Idempotency-Key, and the fingerprint of the request that it came with.

    Both are the first 16 bytes of a SHA-256: short keys keep the index small, and a collision in
    128 bits is not to be expected in the life of a ledger.
    """

    key_hash: bytes
    fingerprint: bytes


class Asked(NamedTuple):
    """A command with its key, if the caller gave one."""

    command: Command
    key: Key | None

"""What the books are made of: accounts, legs, holds and periods.

These and the entries and events of the journal are named tuples: immutable, and made several times
as fast as frozen dataclasses, which counts where tens of thousands are made in a second. Where
several are made for each transfer, `made` skips the constructor that only gives names to positions.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class Direction(StrEnum):
    """Which side of an account an event stands on; the amount itself is never signed."""

    DEBIT = "debit"
    CREDIT = "credit"


class AccountType(StrEnum):
    """The types that every ledger knows; settings may declare more, each with its normal side.

    `internal` accounts are our own floats, funding and fees; `user` accounts are customers'.
    """

    INTERNAL = "internal"
    USER = "user"
    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    INCOME = "income"
    EXPENSE = "expense"


NORMAL_SIDES: Mapping[str, Direction] = {
    AccountType.INTERNAL: Direction.CREDIT,
    AccountType.USER: Direction.CREDIT,
    AccountType.ASSET: Direction.DEBIT,
    AccountType.LIABILITY: Direction.CREDIT,
    AccountType.EQUITY: Direction.CREDIT,
    AccountType.INCOME: Direction.CREDIT,
    AccountType.EXPENSE: Direction.DEBIT,
}
"""On which side a balance of each type is shown as positive."""


class Freeze(StrEnum):
    """Which events an account does not take for now."""

    NONE = "none"
    DEBITS = "debits"
    CREDITS = "credits"
    ALL = "all"


class LimitsOn(StrEnum):
    """What floor and ceiling bound: what is posted, or that with all holds counted against it."""

    AVAILABLE = "available"
    POSTED = "posted"


made = tuple.__new__


class Leg(NamedTuple):
    """One side of a transaction: a positive amount in the account's minor units."""

    account_id: UUID
    direction: Direction
    amount_minor: int


class AccountFacts(NamedTuple):
    """What an account is, apart from what is on it; `version` counts the changes, from 1.

    `floor_minor` and `ceiling_minor` bound credits less debits, whatever the normal side: a debit
    may not leave less than the floor, a credit not more than the ceiling (0 for a floor: no
    overdraft; None: no bound). They and `scale` are facts of the entries that set them, so that no
    later setting changes what was decided.
    """

    account_id: UUID
    currency: str
    scale: int
    type: str
    normal_side: Direction = Direction.CREDIT
    floor_minor: int | None = None
    ceiling_minor: int | None = None
    limits_on: LimitsOn = LimitsOn.AVAILABLE
    frozen: Freeze = Freeze.NONE
    is_closed: bool = False
    code: str | None = None
    version: int = 1

    @property
    def status(self) -> str:
        return "closed" if self.is_closed else "open"

    @property
    def takes_all(self) -> bool:
        return self.frozen is Freeze.NONE and not self.is_closed


class Account(NamedTuple):
    """One account of one currency with its running totals, in minor units.

    The balance is credits less debits: what we owe the holder. `held_debits_minor` is what open
    holds may still take from the account, `held_credits_minor` what they may still bring.
    """

    facts: AccountFacts
    debits_minor: int = 0
    credits_minor: int = 0
    position: int = 0
    held_debits_minor: int = 0
    held_credits_minor: int = 0

    @property
    def account_id(self) -> UUID:
        return self.facts.account_id

    @property
    def currency(self) -> str:
        return self.facts.currency

    @property
    def scale(self) -> int:
        return self.facts.scale

    @property
    def balance_minor(self) -> int:
        return self.credits_minor - self.debits_minor

    @property
    def lowest_minor(self) -> int:
        """What the floor bounds: the balance, or what would be left if all holds were captured."""
        if self.facts.limits_on is LimitsOn.POSTED:
            return self.balance_minor
        return self.balance_minor - self.held_debits_minor

    @property
    def highest_minor(self) -> int:
        """What the ceiling bounds: the balance, or that with all that holds may bring."""
        if self.facts.limits_on is LimitsOn.POSTED:
            return self.balance_minor
        return self.balance_minor + self.held_credits_minor

    def after(self, leg: Leg) -> "Account":
        """Return the account with `leg` counted."""
        facts, debits_minor, credits_minor, position, held_debits, held_credits = self
        if leg.direction is Direction.DEBIT:
            debits_minor += leg.amount_minor
        else:
            credits_minor += leg.amount_minor
        return made(
            Account, (facts, debits_minor, credits_minor, position + 1, held_debits, held_credits)
        )


class HoldStatus(StrEnum):
    """`open` until nothing of it is left to capture, or it is given up, or its time is over."""

    OPEN = "open"
    CAPTURED = "captured"
    VOIDED = "voided"
    EXPIRED = "expired"


class Hold(NamedTuple):
    """Money of the source that is kept for the destination, in minor units.

    `amount_minor` is all that was ever authorised; up to `over_capture_minor` may be captured
    beyond it. `released_minor` was given back while the hold stayed open, or when it ended.
    """

    hold_id: UUID
    source_account_id: UUID
    destination_account_id: UUID
    currency: str
    scale: int
    amount_minor: int
    captured_minor: int
    released_minor: int
    over_capture_minor: int
    expires_at: datetime | None
    status: HoldStatus

    @property
    def remaining_minor(self) -> int:
        """What the hold keeps: 0 once it is not open."""
        if self.status is not HoldStatus.OPEN:
            return 0
        return max(0, self.amount_minor - self.captured_minor - self.released_minor)

    def is_due(self, instant: datetime) -> bool:
        """Tell whether it is open though its time was over at `instant`."""
        return (
            self.status is HoldStatus.OPEN
            and self.expires_at is not None
            and self.expires_at <= instant
        )


class PeriodStatus(StrEnum):
    """`soft`: postings that count in it are accepted and say so; `hard`: they are not."""

    OPEN = "open"
    SOFT = "soft"
    HARD = "hard"


class LatePolicy(StrEnum):
    """What becomes of a posting that would count in a period that is closed hard."""

    REFUSE = "refuse"
    NEXT_OPEN_DAY = "next_open_day"


class Period(NamedTuple):
    """A stretch of effective time, `starts_at` inclusive, `ends_at` exclusive."""

    period_id: UUID
    name: str
    starts_at: datetime
    ends_at: datetime
    status: PeriodStatus = PeriodStatus.OPEN
    late: LatePolicy = LatePolicy.REFUSE

    def holds(self, instant: datetime) -> bool:
        return self.starts_at <= instant < self.ends_at

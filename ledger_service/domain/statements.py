"""A statement of account: what was on it, each movement with the balance after it, what is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ledger_service.domain.model import Direction


@dataclass(frozen=True, slots=True)
class AccountShown:
    """What a report says of an account; `name` is `metadata.name`, if that is a text."""

    account_id: UUID
    name: str | None
    code: str | None
    type: str
    currency: str
    scale: int
    normal_side: Direction

    @property
    def sign(self) -> int:
        """By what to multiply credits less debits to see them on the normal side."""
        return -1 if self.normal_side is Direction.DEBIT else 1


@dataclass(frozen=True, slots=True)
class Movement:
    """A debit or credit as a statement shows it; `amount_minor` is positive.

    `counterparty` is who the transaction says, else the name of the only other account.
    """

    seq: int
    line: int
    transaction_id: UUID
    kind: str
    effective_at: datetime
    recorded_at: datetime
    direction: Direction
    amount_minor: int
    reference: str | None
    description: str | None
    counterparty: str | None
    counter_account_id: UUID | None
    is_adjusting: bool

    @property
    def is_late(self) -> bool:
        """Tell whether it counts on an earlier day (UTC) than it was recorded on."""
        return self.effective_at.date() < self.recorded_at.date()


@dataclass(frozen=True, slots=True)
class Statement:
    """The movements of an account that count from `from_at` (inclusive) to `to_at` (exclusive).

    As recorded up to `seq`, in the order in which they count. None leaves a bound open. Balances
    are on the account's normal side.
    """

    ledger: str
    account: AccountShown
    seq: int
    recorded_at: datetime | None
    from_at: datetime | None
    to_at: datetime | None
    opening_minor: int
    movements: Sequence[Movement]

    @property
    def debits_minor(self) -> int:
        return sum(one.amount_minor for one in self.movements if one.direction is Direction.DEBIT)

    @property
    def credits_minor(self) -> int:
        return sum(one.amount_minor for one in self.movements if one.direction is Direction.CREDIT)

    @property
    def closing_minor(self) -> int:
        net_minor = self.credits_minor - self.debits_minor
        return self.opening_minor + self.account.sign * net_minor

    def balances_minor(self) -> list[int]:
        """Return the balance after each movement."""
        balance_minor, found = self.opening_minor, []
        for one in self.movements:
            more_minor = one.amount_minor * self.account.sign
            balance_minor += more_minor if one.direction is Direction.CREDIT else -more_minor
            found.append(balance_minor)
        return found

"""What the books must do, said again in the plainest way: numbers in dictionaries, no history.

It shares nothing with the rules but the commands' names, so that a mistake in one is no mistake in
the other. Amounts are minor units; balances are credits less debits.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from ledger_service.domain import commands as asked
from ledger_service.domain.model import Direction, Freeze, LatePolicy, LimitsOn, PeriodStatus

SCALES = {"USD": 2, "EUR": 2, "JPY": 0}
_BLOCKED = {
    Direction.DEBIT: (Freeze.DEBITS, Freeze.ALL),
    Direction.CREDIT: (Freeze.CREDITS, Freeze.ALL),
}
Change = tuple[UUID, Direction, int]


@dataclass(slots=True)
class Held:
    """A hold in the model."""

    source: UUID
    destination: UUID
    keeps: int
    over: int
    expires_at: datetime | None
    is_open: bool = True


@dataclass(slots=True)
class Stretch:
    """A period in the model."""

    starts_at: datetime
    ends_at: datetime
    status: PeriodStatus = PeriodStatus.OPEN
    late: LatePolicy = LatePolicy.REFUSE


@dataclass(slots=True)
class Book:
    """An account in the model."""

    currency: str
    sign: int
    floor: int | None
    ceiling: int | None
    on: LimitsOn
    frozen: Freeze = Freeze.NONE
    is_closed: bool = False
    code: str | None = None
    version: int = 1
    balance: int = 0
    events: int = 0
    out: int = 0
    coming: int = 0

    def bounded(self) -> tuple[int, int]:
        """What floor and ceiling are about."""
        if self.on is LimitsOn.POSTED:
            return self.balance, self.balance
        return self.balance - self.out, self.balance + self.coming

    def minor(self, amount: str) -> int | None:
        """An amount in minor units, None where it has too many decimals."""
        value = Decimal(amount).scaleb(SCALES[self.currency])
        return int(value) if value == int(value) else None


@dataclass(slots=True)
class Posted:
    """A transaction in the model: its lines, and what is reversed of each."""

    lines: list[Change]
    reversed: list[int]
    is_reversal: bool
    counts_at: datetime


@dataclass(slots=True)
class Postings:
    """The books as they should be, and what every command does with them."""

    accounts: dict[UUID, Book] = field(default_factory=dict)
    holds: dict[UUID, Held] = field(default_factory=dict)
    posted: dict[UUID, Posted] = field(default_factory=dict)
    periods: dict[UUID, Stretch] = field(default_factory=dict)

    def _pair(
        self, source: UUID, destination: UUID, amount: str, currency: str
    ) -> list[Change] | None:
        if source == destination or not {source, destination} <= self.accounts.keys():
            return None
        first, second = self.accounts[source], self.accounts[destination]
        if not currency == first.currency == second.currency:
            return None
        minor = first.minor(amount)
        if minor is None or minor <= 0:
            return None
        return [(source, Direction.DEBIT, minor), (destination, Direction.CREDIT, minor)]

    def _divided(self, parts: tuple[asked.PartAsked, ...]) -> list[Change] | None:
        if any(part.account_id not in self.accounts for part in parts):
            return None
        minors: list[int | None] = []
        for part in parts:
            book = self.accounts[part.account_id]
            minor = None if part.amount is None else book.minor(part.amount)
            if part.amount is not None and (minor is None or minor <= 0):
                return None
            minors.append(minor)
        for currency in SCALES:
            for side in Direction:
                sharing = [
                    place
                    for place, part in enumerate(parts)
                    if part.share is not None
                    and part.direction is side
                    and self.accounts[part.account_id].currency == currency
                ]
                if sharing and not self._share(parts, minors, sharing, currency, side):
                    return None
        return [
            (part.account_id, part.direction, minor or 0)
            for part, minor in zip(parts, minors, strict=True)
        ]

    def _share(
        self,
        parts: tuple[asked.PartAsked, ...],
        minors: list[int | None],
        sharing: list[int],
        currency: str,
        side: Direction,
    ) -> bool:
        rest = 0
        for part, minor in zip(parts, minors, strict=True):
            if self.accounts[part.account_id].currency != currency:
                continue
            if part.direction is not side and minor is None:
                return False
            rest += (minor or 0) * (-1 if part.direction is side else 1)
        shares = [parts[place].share or 0 for place in sharing]
        total = sum(shares)
        got = [rest * share // total for share in shares]
        rests = sorted(range(len(shares)), key=lambda one: (-(rest * shares[one] % total), one))
        for one in rests[: rest - sum(got)]:
            got[one] += 1
        for place, minor in zip(sharing, got, strict=True):
            minors[place] = minor
        return min(got) > 0

    def _balances(self, legs: list[Change]) -> bool:
        sums: dict[str, int] = {}
        for account, side, minor in legs:
            currency = self.accounts[account].currency
            sums[currency] = sums.get(currency, 0) + (minor if side is Direction.CREDIT else -minor)
        return not any(sums.values())

    def _meets(self, conditions: tuple[asked.Condition, ...], legs: list[Change]) -> bool:
        for one in conditions:
            book = self.accounts.get(one.account_id)
            if book is None or one.expected_position not in (None, book.events):
                return False
            if one.balance_min is not None:
                after = book.balance + sum(
                    minor if side is Direction.CREDIT else -minor
                    for account, side, minor in legs
                    if account == one.account_id
                )
                wanted = book.minor(one.balance_min)
                if wanted is None or book.sign * after < wanted:
                    return False
        return True

    def _takes(self, legs: list[Change]) -> bool:
        books = [(self.accounts[account], side) for account, side, _ in legs]
        return not any(one.is_closed or one.frozen in _BLOCKED[side] for one, side in books)

    def _post(
        self,
        transaction_id: UUID,
        legs: list[Change],
        counts_at: datetime,
        *,
        is_reversal: bool = False,
        hold: Held | None = None,
        left: int = 0,
    ) -> bool:
        if not self._takes(legs):
            return False
        touched = {account: self.accounts[account].bounded() for account, _, _ in legs}
        kept = 0 if hold is None else hold.keeps
        if hold is not None:
            self._keep(hold, left)
        self._move(legs, 1)
        if not all(self._fits(account, before) for account, before in touched.items()):
            self._move(legs, -1)
            if hold is not None:
                self._keep(hold, kept)
            return False
        for account, _, _ in legs:
            self.accounts[account].events += 1
        self.posted[transaction_id] = Posted(legs, [0] * len(legs), is_reversal, counts_at)
        return True

    def _move(self, legs: list[Change], times: int) -> None:
        for account, side, minor in legs:
            self.accounts[account].balance += times * (
                minor if side is Direction.CREDIT else -minor
            )

    def _fits(self, account: UUID, before: tuple[int, int]) -> bool:
        book = self.accounts[account]
        low, high = book.bounded()
        if book.floor is not None and low < min(book.floor, before[0]):
            return False
        return book.ceiling is None or high <= max(book.ceiling, before[1])

    def _keeps(self, hold: Held, minor: int) -> bool:
        """Keep `minor` if both accounts allow it."""
        ends = {one: self.accounts[one].bounded() for one in (hold.source, hold.destination)}
        kept = hold.keeps
        self._keep(hold, minor)
        if all(self._fits(account, before) for account, before in ends.items()):
            return True
        self._keep(hold, kept)
        return False

    def _keep(self, hold: Held, minor: int) -> None:
        self.accounts[hold.source].out += minor - hold.keeps
        self.accounts[hold.destination].coming += minor - hold.keeps
        hold.keeps = minor

    def _counts(
        self, effective_at: datetime | None, now: datetime, *, is_adjusting: bool = False
    ) -> datetime | None:
        """When a posting counts, None where it may not."""
        if effective_at is None:
            return now
        if effective_at > now:
            return None
        late = True
        for one in sorted(self.periods.values(), key=lambda one: one.starts_at):
            is_closed = one.status is PeriodStatus.HARD or (
                one.status is PeriodStatus.SOFT and not late
            )
            if is_closed and one.starts_at <= effective_at < one.ends_at:
                if is_adjusting or (late and one.late is LatePolicy.REFUSE):
                    return None
                day = one.ends_at.replace(hour=0, minute=0, second=0, microsecond=0)
                effective_at = day if day == one.ends_at else day + timedelta(days=1)
                late = False
        return min(effective_at, now)

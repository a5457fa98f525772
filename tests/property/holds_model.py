"""A model of holds that knows nothing but sums: what must be accepted, and why else not."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ledger_service.domain.commands import (
    CaptureHold,
    Command,
    IncreaseHold,
    PlaceHold,
    ReleaseHold,
    Transfer,
)
from ledger_service.domain.refusals import Refusal
from shared.money import format_minor

CARD, PURSE, SHOP, FLOAT = (UUID(int=number) for number in range(1, 5))
FLOORS = {CARD: -5_000, PURSE: 0, SHOP: 0, FLOAT: None}
CEILINGS = {CARD: None, PURSE: 15_000, SHOP: None, FLOAT: None}


@dataclass
class Kept:
    """A hold in the model."""

    source: UUID
    destination: UUID
    keeps: int
    over: int
    expires_at: datetime | None
    captured: int = 0
    given_back: int = 0
    status: str = "open"

    def end(self, status: str) -> None:
        self.given_back += self.keeps
        self.keeps, self.status = 0, status


class Model:
    """Balances and holds; what accounts count as held is added up anew each time."""

    def __init__(self) -> None:
        self.balances = dict.fromkeys(FLOORS, 0)
        self.holds: dict[UUID, Kept] = {}

    def out(self, account_id: UUID) -> int:
        return sum(one.keeps for one in self.holds.values() if one.source == account_id)

    def coming(self, account_id: UUID) -> int:
        return sum(one.keeps for one in self.holds.values() if one.destination == account_id)

    def expire(self, now: datetime) -> None:
        for hold in self.holds.values():
            if hold.status == "open" and hold.expires_at is not None and hold.expires_at <= now:
                hold.end("expired")

    def can_pay(self, account_id: UUID, floor: int) -> int:
        return self.balances[account_id] - self.out(account_id) - floor

    def lacks(self, source: UUID, destination: UUID, more: int) -> Refusal | None:
        """Tell why `more` can be neither kept nor paid."""
        floor, ceiling = FLOORS[source], CEILINGS[destination]
        if more <= 0:
            return None
        if floor is not None and more > self.can_pay(source, floor):
            return Refusal.INSUFFICIENT_FUNDS
        there = self.balances[destination] + self.coming(destination)
        if ceiling is not None and there + more > ceiling:
            return Refusal.ABOVE_CEILING
        return None

    def do(self, command: Command, now: datetime) -> Refusal | None:
        """Do the command, or return why it must be refused."""
        if isinstance(command, Transfer):
            return self._transfer(command)
        if isinstance(command, PlaceHold):
            return self._place(command, now)
        assert isinstance(command, IncreaseHold | CaptureHold | ReleaseHold)
        hold = self.holds.get(command.hold_id)
        if hold is None:
            return Refusal.UNKNOWN_HOLD
        if hold.status != "open":
            expired = hold.status == "expired"
            return Refusal.HOLD_EXPIRED if expired else Refusal.HOLD_NOT_OPEN
        minor = hold.keeps if command.amount is None else minor_of(command.amount)
        if minor == 0:
            return Refusal.AMOUNT_NOT_POSITIVE
        if isinstance(command, IncreaseHold):
            return self._increase(hold, minor, command.expires_at, now)
        if isinstance(command, CaptureHold):
            return self._capture(hold, minor, is_final=command.is_final)
        if minor > hold.keeps:
            return Refusal.HOLD_EXCEEDED
        hold.keeps -= minor
        hold.given_back += minor
        if hold.keeps == 0:
            hold.status = "voided"
        return None

    def _transfer(self, command: Transfer) -> Refusal | None:
        source, destination = command.account_ids
        minor = minor_of(command.amount)
        if source == destination:
            return Refusal.SAME_ACCOUNT
        if minor == 0:
            return Refusal.AMOUNT_NOT_POSITIVE
        if refusal := self.lacks(source, destination, minor):
            return refusal
        self._move(source, destination, minor)
        return None

    def _place(self, command: PlaceHold, now: datetime) -> Refusal | None:
        source, destination = command.source_account_id, command.destination_account_id
        minor = minor_of(command.amount)
        if source == destination:
            return Refusal.SAME_ACCOUNT
        if minor == 0:
            return Refusal.AMOUNT_NOT_POSITIVE
        if command.expires_at is not None and command.expires_at <= now:
            return Refusal.EXPIRY_NOT_IN_FUTURE
        if refusal := self.lacks(source, destination, minor):
            return refusal
        over = minor_of(command.over_capture)
        self.holds[command.hold_id] = Kept(source, destination, minor, over, command.expires_at)
        return None

    def _increase(
        self, hold: Kept, minor: int, expires_at: datetime | None, now: datetime
    ) -> Refusal | None:
        if expires_at is not None:
            if expires_at <= now:
                return Refusal.EXPIRY_NOT_IN_FUTURE
            if hold.expires_at is None or expires_at < hold.expires_at:
                return Refusal.EXPIRY_EARLIER
        if refusal := self.lacks(hold.source, hold.destination, minor):
            return refusal
        hold.keeps += minor
        hold.expires_at = expires_at or hold.expires_at
        return None

    def _capture(self, hold: Kept, minor: int, *, is_final: bool) -> Refusal | None:
        if minor > hold.keeps + hold.over:
            return Refusal.HOLD_EXCEEDED
        if refusal := self.lacks(hold.source, hold.destination, minor - hold.keeps):
            return refusal
        hold.keeps = max(0, hold.keeps - minor)
        hold.captured += minor
        self._move(hold.source, hold.destination, minor)
        if is_final or hold.keeps == 0:
            hold.end("captured")
        return None

    def _move(self, source: UUID, destination: UUID, minor: int) -> None:
        self.balances[source] -= minor
        self.balances[destination] += minor


def part_of(whole: int, part: str, over: int = 500) -> int:
    return {
        "nothing": 0,
        "one": 1,
        "some": 1_234,
        "half": whole // 2,
        "all": whole,
        "one more": whole + 1,
        "over": whole + over,
        "over more": whole + over + 1,
    }[part]


def text_of(minor: int) -> str:
    return format_minor(minor, 2)


def minor_of(text: str) -> int:
    return int(text.replace(".", ""))

"""What happens in the business: the payments that both sides will tell about, each in its way."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from scripts.bench.matching.parties import Parties, Party, scale_of, some_amount
from scripts.bench.matching.scenarios import Scenario

FIRST_DAY = date(2024, 1, 8)
# TARGET is closed on these days beside the weekend; the bank posts nothing.
_CLOSED = (
    "2024-01-01 2024-03-29 2024-04-01 2024-05-01 2024-12-25 2024-12-26 2025-01-01 2025-04-18"
    " 2025-04-21 2025-05-01 2025-12-25 2025-12-26 2026-01-01"
)
HOLIDAYS = frozenset(date.fromisoformat(text) for text in _CLOSED.split())


@dataclass(frozen=True, slots=True)
class Payment:
    """Money between us and a party as our books know it; positive arrives."""

    party: Party
    amount_minor: int
    at: datetime
    reference: str | None
    memo: str
    number: str | None = None  # a contract's number, the same each time

    @property
    def on(self) -> date:
        """Return the booking day."""
        return self.at.date()


class References:
    """Our own numbering: one or two series, gapless or nearly so, as books have it."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._next = random.randrange(1_000, 60_000)
        self._styles = random.sample(range(8), 2)
        self.given: list[str] = []

    def next(self, on: date) -> str:
        """Return the next reference."""
        self._next += self._random.choice((1, 1, 1, 2, 3))
        style = self._styles[0] if self._random.random() < 0.8 else self._styles[1]
        reference = _written(style, self._next, on, self._random)
        self.given.append(reference)
        return reference


def _written(style: int, number: int, on: date, random: Random) -> str:
    if style == 6:  # ISO 11649, with check digits
        body = f"{on:%y}{number:08d}"
        return f"RF{98 - int(body + '271500') % 97:02d}{body}"
    if style == 7:  # what shops make up
        letters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
        return "ORD-" + "".join(random.choice(letters) for _ in range(9))
    return (
        f"INV-{on:%Y}-{number:06d}",
        f"RE{number:07d}",
        f"SO-{number}",
        f"{number:010d}",
        f"PAY/{on:%y%m}/{number:05d}",
        f"{on:%Y%m%d}-{number}",
    )[style]


class Business:
    """Draws payments over the scenario's days."""

    def __init__(self, random: Random, scenario: Scenario, rows: int) -> None:
        self._random, self._scenario = random, scenario
        self.parties = Parties(random, scenario, rows)
        self.references = References(random)
        self.first_day = FIRST_DAY + timedelta(days=random.randrange(500))

    def payments(self, rows: int) -> list[Payment]:
        """Return about `rows` payments by day: contracts as they fall due, the rest at random."""
        found = [
            payment for party in self.parties.contractors for payment in self._recurring(party)
        ]
        self._random.shuffle(found)
        del found[rows:]
        found += [self.once() for _ in range(rows - len(found))]
        found.sort(key=lambda payment: payment.at)
        return [
            replace(payment, reference=self.references.next(payment.on))
            if payment.reference == ""
            else payment
            for payment in found
        ]

    def once(self) -> Payment:
        """Return one payment on any day, its reference still to be given."""
        random, party = self._random, self.parties.one()
        amount = some_amount(random, party.amount_level, party.currency)
        if scale_of(party.currency) == 2 and random.random() < self._scenario.list_prices:
            amount = self.parties.price() * random.choice((1, 1, 1, 1, 1, 2, 3))
        is_refund = random.random() < 0.03
        at = self.moment(self.first_day + timedelta(days=random.randrange(self._scenario.days)))
        return Payment(
            party=party,
            amount_minor=amount if party.is_customer != is_refund else -amount,
            at=at,
            reference="",
            memo="refund" if is_refund else party.product,
        )

    def moment(self, day: date) -> datetime:
        """Return a time of that day, mostly in working hours, sometimes without one."""
        if self._random.random() < 0.3:
            return datetime.combine(day, time(), UTC)
        second = int(min(max(self._random.gauss(13.5, 3.0), 0.0), 23.99) * 3600)
        return datetime.combine(day, time(), UTC) + timedelta(seconds=second)

    def _recurring(self, party: Party) -> Iterator[Payment]:
        contract = party.contract
        assert contract is not None
        sign = 1 if party.is_customer else -1
        for day in self._due(contract.every_days, contract.day):
            yield Payment(
                party=party,
                amount_minor=sign * contract.amount_minor,
                at=self.moment(day),
                reference="" if contract.is_invoiced else None,
                memo=contract.product,
                number=contract.number,
            )

    def _due(self, every_days: int | None, day_of_month: int) -> Iterator[date]:
        offset = self._random.randrange(every_days or 1)
        for index in range(self._scenario.days):
            day = self.first_day + timedelta(days=index)
            if every_days is None and day.day == day_of_month:
                yield day
            if every_days is not None and index % every_days == offset:
                yield day


def bank_day(day: date) -> date:
    """Return the first day from `day` on which a bank posts."""
    while day.weekday() >= 5 or day in HOLIDAYS:
        day += timedelta(days=1)
    return day

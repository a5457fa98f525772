"""Batch payouts: a payment provider collects many sales and pays them out at once, less fees."""

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random

from scripts.bench.matching.bank import Bank
from scripts.bench.matching.books import Books
from scripts.bench.matching.events import Business, Payment, bank_day
from scripts.bench.matching.parties import some_amount
from scripts.bench.matching.story import Row, Story
from scripts.bench.matching.words import PSPS

_REFUNDS = 0.05
_SPLIT_PAYOUTS = 0.01
# Lines per provider and day (Poisson): a small shop's, a middling one's, and Stripe's own example.
_LINES = (3, 8, 30)
_IN_REFERENCE, _IN_TEXT, _NOWHERE = range(3)


@dataclass(frozen=True, slots=True)
class Provider:
    """One payment provider and how our books deal with it."""

    name: str
    lines: int
    batch_id: int
    books_fees: bool  # as items of their own; else the payout is less than its items
    is_counterparty: bool
    fee_rate: float
    fee_minor: int
    wait_days: int


class Payouts:
    """At most one payout per provider and day."""

    def __init__(
        self, random: Random, business: Business, books: Books, bank: Bank, story: Story
    ) -> None:
        self._random, self._business = random, business
        self._books, self._bank, self._story = books, bank, story
        self._providers = [self._provider(name) for name in random.sample(PSPS, len(PSPS))]
        self._done: set[tuple[str, date]] = set()
        self._number = random.randrange(10**5, 10**6)

    def tell(self, payment: Payment) -> None:
        """Add a payout of that day; the payment itself is one of its sales."""
        random = self._random
        free = [p for p in self._providers if (p.name, payment.on) not in self._done]
        if not free:
            record = self._bank.record(
                payment,
                amount_minor=payment.amount_minor,
                on=self._bank.settle(payment.on),
            )
            self._story.add([record], [self._books.item(payment)])
            return
        provider = random.choice(free)
        self._done.add((provider.name, payment.on))
        batch = self._batch()
        sales = [self._sale(payment) for _ in range(max(1, _poisson(random, provider.lines)))]
        items = [self._item(provider, sale, batch) for sale in sales]
        fees = sum(
            round(abs(sale.amount_minor) * provider.fee_rate) + provider.fee_minor for sale in sales
        )
        if provider.books_fees:
            items.append(self._fee(provider, sales[0], batch, fees))
        net = sum(sale.amount_minor for sale in sales) - fees
        on = bank_day(payment.on + timedelta(days=provider.wait_days))
        records = self._paid(provider, sales[0], batch, net, on)
        self._story.add(records, items, None if provider.books_fees else "fee")

    def _provider(self, name: str) -> Provider:
        random = self._random
        return Provider(
            name=name,
            lines=random.choice(_LINES),
            batch_id=random.choice((_IN_REFERENCE, _IN_TEXT, _NOWHERE)),
            books_fees=random.random() < 0.6,
            is_counterparty=random.random() < 0.8,
            fee_rate=random.uniform(0.012, 0.035),
            fee_minor=random.randrange(10, 36),
            wait_days=random.choice((1, 2, 2, 3)),
        )

    def _batch(self) -> str:
        self._number += self._random.randrange(1, 50)
        return self._random.choice(("po_{:X}", "PAYOUT{}", "B-{}")).format(self._number)

    def _sale(self, payment: Payment) -> Payment:
        random = self._random
        party = replace(self._business.parties.one(), currency=payment.party.currency)
        amount = some_amount(random, min(party.amount_level, 5.0), party.currency)
        if random.random() < _REFUNDS:
            amount = -amount
        return Payment(
            party=party,
            amount_minor=amount,
            at=self._business.moment(payment.on),
            reference=self._business.references.next(payment.on),
            memo=party.product,
        )

    def _item(self, provider: Provider, sale: Payment, batch: str) -> Row:
        order = sale.reference or ""
        text = f"{provider.name} {'sale' if sale.amount_minor > 0 else 'refund'} {order}"
        if provider.batch_id == _IN_TEXT:
            text += f" payout {batch}"
        row = self._books.item(
            sale, text=text, reference=batch if provider.batch_id == _IN_REFERENCE else None
        )
        return row | {"counterparty": provider.name} if provider.is_counterparty else row

    def _fee(self, provider: Provider, sale: Payment, batch: str, fees: int) -> Row:
        fee = replace(sale, amount_minor=-fees, reference=f"FEE-{batch}")
        row = self._item(provider, fee, batch)
        text = f"{provider.name} fees" + (
            f" payout {batch}" if provider.batch_id == _IN_TEXT else ""
        )
        return row | {"counterparty": provider.name, "text": text}

    def _paid(self, provider: Provider, sale: Payment, batch: str, net: int, on: date) -> list[Row]:
        """Return the statement's line; rarely two."""
        random = self._random
        party = replace(sale.party, name=provider.name, suffix="", is_abroad=False)
        payout = replace(sale, party=party, amount_minor=net, reference=batch, number=None)
        parts = [net]
        if random.random() < _SPLIT_PAYOUTS and abs(net) > 1000:
            parts = [net // 2, net - net // 2]
        words = batch if provider.batch_id != _NOWHERE or random.random() < 0.5 else "PAYOUT"
        return [self._bank.record(payout, amount_minor=part, on=on, memo=words) for part in parts]


def _poisson(random: Random, mean: float) -> int:
    """Return a Poisson number by Knuth's product of uniforms."""
    limit, product, count = math.exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count

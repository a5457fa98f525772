"""Tells each payment in one of the shapes that money takes on its way to the statement."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from random import Random
from uuid import UUID

from scripts.bench.matching.bank import Bank
from scripts.bench.matching.books import Books
from scripts.bench.matching.events import Business, Payment, bank_day
from scripts.bench.matching.parties import some_amount
from scripts.bench.matching.payouts import Payouts
from scripts.bench.matching.scenarios import Scenario
from scripts.bench.matching.story import Row, Story, copy_of

# How far the statement lies from the books for parties abroad: share and greatest distance.
_CROSS_BORDER = ((0.25, 0.0), (0.45, 0.01), (0.76, 0.03), (0.999, 0.10), (1.0, 0.15))
_FIXED_DELTAS_MINOR = (1, -1, 5, -5, 25, -25)
_BANK_LINES = (
    ("Kontoführung Abschluss", -990),
    ("ACCOUNT MAINTENANCE FEE", -1500),
    ("Frais de tenue de compte", -1200),
    ("INTEREST PAID", 312),
    ("Sollzinsen", -845),
    ("WIRE TRANSFER FEE", -2500),
    ("Entgelt Kartenzahlung", -35),
)
_RETURN_WORDS = ("RETURN", "Rücklastschrift", "REJET", "CHARGEBACK", "REVERSAL", "Devolución")


@dataclass(slots=True)
class Teller:
    """Decides what becomes of a payment, and has both sides tell it."""

    random: Random
    scenario: Scenario
    business: Business
    books: Books
    bank: Bank
    story: Story
    payouts: Payouts = field(init=False)

    def __post_init__(self) -> None:
        self.payouts = Payouts(self.random, self.business, self.books, self.bank, self.story)

    def tell(self, payment: Payment) -> None:
        """Add the payment, in whatever shape, to the story."""
        shapes = self.scenario.shapes
        chance = self.random.random()
        for share, tell in (
            (shapes.payouts, self.payouts.tell),
            (shapes.remittances, self._remittance),
            (shapes.splits, self._split),
            (shapes.reversals, self._reversal),
            (shapes.netted_in_bank, self._netted_in_bank),
            (shapes.netted_in_ledger, self._netted_in_ledger),
            (shapes.resent, self._resent),
            (shapes.double_booked, self._double_booked),
            (shapes.genuine_twins, self._twins),
            (shapes.pending, self._pending),
        ):
            if chance < share:
                tell(payment)
                return
            chance -= share
        self._plain(payment)

    def _plain(self, payment: Payment) -> None:
        """One line on each side, or on one of them only."""
        scenario = self.scenario
        only_bank = scenario.missing_in_ledger / (1 - scenario.missing_in_ledger)
        only_books = scenario.missing_in_bank / (1 - scenario.missing_in_bank)
        fate = self.random.random() * (1 + only_bank + only_books)
        if fate < 1:
            record, cause = self._settled(payment)
            self.story.add([record], [self.books.item(payment)], cause)
        elif fate < 1 + only_bank:
            self.story.add([self._unknown_to_us(payment)], [], "missing_in_ledger")
        else:
            self.story.add([], [self.books.item(payment)], "missing_in_bank")

    def _settled(self, payment: Payment) -> tuple[Row, str | None]:
        amount, cause = self._banks_amount(payment)
        on = self.bank.settle(payment.on)
        return self.bank.record(payment, amount_minor=amount, on=on), cause

    def _unknown_to_us(self, payment: Payment) -> Row:
        if self.random.random() < 0.15:
            text, amount = self.random.choice(_BANK_LINES)
            return self.bank.own_line(payment.party.currency, amount, bank_day(payment.on), text)
        return self._settled(payment)[0]

    def _banks_amount(self, payment: Payment) -> tuple[int, str | None]:
        amount, random, party = payment.amount_minor, self.random, payment.party
        if party.is_abroad:
            return self._converted(amount)
        if party.is_net_of_fee and amount > 0:
            terms = Random(party.number)  # the same terms every time
            rate, fixed = terms.uniform(0.012, 0.035), terms.randrange(10, 36)
            return max(1, amount - round(amount * rate) - fixed), "fee"
        if random.random() < self.scenario.amounts.domestic_differs:
            delta = random.choice((*_FIXED_DELTAS_MINOR, round(amount * 0.005) or 1))
            return amount + delta, "rounding" if abs(delta) == 1 else "unknown"
        return amount, None

    def _converted(self, amount: int) -> tuple[int, str | None]:
        chance, nearest = self.random.random(), 0.0
        for share, farthest in _CROSS_BORDER:
            if chance < share:
                distance = self.random.uniform(nearest, farthest)
                sign = self.random.choice((-1, -1, 1))
                moved = round(amount * (1 + sign * distance))
                return (moved, "fx") if moved != amount else (amount, None)
            nearest = farthest
        return amount, None

    def _remittance(self, payment: Payment) -> None:
        """Several invoices of one party, paid at once."""
        random, party = self.random, payment.party
        count = random.choices((2, 3, 4, 5, 6), (45, 25, 15, 10, 5))[0]
        sign = 1 if payment.amount_minor > 0 else -1
        invoices = [payment]
        for _ in range(count - 1):
            amount = sign * some_amount(random, party.amount_level, party.currency)
            day = payment.on - timedelta(days=random.choice((0, 0, 0, 1, 2, 3)))
            given = self.business.references.next(day)
            invoices.append(
                replace(
                    payment,
                    amount_minor=amount,
                    at=self.business.moment(day),
                    reference=given,
                    number=None,
                )
            )
        total = sum(invoice.amount_minor for invoice in invoices)
        cause = None
        if random.random() < self.scenario.amounts.remittance_net:
            total, cause = round(total * 0.98), "discount"
        record = self.bank.record(
            payment,
            amount_minor=total,
            on=self.bank.settle(payment.on),
            memo=self._advice(invoices),
        )
        self.story.add([record], [self.books.item(invoice) for invoice in invoices], cause)

    def _advice(self, invoices: list[Payment]) -> str:
        """Return the payer's words: all references, the first one, or a customer number."""
        references = [invoice.reference for invoice in invoices if invoice.reference]
        kind = self.random.random()
        if kind < 0.6 and references:
            return ", ".join(references)
        if kind < 0.8 and references:
            return f"{references[0]} u.a."
        return invoices[0].party.number

    def _split(self, payment: Payment) -> None:
        """One booking that reaches the bank in parts."""
        random, total = self.random, payment.amount_minor
        count = random.choices((2, 3, 4), (70, 20, 10))[0]
        if random.random() < 0.4:
            parts = [total // count] * (count - 1)
        else:
            cuts = [random.uniform(0.5, 1.5) for _ in range(count)]
            parts = [round(total * cut / sum(cuts)) for cut in cuts[:-1]]
        parts.append(total - sum(parts))
        days = [random.choice((0, 0, 1, 2, 4)) for _ in parts]
        records = [
            self.bank.record(
                payment, amount_minor=part, on=bank_day(payment.on + timedelta(days=wait))
            )
            for part, wait in zip(parts, days, strict=True)
        ]
        self.story.add(records, [self.books.item(payment)])

    def _reversal(self, payment: Payment) -> None:
        """Paid and booked; later the bank takes it back, and our books know of that, or do not."""
        random = self.random
        record, cause = self._settled(payment)
        self.story.add([record], [self.books.item(payment)], cause)
        on = bank_day(record["booked_on"] + timedelta(days=random.randrange(3, 61)))
        back = self._returned(payment, record["amount_minor"], on)
        if random.random() < 0.4:
            self.story.add([back], [], "chargeback")
            return
        at = self._at(on - timedelta(days=random.choice((0, 0, 1))))
        storno = self.books.item(
            payment,
            amount_minor=-record["amount_minor"],
            at=at,
            text=f"{random.choice(('Storno', 'Reversal', 'Return'))} {payment.reference or ''} "
            f"{payment.party.name}".strip(),
        )
        self.story.add([back], [storno])

    def _returned(self, payment: Payment, amount_minor: int, on: date) -> Row:
        words = f"{self.random.choice(_RETURN_WORDS)} {payment.reference or payment.memo}"
        return self.bank.record(payment, amount_minor=-amount_minor, on=on, memo=words)

    def _netted_in_bank(self, payment: Payment) -> None:
        """The bank books and takes back what our books never saw."""
        record, _ = self._settled(payment)
        on = bank_day(record["booked_on"] + timedelta(days=self.random.randrange(6)))
        self.story.add([record, self._returned(payment, record["amount_minor"], on)], [])

    def _netted_in_ledger(self, payment: Payment) -> None:
        """We book and cancel what never reached the bank."""
        at = payment.at + timedelta(days=self.random.randrange(4), minutes=5)
        storno = self.books.item(
            payment,
            amount_minor=-payment.amount_minor,
            at=at,
            text=f"Storno {payment.reference or payment.memo} {payment.party.name}",
        )
        self.story.add([], [self.books.item(payment), storno])

    def _resent(self, payment: Payment) -> None:
        """The bank sends the same line again under another id of the line."""
        record, cause = self._settled(payment)
        self.story.add([record], [self.books.item(payment)], cause)
        self.story.add([copy_of(record, self._id())], [], "duplicate")

    def _double_booked(self, payment: Payment) -> None:
        """We book twice, minutes or hours apart; which one is one too many nobody can tell."""
        record, cause = self._settled(payment)
        item = self.books.item(payment)
        self.story.add([record], [item], cause)
        wait = timedelta(seconds=self.random.choice((2, 20, 180, 2400)))
        at: datetime = item["effective_at"] + wait
        self.story.add(
            [], [copy_of(item, self._id(), effective_at=at, effective_on=at.date())], "duplicate"
        )

    def _twins(self, payment: Payment) -> None:
        """Two equal payments of the same party on the same day, both real: two tickets, say."""
        payment = replace(payment, reference=None)
        record, cause = self._settled(payment)
        item = self.books.item(payment)
        self.story.add([record], [item], cause)
        twin = copy_of(record, self._id(), external_id=self.bank.own_id(record["booked_on"]))
        self.story.add([twin], [copy_of(item, self._id())], cause)

    def _pending(self, payment: Payment) -> None:
        """The bank announces the line, then posts it under another id."""
        record, cause = self._settled(payment)
        announced = copy_of(
            record,
            self._id(),
            text=f"PENDING {record['text']}",
            external_id=None if record["external_id"] is None else f"P{record['external_id']}",
            booked_on=(earlier := bank_day(payment.on)),
            occurred_at=record["occurred_at"]
            - timedelta(days=(record["booked_on"] - earlier).days),
        )
        self.story.add([record], [self.books.item(payment)], cause)
        self.story.add([announced], [], "pending")

    def _id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def _at(self, day: date) -> datetime:
        return self.business.moment(day)

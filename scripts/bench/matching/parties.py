"""Who pays and is paid: names, contracts and habits of the parties of one set of books."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from scripts.bench.matching.scenarios import Scenario
from scripts.bench.matching.words import FAMILY, GIVEN, LEGAL, PRODUCTS, SYLLABLES, TRADES

# A few parties make most of the traffic.
_ZIPF = 0.9
_EVENTS_PER_PARTY = 7
_COMPANIES = 0.7
_CUSTOMERS = 0.65
_WEEKLY = 0.3
PRICE_COUNT = 120


@dataclass(frozen=True, slots=True)
class Contract:
    """An amount that returns every week or month."""

    amount_minor: int
    every_days: int | None  # None: monthly, on `day`
    day: int
    number: str
    product: str
    is_invoiced: bool  # each instalment has a reference of its own


@dataclass(frozen=True, slots=True)
class Party:
    """One customer or supplier as it stands in our books."""

    name: str
    suffix: str
    is_customer: bool
    number: str
    iban: str
    amount_level: float  # natural logarithm of a usual amount in whole units
    currency: str
    is_abroad: bool
    is_net_of_fee: bool
    product: str
    contract: Contract | None

    @property
    def full_name(self) -> str:
        """Return the name with its legal form."""
        return f"{self.name} {self.suffix}".strip()


def choose(random: Random, weights: dict[str, float]) -> str:
    """Return a key with the chance of its weight."""
    return random.choices(list(weights), list(weights.values()))[0]


def scale_of(currency: str) -> int:
    """Return the decimals of one of the generator's currencies."""
    return 0 if currency == "JPY" else 2


def some_amount(random: Random, level: float, currency: str) -> int:
    """Return a positive amount in minor units around exp(level): a quarter of them round."""
    units = math.exp(random.gauss(level, 0.8))
    if currency == "JPY":
        return max(100, round(units * 150 / 10) * 10)
    minor = max(50, round(units * 100))
    kind = random.random()
    if kind < 0.15:
        return max(100, minor // 100 * 100)
    return max(50, minor // 50 * 50) if kind < 0.25 else minor


class Parties:
    """The parties of one scenario, drawn with the frequency of their trade with us."""

    def __init__(self, random: Random, scenario: Scenario, rows: int) -> None:
        self._random, self._scenario = random, scenario
        count = max(4, rows // _EVENTS_PER_PARTY)
        self.all = [self._party(has_contract=False) for _ in range(count)]
        self._weights = list(accumulate(1 / (k + 1) ** _ZIPF for k in range(count)))
        self.contractors: list[Party] = []
        expected = 0.0
        while expected < scenario.recurring * rows:
            party = self._party(has_contract=True)
            assert party.contract is not None
            expected += scenario.days / (party.contract.every_days or 30.4)
            self.contractors.append(party)
        self.prices = self._prices()

    def one(self) -> Party:
        """Return some party; the first ones come often."""
        return self._random.choices(self.all, cum_weights=self._weights)[0]

    def price(self) -> int:
        """Return a list price in minor units of a currency with cents; some sell far better."""
        return self._random.choices(self.prices, [1 / (k + 2) for k in range(PRICE_COUNT)])[0]

    def _prices(self) -> list[int]:
        endings = (0, 0, 0, 50, 90, 95, 99)
        return [
            max(1, round(math.exp(self._random.gauss(3.8, 1.1)))) * 100
            + self._random.choice(endings)
            for _ in range(PRICE_COUNT)
        ]

    def _party(self, *, has_contract: bool) -> Party:
        random, scenario = self._random, self._scenario
        is_company = random.random() < _COMPANIES
        name, suffix = company(random) if is_company else (person(random), "")
        currency = choose(random, dict(scenario.currencies))
        level = random.gauss(5.6 if is_company else 4.2, 1.0)
        fate = random.random()
        abroad = fate < scenario.amounts.cross_border
        return Party(
            name=name,
            suffix=suffix,
            is_customer=random.random() < _CUSTOMERS,
            number=str(random.randrange(10_000, 99_999)),
            iban=f"{random.choice(('DE', 'FR', 'NL', 'ES', 'IT', 'GB'))}"
            f"{random.randrange(10**19, 10**20)}",
            amount_level=level,
            currency=currency,
            is_abroad=abroad,
            is_net_of_fee=not abroad
            and fate < scenario.amounts.cross_border + scenario.amounts.net_of_fee,
            product=random.choice(PRODUCTS),
            contract=self._contract(level, currency) if has_contract else None,
        )

    def _contract(self, level: float, currency: str) -> Contract:
        random = self._random
        is_weekly = random.random() < _WEEKLY
        return Contract(
            amount_minor=some_amount(random, level, currency),
            every_days=7 if is_weekly else None,
            day=random.choice((1, 1, 1, 2, 3, 5, 10, 15, 15, 20, 25, 28)),
            number=str(random.randrange(100_000, 999_999)),
            product=random.choice(PRODUCTS),
            is_invoiced=random.random() < 0.5,
        )


def person(random: Random) -> str:
    """Return the name of a person."""
    given = random.choice(GIVEN)
    if random.random() < 0.15:
        given += f" {random.choice(GIVEN)}"
    family = random.choice(FAMILY)
    if random.random() < 0.08:
        family += f"-{random.choice(FAMILY)}"
    return f"{given} {family}"


def company(random: Random) -> tuple[str, str]:
    """Return the name and the legal form of a company."""
    land: Sequence[str] = LEGAL[random.choices(list(LEGAL), (5, 3, 2, 2, 2, 5, 1, 1))[0]]
    kind = random.random()
    brand = "".join(random.choice(SYLLABLES) for _ in range(random.choice((2, 3, 3)))).capitalize()
    if kind < 0.45:
        name = f"{brand} {random.choice(TRADES)}"
    elif kind < 0.65:
        name = brand
    elif kind < 0.85:
        name = f"{random.choice(FAMILY)} {random.choice(TRADES)}"
    else:
        name = (
            f"{random.choice(FAMILY)} & {random.choice(('Söhne', 'Partner', 'Sons', 'Fils', 'Co'))}"
        )
    return name, random.choice(land)

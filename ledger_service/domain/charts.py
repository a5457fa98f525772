"""The chart of accounts as a tree: what each place has of its own, and with all below it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from ledger_service.domain.model import Direction

SEPARATOR = ":"
CurrencyKey = tuple[str, int]
"""A currency with its number of decimals."""


@dataclass(slots=True)
class Place:
    """One place of the chart; amounts are credits less debits, in minor units by currency.

    `accounts` counts those at the place and below it; `normal_side` is that of the first of them,
    in the order of their codes: the place's own account, if it has one.
    """

    code: str
    normal_side: Direction
    account_id: UUID | None = None
    accounts: int = 0
    own_minor: dict[CurrencyKey, int] = field(default_factory=dict)
    total_minor: dict[CurrencyKey, int] = field(default_factory=dict)

    @property
    def parent(self) -> str | None:
        before, separator, _ = self.code.rpartition(SEPARATOR)
        return before if separator else None


@dataclass(frozen=True, slots=True)
class Share:
    """What accounts of one currency have that share a place: its own account, or all below it."""

    code: str
    currency: str
    scale: int
    normal_side: Direction
    account_id: UUID | None
    balance_minor: int
    accounts: int


def roll_up(shares: Iterable[Share], *, names_min: int = 1) -> list[Place]:
    """Return the places of `shares` and those above them, in the order of their codes.

    `shares` come in that order as well, an account's own before what is below it. Places of fewer
    than `names_min` names are left out.
    """
    places: dict[str, Place] = {}
    for share in shares:
        key = share.currency, share.scale
        for code in _places_above(share.code, names_min):
            place = places.setdefault(code, Place(code, share.normal_side))
            place.total_minor[key] = place.total_minor.get(key, 0) + share.balance_minor
            place.accounts += share.accounts
        if share.account_id is not None:
            own = places[share.code]
            own.account_id = share.account_id
            own.own_minor[key] = share.balance_minor
    return sorted(places.values(), key=lambda place: place.code.split(SEPARATOR))


def _places_above(code: str, names_min: int) -> Iterator[str]:
    """Yield `assets`, `assets:bank`, `assets:bank:main` for the last of them."""
    names = code.split(SEPARATOR)
    for count in range(names_min, len(names) + 1):
        yield SEPARATOR.join(names[:count])

"""A trial balance: every account on its side, and per currency two sums that are equal.

Amounts are minor units. A balance stands in one column: debit where debits exceed credits, else
credit.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ledger_service.domain.model import Direction, Period


@dataclass(frozen=True, slots=True)
class Columns:
    """A debit and a credit column."""

    debit_minor: int = 0
    credit_minor: int = 0

    @classmethod
    def of_balance(cls, balance_minor: int) -> "Columns":
        """Return the columns of credits less debits."""
        return cls(max(0, -balance_minor), max(0, balance_minor))

    def __add__(self, other: "Columns") -> "Columns":
        return Columns(self.debit_minor + other.debit_minor, self.credit_minor + other.credit_minor)


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One account, or one place of the chart with all `accounts` below it.

    `opening_minor` and `closing_minor` are credits less debits; movements are what was posted in
    between, `adjustments` by adjusting entries. Without a period there is only the closing.
    """

    account_id: UUID | None
    code: str | None
    name: str | None
    type: str | None
    normal_side: Direction | None
    currency: str
    scale: int
    accounts: int
    opening_minor: int
    movements: Columns
    adjustments: Columns

    @property
    def closing_minor(self) -> int:
        moved, adjusted = self.movements, self.adjustments
        return (
            self.opening_minor
            + moved.credit_minor
            - moved.debit_minor
            + adjusted.credit_minor
            - adjusted.debit_minor
        )

    @property
    def opening(self) -> Columns:
        return Columns.of_balance(self.opening_minor)

    @property
    def closing(self) -> Columns:
        """The closing balance; one of zero stands on no side."""
        return Columns.of_balance(self.closing_minor)


Section = Callable[[AccountLine], Columns]
CLOSING: dict[str, Section] = {"closing": lambda line: line.closing}
WORKSHEET: dict[str, Section] = {
    "opening": lambda line: line.opening,
    "movements": lambda line: line.movements,
    "adjustments": lambda line: line.adjustments,
    "closing": lambda line: line.closing,
}


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of one currency, by section."""

    currency: str
    scale: int
    columns: dict[str, Columns]


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """The lines of a ledger at a cut, or through a period, in the order of currency and code."""

    ledger: str
    seq: int
    as_of: datetime | None
    period: Period | None
    lines: Sequence[AccountLine]

    @property
    def sections(self) -> dict[str, Section]:
        return CLOSING if self.period is None else WORKSHEET

    def totals(self) -> list[Totals]:
        """Return the sums of each currency, in the order of the lines."""
        found: dict[tuple[str, int], dict[str, Columns]] = {}
        for line in self.lines:
            sums = found.setdefault(
                (line.currency, line.scale), dict.fromkeys(self.sections, Columns())
            )
            for name, columns_of in self.sections.items():
                sums[name] += columns_of(line)
        return [Totals(currency, scale, sums) for (currency, scale), sums in found.items()]


def balanced(totals: Iterable[Totals]) -> bool:
    """Tell whether debits equal credits in every section of every currency."""
    return all(
        one.debit_minor == one.credit_minor for sums in totals for one in sums.columns.values()
    )

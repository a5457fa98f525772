"""The two sides of a group search as columns, and what one search hands back."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.config import Policy
from recon_service.matchers.fees import Fees
from recon_service.matchers.gates import absolute_minor, allowed_minor
from recon_service.matchers.sides import ORDER

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

Fee = Literal["schedule", "learned schedule", "within 5 %"]


@dataclass(frozen=True, slots=True)
class Rows:
    """One side's open rows in content order; `free` turns false where a group took the row.

    `net_minor` is the amount less the known fee, null where no schedule is known.
    """

    frame: pl.DataFrame
    ids: list[str]
    amount_minor: Ints
    day: Ints
    net_minor: Ints | None
    free: Flags

    @classmethod
    def of(cls, side: pl.DataFrame, fees: Fees | None = None) -> "Rows":
        """`side` is canonical; `fees` are those of the ledger's side."""
        frame = side.sort(ORDER, nulls_last=True).with_row_index("row")
        frame = frame.with_columns(pl.col("row").cast(pl.Int64))
        amount = frame["amount_minor"].to_numpy().astype(np.int64)
        return cls(
            frame,
            frame["id"].to_list(),
            amount,
            frame["day"].to_numpy().astype(np.int64),
            fees.net_minor(frame["currency"], amount) if fees and fees.schedules else None,
            free=amount != 0,
        )


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at the two sides: single rows that many rows of the other side make up.

    A payout is one record for many items, a split one item for many records.
    """

    is_payout: bool
    ones: Rows
    many: Rows
    policy: Policy

    @property
    def span_days(self) -> int:
        """Return the length of the window."""
        return self.policy.window.before_days + self.policy.window.after_days

    def reach(self, ones: Ints, *, gathering_days: int = 0) -> tuple[Ints, Ints]:
        """Return the first and last day on which members may lie, both included.

        `gathering_days` is by how much longer the record may come after its ledger items.
        """
        day, window = self.ones.day[ones], self.policy.window
        before, after = window.before_days, window.after_days + gathering_days
        if self.is_payout:
            return day - after, day + before
        return day - before, day + after

    def lag_days(self, ones: Ints, many: Ints) -> Ints:
        """Return the record's day minus the item's, pair by pair."""
        lag = self.ones.day[ones] - self.many.day[many]
        return lag if self.is_payout else -lag

    def amounts(self, fee: Fee | None) -> tuple[Ints, Ints]:
        """Return what is to be reached and what may add up to it, the ledger's side less fees."""
        if fee is None:
            return self.ones.amount_minor, self.many.amount_minor
        items = self.many if self.is_payout else self.ones
        assert items.net_minor is not None
        if self.is_payout:
            return self.ones.amount_minor, items.net_minor
        return items.net_minor, self.many.amount_minor

    @property
    def fees(self) -> tuple[Fee | None, ...]:
        """Return the known fees to try: none first."""
        items = self.many if self.is_payout else self.ones
        return (None,) if items.net_minor is None else (None, "schedule")

    def allowed_minor(self, one: int, members: tuple[int, ...], item_total_minor: int) -> int:
        """Return the difference that the policy tolerates for a ledger amount."""
        records, place = (self.ones, one) if self.is_payout else (self.many, members[0])
        absolute = absolute_minor(records.frame["scale"][place : place + 1], self.policy)
        percent = self.policy.amount_tolerance.percent_micros
        return int(allowed_minor(np.array([item_total_minor]), absolute.to_numpy(), percent)[0])


@dataclass(frozen=True, slots=True)
class Hit:
    """A group that a search came up with, before it competes with others.

    `ones` and `members` are row numbers of the view's two sides, ascending. `expected` is how
    many such answers chance alone would give, `solutions` how many there are, `interchangeable`
    how many choices of rows have the very amounts of this one; `doubtful` tells that rows beside
    the members may belong to them.
    """

    is_payout: bool
    ones: tuple[int, ...]
    members: tuple[int, ...]
    by: str
    kind: str
    key: str | None
    expected: float
    solutions: int = 1
    interchangeable: int = 1
    truncated: bool = False
    doubtful: bool = False
    fee: Fee | None = None


@dataclass(frozen=True, slots=True)
class Searched:
    """The hits of one search; `tried` rows had a pool, `cut` ones were not searched to the end."""

    hits: list[Hit]
    tried: int = 0
    cut: int = 0


def whole_unit_minor(amounts: Ints) -> int:
    """Return the largest unit of which all amounts are multiples."""
    return int(np.gcd.reduce(np.abs(amounts)))

"""The hard gates, as an index: which ledger items may be the same payment as a record at all."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.config import Policy
from recon_service.domain.evidence import LAG, bits_of, lag_levels

Ints = npt.NDArray[np.int64]
_PERCENT = 100 * 1_000_000
_MINOR_MAX = np.iinfo(np.int64).max
_ABSOLUTE_MINOR_MAX = 4 * 10**18


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs that pass every gate, as row numbers; `dropped` counts per record what a cap cut."""

    records: Ints
    items: Ints
    dropped: Ints


def candidates(
    records: pl.DataFrame, items: pl.DataFrame, policy: Policy, *, per_record_max: int
) -> Candidates:
    """Return the pairs with equal `group` and sign, amount within tolerance, date in the window.

    Equal amounts come first, then the likelier lags: a cap cuts what is least likely. Both
    frames carry `group` (Int64), `day` in the window's unit, `amount_minor`; records also
    `absolute_minor`.
    """
    index = _Index.of(items)
    ranks = amount_ranks(records, index.amounts, policy)
    group, day = directions(records), _days(records)
    taken = np.zeros(records.height, np.int64)
    dropped = np.zeros(records.height, np.int64)
    found: list[tuple[Ints, Ints]] = []
    wanted = np.flatnonzero(ranks[0] < ranks[-1])
    for low, high in ((1, 2), (0, 1), (2, 3)):
        for lag in _lags(policy):
            rows = wanted[ranks[low][wanted] < ranks[high][wanted]]
            start, stop = index.ranges(
                group[rows], day[rows] - lag, ranks[low][rows], ranks[high][rows]
            )
            count = stop - start
            take = np.minimum(count, per_record_max - taken[rows])
            taken[rows] += take
            dropped[rows] += count - take
            found.append(_expand(rows, index.order, start, take))
    return Candidates(
        records=np.concatenate([pair[0] for pair in found]),
        items=np.concatenate([pair[1] for pair in found]),
        dropped=dropped,
    )


def within_tolerance(pairs: pl.DataFrame, policy: Policy) -> pl.Series:
    """Return per pair whether the sizes of `amount_minor` and `item_amount_minor` agree."""
    size = np.abs(pairs["item_amount_minor"].to_numpy())
    allowed = allowed_minor(
        size, pairs["absolute_minor"].to_numpy(), policy.amount_tolerance.percent_micros
    )
    difference = np.abs(np.abs(pairs["amount_minor"].to_numpy()) - size)
    return pl.Series(difference <= allowed)


def lag_days() -> pl.Expr:
    """Return the record's date minus the item's, in days of the window's unit."""
    return pl.col("day") - pl.col("item_day")


def in_window(policy: Policy) -> pl.Expr:
    """Return per pair whether the lag lies in the window, both ends included."""
    return lag_days().is_between(-policy.window.before_days, policy.window.after_days)


def allowed_minor(
    amount_minor: Ints, absolute_minor: Ints | int, percent_micros: int
) -> npt.NDArray[np.int64]:
    """Return the largest difference that a ledger amount allows; exact in integers."""
    size = np.abs(amount_minor)
    share = percent_micros * (size // _PERCENT) + percent_micros * (size % _PERCENT) // _PERCENT
    allowed: Ints = np.maximum(share, absolute_minor)
    return allowed


def absolute_minor(scale: pl.Series, policy: Policy) -> pl.Series:
    """Return the policy's absolute tolerance in minor units, per row."""
    tolerance = policy.amount_tolerance
    minor = {
        int(value): min(tolerance.absolute_minor(int(value)), _ABSOLUTE_MINOR_MAX)
        for value in scale.unique()
    }
    return scale.replace_strict(minor, return_dtype=pl.Int64)


@dataclass(frozen=True, slots=True)
class _Index:
    """Items sorted by (group, day, amount): every gate is then one range of rows."""

    order: Ints
    keys: Ints
    days: Ints
    amounts: Ints
    group_max: int

    @classmethod
    def of(cls, items: pl.DataFrame) -> "_Index":
        group, day = directions(items), _days(items)
        size = np.abs(items["amount_minor"].to_numpy())
        days, amounts = np.unique(day), np.unique(size)
        keys = (group * len(days) + np.searchsorted(days, day)) * len(amounts)
        keys += np.searchsorted(amounts, size)
        order = np.argsort(keys, kind="stable")
        return cls(order, keys[order], days, amounts, int(group.max(initial=0)))

    def ranges(self, group: Ints, day: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
        """Return the first row and the one after the last for amount ranks in [low, high)."""
        if len(self.days) == 0:
            return np.zeros_like(low), np.zeros_like(low)
        place = np.minimum(np.searchsorted(self.days, day), len(self.days) - 1)
        known = (self.days[place] == day) & (group <= self.group_max)
        base = (np.where(known, group, 0) * len(self.days) + place) * len(self.amounts)
        start = np.searchsorted(self.keys, base + low, side="left")
        stop = np.searchsorted(self.keys, base + high, side="left")
        return np.where(known, start, 0), np.where(known, stop, 0)


def amount_ranks(records: pl.DataFrame, amounts: Ints, policy: Policy) -> list[Ints]:
    """Return four ascending ranks per record in `amounts`, which are the items', sorted: from the
    lowest that tolerates it, over the first equal and the first greater one, to the end of those
    that tolerate it.

    An item tolerates a record when |record - item| <= allowed(item). Both ends of that interval
    grow with the item's amount, so the items that tolerate a record are neighbours.
    """
    size = np.abs(records["amount_minor"].to_numpy())
    absolute = records["absolute_minor"].to_numpy()
    low, high = np.zeros_like(size), np.zeros_like(size)
    for value in np.unique(absolute):
        rows = np.flatnonzero(absolute == value)
        allowed = allowed_minor(amounts, int(value), policy.amount_tolerance.percent_micros)
        top = amounts + np.minimum(allowed, _MINOR_MAX - amounts)
        low[rows] = np.searchsorted(top, size[rows], side="left")
        high[rows] = np.searchsorted(amounts - allowed, size[rows], side="right")
    first = np.searchsorted(amounts, size, side="left")
    after = np.searchsorted(amounts, size, side="right")
    return [np.minimum(low, first), first, after, np.maximum(high, after)]


def _lags(policy: Policy) -> list[int]:
    """Return the lags of the window, the likeliest first."""
    window = np.arange(-policy.window.before_days, policy.window.after_days + 1)
    bits = bits_of(LAG, lag_levels(window))
    return [int(window[k]) for k in np.lexsort((window, np.abs(window), -bits))]


def _expand(rows: Ints, order: Ints, start: Ints, count: Ints) -> tuple[Ints, Ints]:
    total = int(count.sum())
    within = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(rows, count), order[np.repeat(start, count) + within]


def directions(frame: pl.DataFrame) -> Ints:
    """Return group and sign as one code: opposite signs never meet."""
    sign = np.sign(frame["amount_minor"].to_numpy())
    codes: Ints = frame["group"].to_numpy().astype(np.int64) * 3 + sign + 1
    return codes


def _days(frame: pl.DataFrame) -> Ints:
    return frame["day"].to_numpy().astype(np.int64)

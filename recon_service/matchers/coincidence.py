"""How many ledger items fit a record by mere coincidence: what an amount is worth as evidence.

A candidate has passed the gates: its amount and day fit. For an amount that hardly any item has,
that says nearly everything; for one that many have, nearly nothing. The run itself shows which it
is: the items of that amount on other days fit nobody here, and the window could have been there.

The number of coincidental candidates of a record is taken to be Poisson distributed around a rate
of its own, and the rates of all records Gamma distributed, which makes the counts negative
binomial. The moments of the counts give the Gamma's parameters, and the counts of one record its
own rate (Robbins 1956, empirical Bayes; Gamma-Poisson as in DuMouchel 1999, section 3).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.config import Policy
from recon_service.matchers.gates import amount_ranks, directions

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Runs with fewer open rows on a side know too little: the shipped prior stands.
ROWS_MIN = 12
# The Gamma's shape: the rates of amounts differ much, but not without bound.
_SHAPE_MIN, _SHAPE_MAX = 0.05, 1.0
# No amount is rarer than this, however many items there are.
_RATE_MIN = 2.0**-10


@dataclass(frozen=True, slots=True)
class Coincidence:
    """Expected coincidental candidates in one window, by pair: such as fit as well as the pair.

    `rate` counts items whose amount fits as this one does: equal, or within the tolerance;
    `twin_rate` those that also look like this item: same amount, same party or words.
    """

    rate: Floats
    twin_rate: Floats


def coincidence(
    records: pl.DataFrame, items: pl.DataFrame, rows: Ints, columns: Ints, policy: Policy
) -> Coincidence | None:
    """Return the rates for pairs (rows[k], columns[k]); None where the run is too small to tell."""
    if _rows(records) < ROWS_MIN or _rows(items) < ROWS_MIN:
        return None
    windows = _windows(items, policy)
    is_equal = _column(records, "amount_minor")[rows] == _column(items, "amount_minor")[columns]
    rate = np.zeros(len(rows))
    own = _column(items, "n")
    for counts, mine in zip(_counts(records, items, policy), (is_equal, ~is_equal), strict=True):
        shape, mean = _gamma(np.maximum(counts - 1, 0), _column(records, "n"))
        others = counts[rows[mine]] - own[columns[mine]]
        rate[mine] = (shape + others) / (shape / mean + 1.0) / windows
    twins = items.select(pl.col("n").sum().over("group", "amount_minor", _look()) - pl.col("n"))
    twin_rate = _column(twins, "n")[columns] / windows
    return Coincidence(np.maximum(rate, _RATE_MIN), twin_rate)


def _counts(records: pl.DataFrame, items: pl.DataFrame, policy: Policy) -> tuple[Ints, Ints]:
    """Return per record how many items of any day have its amount, and another tolerated one."""
    amounts, rank = np.unique(np.abs(_column(items, "amount_minor")), return_inverse=True)
    keys = directions(items) * len(amounts) + rank
    order = np.argsort(keys, kind="stable")
    sums = np.concatenate([[0], np.cumsum(_column(items, "n")[order])])
    base = directions(records) * len(amounts)
    ends = [
        sums[np.searchsorted(keys[order], base + place)]
        for place in amount_ranks(records, amounts, policy)
    ]
    equal: Ints = ends[2] - ends[1]
    tolerated: Ints = ends[3] - ends[0]
    return equal, tolerated - equal


def _gamma(counts: Ints, times: Ints) -> tuple[float, float]:
    """Return shape and mean of the Gamma behind negative binomial counts, by their moments."""
    number = int(times.sum())
    total = int((counts * times).sum())
    squares = sum(int(count) ** 2 * int(time) for count, time in zip(counts, times, strict=True))
    mean = max(total, 1) / number
    variance = squares / number - mean**2
    shape = mean**2 / (variance - mean) if variance > mean else _SHAPE_MAX
    return float(np.clip(shape, _SHAPE_MIN, _SHAPE_MAX)), mean


def _windows(items: pl.DataFrame, policy: Policy) -> float:
    """Return how many windows fit into the days of the items, at least one."""
    days = items["day"].to_numpy()
    window = policy.window.before_days + policy.window.after_days + 1
    return max(1.0, float(days.max() - days.min() + 1) / window)


def _look() -> pl.Expr:
    """Return what a row looks like beside its amount: its party, else its words less numbers."""
    plain = pl.col("words").str.replace_all(r"\S*\p{N}\S*", "").str.replace_all(" +", " ")
    return pl.coalesce("party", plain).fill_null("").alias("look")


def _rows(frame: pl.DataFrame) -> int:
    return int(frame["n"].sum())


def _column(frame: pl.DataFrame, name: str) -> Ints:
    values: Ints = frame[name].to_numpy().astype(np.int64)
    return values

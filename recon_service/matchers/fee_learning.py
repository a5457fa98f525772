"""Finds the fee that a bank or provider keeps, as an exact rule: a rate and a fixed part.

    net = gross - round_half_even(gross * rate) - fixed

What is given must be certain by a reference or by a batch's key, so that a difference is a fee and
no mismatch. A payout of several items is one equation more: the sum of their fees. Rates are tried
in steps of 0.01 %, then of 0.001 %; for each, what is left over must be one and the same whole
number of minor units per item for most of them. Others (other tariffs, exchange rates) have no
pull: they are simply not explained. Tiers, and lowest or highest fees, are beyond this rule. Every
deciding test is in integers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.matchers.fees import SLACK_MINOR, Schedule, share

Ints = npt.NDArray[np.int64]

DIFFERENCES_MIN = 8
AMOUNTS_MIN = 3
# Others may differ by something else, such as an exchange rate; then chance decides.
EXPLAINED_PERCENT_MIN = 50
_NEARLY_ALL_PERCENT = 90
RATE_MICROS_MAX = 100_000
"""Ten per cent: beyond it, a difference is no fee."""
# The chance that differences without any rule would fit one as well.
_CHANCE_MAX = 1e-6
# Step of the rate, and how many differences are looked at to find it; the rest only decide.
_SEARCHES = ((100, 1_000), (10, 200))
# In the sample outliers may be a little more frequent than in the whole.
_SAMPLE_PERCENT_MIN = 45
_RATES_TRIED_MAX = 1_001
_FIXED_NEAR = 2
# Rates times items that are computed at once.
_CELLS_MAX = 2**20
# How many of the rules that do best on the sample are held against how many differences.
_RULES_JUDGED_MAX = 20
_JURY_MAX = 10_000

# One row per certain match: what each charged item was worth, ascending, and what was kept of them.
DIFFERENCE_SCHEMA = pl.Schema(
    [("currency", pl.String()), ("gross_minor", pl.List(pl.Int64)), ("fee_minor", pl.Int64())]
)


def learn_schedules(differences: pl.DataFrame) -> dict[str, Schedule]:
    """Return the rule of each currency that has one, in the order of their codes.

    `differences` is DIFFERENCE_SCHEMA; rows that cannot be a fee on money that arrives count for
    nothing.
    """
    rows = differences.filter(
        pl.col("fee_minor") > 0,
        pl.col("fee_minor") < pl.col("gross_minor").list.sum(),
        pl.col("gross_minor").list.min() > 0,
    )
    found = {}
    for (code,), own in rows.sort("currency").group_by("currency", maintain_order=True):
        if (schedule := learn_schedule(own)) is not None:
            found[str(code)] = schedule
    return found


def learn_schedule(differences: pl.DataFrame) -> Schedule | None:
    """Return the one rule that explains most differences of one currency, or None.

    `differences` is DIFFERENCE_SCHEMA, all amounts positive, in any order.
    """
    rows = differences.with_columns(sum=pl.col("gross_minor").list.sum())
    rows = rows.sort("sum", "fee_minor", "gross_minor")
    if rows.height < DIFFERENCES_MIN or rows["sum"].n_unique() < AMOUNTS_MIN:
        return None
    whole, jury = _Differences.of(rows), _Differences.of(_some(rows, _JURY_MAX))
    kinds = _Differences.of(rows.unique(("gross_minor", "fee_minor"), maintain_order=True))
    for step, sample_max in _SEARCHES:
        sample = _Differences.of(_some(rows, sample_max))
        promising = sorted(sample.judged(rate, fixed) for rate, fixed in _rules(sample, step))
        ranked = sorted(
            jury.judged(rule.rate_micros, rule.fixed_minor)
            for rule in promising[:_RULES_JUDGED_MAX]
        )
        if ranked:
            best = min(jury.judged(*rule) for rule in _near(ranked[0]))
            judged = whole.judged(best.rate_micros, best.fixed_minor)
            if (schedule := judged.schedule(rows.height)) is not None:
                return schedule if _is_no_chance(schedule, kinds) else None
    return None


def _some(rows: pl.DataFrame, count_max: int) -> pl.DataFrame:
    """Return so many rows at equal distances, small and large amounts alike."""
    places = np.linspace(0, rows.height - 1, min(count_max, rows.height)).astype(np.int64)
    return rows[np.unique(places)]


@dataclass(frozen=True, slots=True, order=True)
class _Judged:
    """A rule and how it does; what explains more, more exactly, more simply, sorts first."""

    unexplained: int
    inexact: int
    is_odd: bool
    fixed_minor: int
    rate_micros: int

    def schedule(self, support: int) -> Schedule | None:
        explained = support - self.unexplained
        if explained * 100 < support * EXPLAINED_PERCENT_MIN:
            return None
        return Schedule(self.rate_micros, self.fixed_minor, support, explained)


@dataclass(frozen=True, slots=True)
class _Differences:
    """Differences as columns: `gross` holds the items of all in turn, from `start` on."""

    gross: Ints
    start: Ints
    count: Ints
    fee: Ints

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "_Differences":
        count = rows["gross_minor"].list.len().to_numpy().astype(np.int64)
        return cls(
            rows["gross_minor"].explode().to_numpy().astype(np.int64),
            np.cumsum(count) - count,
            count,
            rows["fee_minor"].to_numpy().astype(np.int64),
        )

    def left_over(self, rate_micros: Ints | int) -> Ints:
        """Return what a rate, or each of a column of rates, does not explain of each difference."""
        shares = share(self.gross, rate_micros)
        if len(self.gross) > len(self.fee):
            shares = np.add.reduceat(shares, self.start, axis=-1)
        rest: Ints = self.fee - shares
        return rest

    def apart(self, rate_micros: int, fixed_minor: int) -> Ints:
        """Return by how much a rule misses each difference."""
        missed: Ints = np.abs(self.left_over(rate_micros) - fixed_minor * self.count)
        return missed

    def judged(self, rate_micros: int, fixed_minor: int) -> _Judged:
        """Hold a rule against all differences."""
        apart = self.apart(rate_micros, fixed_minor)
        return _Judged(
            unexplained=int((apart > SLACK_MINOR).sum()),
            inexact=int((apart > 0).sum()),
            is_odd=rate_micros % 1_000 != 0,
            fixed_minor=fixed_minor,
            rate_micros=rate_micros,
        )


def _near(found: _Judged) -> Iterator[tuple[int, int]]:
    """Yield a rule and those around it: between two steps of the rate may lie a better one."""
    step, finest = _SEARCHES[0][0], _SEARCHES[-1][0]
    low, high = max(found.rate_micros - step, 0), min(found.rate_micros + step, RATE_MICROS_MAX)
    for rate in range(low, high + 1, finest):
        for fixed in range(
            max(found.fixed_minor - _FIXED_NEAR, 0), found.fixed_minor + _FIXED_NEAR + 1
        ):
            if rate > 0 or fixed > 0:
                yield rate, fixed


def _rules(sample: _Differences, step: int) -> Iterator[tuple[int, int]]:
    """Yield the rates and fixed parts that explain most of a sample.

    What a rate leaves over of each item is sorted: if the fixed part is one number to one unit
    either way, enough neighbours span two units at most.
    """
    rates = np.arange(0, RATE_MICROS_MAX + 1, step, dtype=np.int64)
    at_once = max(_CELLS_MAX // len(sample.gross), 1)
    left_over = np.concatenate(
        [
            np.sort(sample.left_over(rates[low : low + at_once, None]) // sample.count, axis=1)
            for low in range(0, len(rates), at_once)
        ]
    )
    enough = -(-len(sample.fee) * _SAMPLE_PERCENT_MIN // 100)
    first, last = left_over[:, : len(sample.fee) - enough + 1], left_over[:, enough - 1 :]
    span = (last - first).min(axis=1)
    promising = np.flatnonzero(span <= 2 * SLACK_MINOR)
    promising = promising[np.argsort(span[promising], kind="stable")][:_RATES_TRIED_MAX]
    for k in promising.tolist():
        fits = np.flatnonzero(last[k] - first[k] <= 2 * SLACK_MINOR)
        ends = last[k][fits] - SLACK_MINOR, first[k][fits] + SLACK_MINOR
        for fixed in np.unique([*ends, (ends[0] + ends[1]) // 2]).tolist():
            if fixed >= 0 and (rates[k] > 0 or fixed > 0):
                yield int(rates[k]), fixed


def _is_no_chance(rule: Schedule, kinds: _Differences) -> bool:
    """Say whether differences without a rule would hardly ever fit one as well.

    Each kind of difference counts once: a price that is paid every month says the same each time.
    One fits by chance when it falls on three minor units of all those over which differences
    spread. Two of them fix a rule; each further one is a test of it. A fixed fee needs differences
    that are equal: nearly all of them, for then they do not spread.
    """
    count, slack = len(kinds.fee), SLACK_MINOR if rule.rate_micros else 0
    explained = int((kinds.apart(rule.rate_micros, rule.fixed_minor) <= slack).sum())
    if explained < AMOUNTS_MIN or explained * 100 < count * EXPLAINED_PERCENT_MIN:
        return False
    if rule.rate_micros == 0 and explained * 100 >= count * _NEARLY_ALL_PERCENT:
        return True
    low, high = np.quantile(kinds.fee, [0.1, 0.9], method="nearest").tolist()
    by_chance = min(1.0, (2 * slack + 1) / (high - low + 1))
    tests = explained - 2
    choices = (
        math.lgamma(count + 1) - math.lgamma(explained + 1) - math.lgamma(count - explained + 1)
    )
    return choices + tests * math.log(by_chance) < math.log(_CHANCE_MAX)

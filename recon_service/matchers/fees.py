"""Finds the fee that a bank or provider keeps, as an exact rule: a rate and a fixed part.

    net = gross - round_half_even(|gross| * rate) - fixed

The pairs given must be certain by their reference, so that a difference is a fee and no
mismatch. Rates are tried in steps of 0.01 %, then of 0.001 %; for each, what is left over must
be one and the same whole number of minor units on nearly all pairs. Outliers (refunds, other
tariffs) have no pull: they are simply not explained. Tiers, and lowest or highest fees, are
beyond this rule. Every deciding test is in integers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

PAIRS_MIN = 8
AMOUNTS_MIN = 3
EXPLAINED_PERCENT_MIN = 90
RATE_MICROS_MAX = 100_000
"""Ten per cent: beyond it, a difference is no fee."""
SLACK_MINOR = 1
# The chance that differences without any rule would fit one as well.
_CHANCE_MAX = 1e-6
_MILLION = 1_000_000
# Step of the rate, and how many pairs are looked at to find it; the rest only decide.
_SEARCHES = ((100, 1_000), (10, 200))
# In the sample outliers may be a little more frequent than in the whole.
_SAMPLE_PERCENT_MIN = 85
_RATES_TRIED_MAX = 400


@dataclass(frozen=True, slots=True)
class Schedule:
    """A fee of `rate_micros` millionths of the gross amount plus `fixed_minor`.

    `support` pairs had a difference, `explained` of them agree with the rule to one minor unit.
    """

    rate_micros: int
    fixed_minor: int
    support: int
    explained: int

    def fee_minor(self, gross_minor: Ints) -> Ints:
        """Return the fee on each gross amount, never negative."""
        fee: Ints = _share(np.abs(gross_minor), self.rate_micros) + self.fixed_minor
        return fee


def explained_by(schedule: Schedule, gross_minor: Ints, net_minor: Ints) -> npt.NDArray[np.bool_]:
    """Return per pair whether the rule explains its difference to one minor unit."""
    left_over = gross_minor - net_minor - schedule.fee_minor(gross_minor)
    explained: npt.NDArray[np.bool_] = np.abs(left_over) <= SLACK_MINOR
    return explained


def learn_schedules(
    gross_minor: Ints, net_minor: Ints, currencies: npt.NDArray[np.object_]
) -> dict[str, Schedule]:
    """Return the rule of each currency that has one, in the order of their codes."""
    found = {}
    for code in sorted(set(currencies.tolist())):
        rows = currencies == code
        schedule = learn_schedule(gross_minor[rows], net_minor[rows])
        if schedule is not None:
            found[code] = schedule
    return found


def learn_schedule(gross_minor: Ints, net_minor: Ints) -> Schedule | None:
    """Return the one rule that explains nearly all pairs that differ, or None.

    `gross_minor` is the ledger's amount, `net_minor` the bank's, of one currency, signed alike:
    a fee makes what arrives smaller and what leaves larger. Whatever the order of pairs.
    """
    differs = gross_minor != net_minor
    gross, fee = np.abs(gross_minor[differs]), (gross_minor - net_minor)[differs]
    order = np.lexsort((fee, gross))
    gross, fee = gross[order], fee[order]
    if len(gross) < PAIRS_MIN or len(np.unique(gross)) < AMOUNTS_MIN:
        return None
    for step, sample_max in _SEARCHES:
        rows = np.unique(np.linspace(0, len(gross) - 1, sample_max).astype(np.int64))
        rules = _rules(gross[rows], fee[rows], step)
        ranked = sorted(_judged(gross, fee, rate, fixed) for rate, fixed in rules)
        if ranked and (best := ranked[0].schedule(len(gross))) is not None:
            return best if _is_no_chance(best, gross, fee) else None
    return None


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


def _judged(gross: Ints, fee: Ints, rate_micros: int, fixed_minor: int) -> _Judged:
    apart = np.abs(fee - _share(gross, rate_micros) - fixed_minor)
    return _Judged(
        unexplained=int((apart > SLACK_MINOR).sum()),
        inexact=int((apart > 0).sum()),
        is_odd=rate_micros % 1_000 != 0,
        fixed_minor=fixed_minor,
        rate_micros=rate_micros,
    )


def _rules(gross: Ints, fee: Ints, step: int) -> Iterator[tuple[int, int]]:
    """Yield the rates and fixed parts that explain most of a sample.

    What a rate leaves over is sorted: if the fixed part is one number to one unit either way,
    enough neighbours span two units at most.
    """
    rates = np.arange(0, RATE_MICROS_MAX + 1, step, dtype=np.int64)
    left_over = np.sort(fee[None, :] - _share(gross[None, :], rates[:, None]), axis=1)
    enough = -(-len(gross) * _SAMPLE_PERCENT_MIN // 100)
    first, last = left_over[:, : len(gross) - enough + 1], left_over[:, enough - 1 :]
    span = (last - first).min(axis=1)
    promising = np.flatnonzero(span <= 2 * SLACK_MINOR)
    promising = promising[np.argsort(span[promising], kind="stable")][:_RATES_TRIED_MAX]
    for k in promising.tolist():
        fits = np.flatnonzero(last[k] - first[k] <= 2 * SLACK_MINOR)
        starts = np.unique([last[k][fits] - SLACK_MINOR, first[k][fits] + SLACK_MINOR])
        for fixed in range(max(int(starts.min()), 0), int(starts.max()) + 1):
            if rates[k] > 0 or fixed > 0:
                yield int(rates[k]), fixed


def _is_no_chance(schedule: Schedule, gross: Ints, fee: Ints) -> bool:
    """Say whether differences without a rule would hardly ever fit one as well.

    A pair fits by chance when its difference falls on three minor units of all those over which
    differences spread. Two pairs fix a rule; each further one is a test of it. Differences that
    do not spread are a fixed fee only when they are equal.
    """
    exact = int((fee == schedule.fee_minor(gross)).sum())
    if schedule.rate_micros == 0:
        return exact * 100 >= schedule.support * EXPLAINED_PERCENT_MIN
    low, high = np.quantile(fee, [0.1, 0.9], method="nearest").tolist()
    by_chance = min(1.0, (2 * SLACK_MINOR + 1) / (high - low + 1))
    tests = schedule.explained - 2
    choices = math.lgamma(schedule.support + 1) - (
        math.lgamma(schedule.explained + 1) + math.lgamma(schedule.support - schedule.explained + 1)
    )
    return choices + tests * math.log(by_chance) < math.log(_CHANCE_MAX)


def _share(size: Ints, rate_micros: Ints | int) -> Ints:
    """Return size * rate, rounded half to even; exact, whatever the size."""
    whole, rest = size // _MILLION, size % _MILLION
    below = whole * rate_micros + rest * rate_micros // _MILLION
    part = rest * rate_micros % _MILLION
    is_up = (part * 2 > _MILLION) | ((part * 2 == _MILLION) & (below % 2 == 1))
    share: Ints = below + is_up
    return share

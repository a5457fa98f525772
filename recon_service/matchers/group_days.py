"""Groups by counterparty and day: all rows of a pool over some days make up an amount."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.matchers.group_links import Links
from recon_service.matchers.group_rows import Fee, Hit, Searched, View, whole_unit_minor

Ints = npt.NDArray[np.int64]

# Days with rows that one amount may gather.
BUSY_DAYS_MAX = 31
# Sums of days formed per search; what is not formed is counted as cut.
_RANGES_MAX = 4_000_000
MEMBERS_MAX = 2000


def day_ranges(view: View, linked: Links) -> Searched:
    """Find the single rows that are the sum of all free rows of their pool over adjacent days.

    A range of one row is no group, but where it has the amount too the answer is not unique.
    """
    pools = Pools.of(view, linked)
    ones = pools.ones
    first, last = view.reach(ones["one"].to_numpy())
    start, stop = pools.within(ones["pool"].to_numpy(), first, last)
    several = stop - start > 1
    ones = ones.with_columns(first=first, last=last, start=start, stop=stop).filter(several)
    hits: dict[int, Hit] = {}
    cut = False
    for fee in view.fees:
        target, amounts = view.amounts(fee)
        ranges, is_cut = _ranges(pools, amounts, span_days=view.span_days)
        cut |= is_cut
        wanted = ones.with_columns(sum=target[ones["one"].to_numpy()])
        found = wanted.join(ranges, on=("pool", "sum")).filter(
            pl.col("first_day") >= pl.col("first"), pl.col("last_day") <= pl.col("last")
        )
        found = found.sort("one", "pool", "begin", "end")
        for (one,), same in found.group_by("one", maintain_order=True):
            if one not in hits and (hit := _hit(view, pools, linked, same, fee)):
                hits[int(one)] = hit
    tried = ones["one"].n_unique()
    return Searched(list(hits.values()), tried, tried if cut else 0)


@dataclass(frozen=True, slots=True)
class Pools:
    """The free rows of the many's side by pool and day, and the single rows that look there."""

    ones: pl.DataFrame
    pool: Ints
    day: Ints
    row: Ints
    _keys: Ints
    _first_day: int
    _days: int

    @classmethod
    def of(cls, view: View, linked: Links) -> "Pools":
        """Sort the rows that are free."""
        sides = [linked.records, linked.items]
        ours, theirs = sides if view.is_payout else reversed(sides)
        free = pl.Series(view.ones.free[ours["row"].to_numpy()])
        ones = ours.filter(free).rename({"row": "one"}).sort("one", "pool")
        theirs = theirs.filter(pl.Series(view.many.free[theirs["row"].to_numpy()]))
        theirs = theirs.join(ones, on="pool", how="semi")
        pool, row = (theirs[name].to_numpy() for name in ("pool", "row"))
        return cls.sorted(ones, pool, view.many.day[row], row)

    @classmethod
    def sorted(cls, ones: pl.DataFrame, pool: Ints, day: Ints, row: Ints) -> "Pools":
        """Sort rows by pool and day."""
        order = np.lexsort((row, day, pool))
        pool, day, row = pool[order], day[order], row[order]
        first_day = int(day.min(initial=0)) if len(day) else 0
        days = int(day.max() - first_day + 1) if len(day) else 1
        return cls(ones, pool, day, row, pool * days + (day - first_day), first_day, days)

    def within(self, pool: Ints, first: Ints, last: Ints) -> tuple[Ints, Ints]:
        """Return where the rows of each pool from `first` to `last` day begin and end."""
        low = np.clip(first - self._first_day, 0, self._days)
        high = np.clip(last - self._first_day + 1, 0, self._days)
        start = np.searchsorted(self._keys, pool * self._days + low, side="left")
        stop = np.searchsorted(self._keys, pool * self._days + high, side="left")
        return start, np.maximum(start, stop)

    def rows(self, pools: Ints, first: int, last: int) -> set[int]:
        """Return all rows of some pools from one day to another."""
        low = min(max(first - self._first_day, 0), self._days)
        high = min(max(last - self._first_day + 1, low), self._days)
        starts = np.searchsorted(self._keys, pools * self._days + low).tolist()
        stops = np.searchsorted(self._keys, pools * self._days + high).tolist()
        bounds = zip(starts, stops, strict=True)
        return {row for start, stop in bounds for row in self.row[start:stop].tolist()}


def _ranges(pools: Pools, amounts: Ints, *, span_days: int) -> tuple[pl.DataFrame, bool]:
    """Return the sum over each range of adjacent busy days of a pool."""
    fresh = (np.diff(pools.pool, prepend=-1) != 0) | (np.diff(pools.day, prepend=0) != 0)
    block = np.append(np.flatnonzero(fresh), len(pools.row)).astype(np.int64)
    total = np.append(0, np.cumsum(amounts[pools.row]))
    pool, day = pools.pool[block[:-1]], pools.day[block[:-1]]
    begins, ends, formed = [], [], 0
    for length in range(min(BUSY_DAYS_MAX, len(pool), span_days + 1)):
        begin = np.arange(len(pool) - length)
        end = begin + length
        kept = (pool[begin] == pool[end]) & (day[end] - day[begin] <= span_days)
        if not kept.any() or formed > _RANGES_MAX:
            break
        begins.append(begin[kept])
        ends.append(end[kept])
        formed += len(begins[-1])
    none = np.zeros(0, np.int64)
    begin, end = np.concatenate([none, *begins]), np.concatenate([none, *ends])
    frame = pl.DataFrame(
        {
            "pool": pool[begin],
            "first_day": day[begin],
            "last_day": day[end],
            "begin": block[begin],
            "end": block[end + 1],
            "sum": total[block[end + 1]] - total[block[begin]],
        }
    )
    return frame, formed > _RANGES_MAX


def _hit(
    view: View, pools: Pools, linked: Links, same: pl.DataFrame, fee: Fee | None
) -> Hit | None:
    """Return the smallest of the answers for one single row; None if no answer is a group."""
    target, amounts = view.amounts(fee)
    answers: dict[tuple[int, ...], dict[str, int]] = {}
    for answer in same.to_dicts():
        if answer["end"] - answer["begin"] <= MEMBERS_MAX:
            members = tuple(sorted(pools.row[answer["begin"] : answer["end"]].tolist()))
            answers.setdefault(members, answer)
    groups = [members for members in answers if len(members) > 1]
    if not groups:
        return None
    members = min(groups, key=lambda rows: (len(rows), rows))
    answer = answers[members]
    one = answer["one"]
    looked_at = same.unique("pool").select("start", "stop").iter_rows()
    near = sum(_near(pools, amounts, int(target[one]), *bounds) for bounds in looked_at)
    unit = whole_unit_minor(amounts[list(members)])
    others = max(near - len(answers), 0) + 0.5
    return Hit(
        view.is_payout,
        (one,),
        members,
        by=f"{'counterparty' if linked.kind == 'party' else linked.kind} and day",
        kind=linked.kind,
        key=linked.keys[answer["pool"]],
        expected=others * unit / (abs(int(target[one])) + 1),
        solutions=len(answers) + has_smaller(amounts[list(members)], int(target[one])),
        fee=fee,
    )


def has_smaller(amounts: Ints, target: int) -> bool:
    """Whether a part of the members would do: one of them alone, or all without two that cancel."""
    return bool(np.isin(target, amounts) or np.isin(-amounts, amounts).any())


def _near(pools: Pools, amounts: Ints, target: int, start: int, stop: int) -> int:
    """Count the ranges of days whose sum is within half the target."""
    rows, day = pools.row[start:stop], pools.day[start:stop]
    fresh = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
    total = np.append(0, np.cumsum(amounts[rows]))[np.append(fresh, len(rows))]
    sums = (total[None, :] - total[:, None])[np.triu_indices(len(total), 1)]
    return int((np.abs(sums - target) <= abs(target) // 2).sum())

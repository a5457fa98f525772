"""Groups by search: some of the rows of a small pool make up an amount, and only in one way."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.matchers.group_days import Pools
from recon_service.matchers.group_keys import SEVERAL_KEYS, Batch, named_rows
from recon_service.matchers.group_links import Links
from recon_service.matchers.group_rows import Fee, Hit, Searched, View
from recon_service.matchers.sides import dense_codes
from recon_service.matchers.subset_sum import solutions

Ints = npt.NDArray[np.int64]

POOL_ROWS_MAX = 32
# Sums formed for one pool of POOL_ROWS_MAX rows, all of them different.
_POOL_WORK_MAX = 2**17
# Pools up to here are tried all at once; then those that can reach the amount one by one.
_AT_ONCE_MAX = 12
_CELLS_MAX = 2**22
# Where chance alone gives so many answers, none means anything: such a pool is not searched.
_BY_CHANCE_MAX = 10.0
# A search costs about as much as forming this many sums even where the pool is tiny.
_SEARCH_WORK = 2048
# Rows in the window of which those larger than the amount are still dropped before counting.
_NEIGHBOURS_MAX = 512


@dataclass(slots=True)
class Budget:
    """The sums that may still be formed."""

    work: int


@dataclass(frozen=True, slots=True)
class _Pool:
    """Rows some of which may join `named`, which are members already."""

    one: int
    rows: Ints
    key: str | None
    named: tuple[int, ...] = ()


def linked_subsets(view: View, linked: Links, budget: Budget) -> Searched:
    """Search the pools of a kind: rows in the window that share a key, of any sign."""
    pools = Pools.of(view, linked)
    ones, pool = (pools.ones[name].to_numpy() for name in ("one", "pool"))
    start, stop = pools.within(pool, *view.reach(ones))
    size = stop - start
    small = np.flatnonzero((size > 2) & (size <= POOL_ROWS_MAX))
    found = [
        _Pool(int(ones[k]), np.sort(pools.row[start[k] : stop[k]]), linked.keys[int(pool[k])])
        for k in small.tolist()
    ]
    crowded = len(np.setdiff1d(ones[size > POOL_ROWS_MAX], ones[small]))
    return _search(view, found, linked.kind, budget, crowded)


def named_subsets(
    view: View,
    linked: dict[str, Links],
    budget: Budget,
    *,
    gathering_days: int,
    only: Collection[int] | None = None,
) -> tuple[Searched, set[Batch]]:
    """Complete what keys name only in part, by rows that no other key claims.

    They are of the named rows' counterparties, in the window or on the days of the named; or
    share the counterparty or a telling word with the single row and the named, on their days; or,
    if there are none such, with the single row alone.
    Also returns the batches on whose own days there are such rows beside the named.
    `only` are the single rows to look at, by default all.
    """
    batches = named_rows(view, linked["key"], gathering_days=gathering_days)
    wanted = batches if only is None else batches.filter(pl.col("one").is_in(sorted(only)))
    if wanted.is_empty():
        return _search(view, [], "named", budget, 0), set()
    claimed = dict(batches.explode("row").group_by("row").agg(pl.col("one").unique()).iter_rows())
    sources = [_own_parties(view), *(_kindred(view, linked[kind]) for kind in ("party", "word"))]
    found, crowded, incomplete = [], 0, set()
    for one, pool, named in wanted.select("one", "pool", "row").iter_rows():
        if pool == SEVERAL_KEYS and len(named) == 1:
            continue  # its only key is a pool of its own
        days = view.many.day[named]
        low, high = int(days.min()), int(days.max())
        first, last = (int(day[0]) for day in view.reach(np.array([one])))
        others = sources[0](one, named, min(first, low), max(last, high))
        for source in sources[1:]:
            others |= source(one, named, low, high)
        others = _unclaimed(others, one, named, claimed)
        if any(low <= view.many.day[row] <= high for row in others):
            incomplete.add((one, tuple(named)))
        if not others:
            others = set().union(*(source(one, [], low, high) for source in sources[1:]))
            others = _unclaimed(others, one, named, claimed)
        if others and len(others) <= POOL_ROWS_MAX:
            key = linked["key"].keys[pool] if pool != SEVERAL_KEYS else f"{len(named)} keys"
            found.append(_Pool(one, np.array(sorted(others)), key, tuple(named)))
        crowded += len(others) > POOL_ROWS_MAX
    return _search(view, found, "named", budget, crowded), incomplete


def _unclaimed(
    rows: set[int], one: int, named: list[int], claimed: dict[int, list[int]]
) -> set[int]:
    """Return the rows that are not named, by this single row or another."""
    return {row for row in rows.difference(named) if set(claimed.get(row, [one])) == {one}}


_Source = Callable[[int, list[int], int, int], set[int]]


def _own_parties(view: View) -> _Source:
    """Return how to find the rows of the named rows' counterparties from one day to another."""
    frame = view.many.frame
    code = frame.select(pl.struct("currency", "party").rank("dense").cast(pl.Int64))
    party = code.to_series().to_numpy()
    is_known = frame["party"].is_not_null().to_numpy()
    rows = np.flatnonzero(is_known & view.many.free)
    pools = Pools.sorted(view.ones.frame.head(0), party[rows], view.many.day[rows], rows)

    def source(one: int, named: list[int], first: int, last: int) -> set[int]:
        codes = np.unique(party[[row for row in named if is_known[row]]])
        return pools.rows(codes, first, last)

    return source


def _kindred(view: View, linked: Links) -> _Source:
    """Return how to find the rows that share a key of this kind with the single row.

    Where named rows are given they must share it too.
    """
    pools = Pools.of(view, linked)
    of_one = dict(pools.ones.group_by("one").agg("pool").iter_rows())
    of_row: dict[int, list[int]] = {}
    for pool, row in zip(pools.pool.tolist(), pools.row.tolist(), strict=True):
        of_row.setdefault(row, []).append(pool)

    def source(one: int, named: list[int], first: int, last: int) -> set[int]:
        shared = set(of_one.get(one, []))
        if named:
            shared &= {pool for row in named for pool in of_row.get(row, [])}
        return pools.rows(np.array(sorted(shared), np.int64), first, last)

    return source


def window_subsets(view: View, budget: Budget) -> Searched:
    """Search among all rows in the window of the same currency and sign, none larger."""
    ones = np.flatnonzero(view.ones.free)
    many = np.flatnonzero(view.many.free)
    codes = dense_codes(view.ones.frame["currency"], view.many.frame["currency"])
    pool_of = [
        code.to_numpy() * 2 + (rows.amount_minor > 0)
        for code, rows in zip(codes, (view.ones, view.many), strict=True)
    ]
    pools = Pools.sorted(view.ones.frame.head(0), pool_of[1][many], view.many.day[many], many)
    start, stop = pools.within(pool_of[0][ones], *view.reach(ones))
    size = stop - start
    found, crowded = [], int((size > _NEIGHBOURS_MAX).sum())
    for k in np.flatnonzero((size > 1) & (size <= _NEIGHBOURS_MAX)).tolist():
        one = int(ones[k])
        rows = np.sort(pools.row[start[k] : stop[k]])
        most = abs(int(view.ones.amount_minor[one]))
        rows = rows[np.abs(view.many.amount_minor[rows]) <= most]
        if 1 < len(rows) <= POOL_ROWS_MAX:
            found.append(_Pool(one, rows, None))
        crowded += len(rows) > POOL_ROWS_MAX
    return _search(view, found, "window", budget, crowded)


def _search(view: View, pools: list[_Pool], kind: str, budget: Budget, crowded: int) -> Searched:
    """Search small pools before large ones while the budget lasts."""
    different = {(pool.one, pool.rows.tobytes(), pool.named): pool for pool in reversed(pools)}
    pools = sorted(different.values(), key=_cheap_first)
    pools_of = Counter(pool.one for pool in pools)
    hits: dict[int, Hit] = {}
    cut: set[int] = set()
    for fee in view.fees:
        answers: dict[int, list[Hit]] = {}
        for pool in _promising(view, pools, fee, budget, cut):
            budget.work -= _SEARCH_WORK
            if budget.work < 0:
                cut.add(pool.one)
                continue
            if hit := _solve(view, pool, kind, fee, budget):
                answers.setdefault(pool.one, []).append(hit)
        for one, found in answers.items():
            if one not in hits and (best := _together(found, pools_of[one])):
                hits[one] = best
    return Searched([hits[one] for one in sorted(hits)], len(pools_of), len(cut) + crowded)


def _cheap_first(pool: _Pool) -> tuple[int, int, str, tuple[int, ...]]:
    return len(pool.rows), pool.one, pool.key or "", pool.named


def _promising(
    view: View, pools: list[_Pool], fee: Fee | None, budget: Budget, cut: set[int]
) -> Iterator[_Pool]:
    """Yield the pools that are large or can reach the amount at all."""
    target, amounts = view.amounts(fee)
    start = 0
    while start < len(pools):
        size = len(pools[start].rows)
        chunk_max = max(_CELLS_MAX >> size, 1)
        stop = start + 1
        while stop < len(pools) and stop - start < chunk_max and len(pools[stop].rows) == size:
            stop += 1
        chunk = pools[start:stop]
        start = stop
        if size > _AT_ONCE_MAX:
            for pool in chunk:
                if _by_chance(amounts[pool.rows], _rest(pool, target, amounts)) <= _BY_CHANCE_MAX:
                    yield pool
                else:
                    cut.add(pool.one)
            continue
        budget.work -= len(chunk) << max(size - 4, 0)
        if budget.work < 0:
            cut.update(pool.one for pool in chunk)
            continue
        values = amounts[np.stack([pool.rows for pool in chunk])]
        sums = np.zeros((len(chunk), 1), np.int64)
        for place in range(size):
            sums = np.concatenate([sums, sums + values[:, place, None]], axis=1)
        wanted = np.array([_rest(pool, target, amounts) for pool in chunk])
        reached = (sums == wanted[:, None]).any(axis=1) & (wanted != 0)
        yield from (chunk[k] for k in np.flatnonzero(reached).tolist())


def _rest(pool: _Pool, target: Ints, amounts: Ints) -> int:
    """Return what the rows of the pool are to add to the named ones."""
    return int(target[pool.one]) - int(amounts[[*pool.named]].sum())


def _by_chance(amounts: Ints, rest: int) -> float:
    """Estimate the subsets that have a sum, by the normal distribution of the sums of all."""
    values = amounts / 2
    spread = max(float(np.sqrt((values**2).sum())), 1.0)
    distance = (rest - float(values.sum())) / spread
    return float(2.0 ** len(amounts) * np.exp(-(distance**2) / 2) / (spread * np.sqrt(2 * np.pi)))


def _solve(view: View, pool: _Pool, kind: str, fee: Fee | None, budget: Budget) -> Hit | None:
    """Return the smallest solution, which may be a single row, with the number of all."""
    target, amounts = view.amounts(fee)
    rest = _rest(pool, target, amounts)
    if rest == 0:
        return None
    found = solutions(amounts[pool.rows].tolist(), rest, count_max=2, work_max=_POOL_WORK_MAX)
    budget.work -= found.work
    if not found.solutions:
        return None
    own = len(pool.named)
    groups = [solution for solution in found.solutions if own + len(solution.members) > 1]
    best = (groups or found.solutions)[0]
    return Hit(
        view.is_payout,
        (pool.one,),
        tuple(sorted([*pool.named, *pool.rows[[*best.members]].tolist()])),
        by="subset",
        kind=kind,
        key=pool.key,
        expected=found.expected,
        solutions=found.count,
        interchangeable=best.interchangeable,
        truncated=found.truncated,
        fee=fee,
    )


def _together(found: list[Hit], pools: int) -> Hit | None:
    """Return the answer of one row's pools: other members in another pool are one more answer."""
    groups = [hit for hit in found if len(hit.members) > 1]
    if not groups:
        return None
    best = min(groups, key=lambda hit: (hit.solutions, hit.expected, hit.members))
    others = {hit.members for hit in found} - {best.members}
    return Hit(
        best.is_payout,
        best.ones,
        best.members,
        by=best.by,
        kind=best.kind,
        key=best.key,
        expected=pools * max(hit.expected for hit in found),
        solutions=best.solutions + len(others),
        interchangeable=best.interchangeable,
        truncated=any(hit.truncated for hit in found),
        fee=best.fee,
    )

"""Which of a few amounts add up to a target: all answers counted, and how many chance would give.

Meet in the middle: the sums of each half of the amounts, sorted, are searched for what the other
half lacks. Equal amounts are one class, so what is counted are solutions by value.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Sums beyond this could overflow; no real pool comes near.
_SUM_MAX = 2**61
# With more solutions than this nobody can tell which is meant: the first found are returned.
_LISTED_MAX = 16
# Amounts often end alike (.00, .99): coincidence is judged among sums with the target's ending.
_ENDINGS = (100, 1000, 10_000)
# Fewer other sums with the target's ending are no pattern.
_SAME_ENDING_MIN = 3


@dataclass(frozen=True, slots=True)
class Solution:
    """One way to reach the target.

    `members` are positions in the given amounts, ascending. `interchangeable` is the number of
    choices of members that give the very same amounts: above 1 the members are not certain.
    """

    members: tuple[int, ...]
    total_minor: int
    interchangeable: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    `count` is the number of solutions that differ by value, all of them unless `truncated`: then
    the bound stopped the search and it is the least. `expected` is how many solutions chance
    alone would give; `work` how many sums were looked at.
    """

    solutions: tuple[Solution, ...]
    count: int
    truncated: bool
    expected: float
    work: int


def solutions(
    amounts: Sequence[int],
    target: int,
    *,
    tolerance: int = 0,
    count_max: int = 2,
    work_max: int,
) -> Found:
    """Find members of `amounts` (of any sign) whose sum is within `tolerance` of `target`.

    Returns at most `count_max` solutions: nearest sum first, then fewest members, then lowest
    positions (of very many, the first found). A solution has at least one member; amounts of zero
    are never members. At most `work_max` sums are formed: where that is not enough for all, only
    small solutions are looked for and the result says `truncated`.
    """
    if sum(map(abs, amounts)) + abs(target) + tolerance > _SUM_MAX:
        return Found((), 0, truncated=True, expected=math.inf, work=0)
    classes = _classes(amounts, target, tolerance)
    halves = _split(classes)
    size_max = _size_max(halves, work_max)
    truncated = size_max is not None
    if any(math.prod(len(places) + 1 for _, places in half) > _SUM_MAX for half in halves):
        return Found((), 0, truncated=True, expected=math.inf, work=0)
    left, right = (_Half.of(half, size_max) for half in halves)
    order = np.argsort(right.sums, kind="stable")
    ascending = right.sums[order]
    start = np.searchsorted(ascending, target - tolerance - left.sums, side="left")
    stop = np.searchsorted(ascending, target + tolerance - left.sums, side="right")
    count = int((stop - start).sum()) - (abs(target) <= tolerance)
    work = len(left.sums) + len(right.sums)
    if count == 0:
        return Found((), 0, truncated, expected=0.0, work=work)
    listed_max = _LISTED_MAX if count <= _LISTED_MAX else count_max
    listed = [
        _solution(members, target, amounts)
        for members in _listed(left, right, order, start, stop, listed_max + 1)
        if members
    ]
    listed.sort(key=lambda pair: pair[0])
    chosen = tuple(
        Solution(members, total, _choices(members, classes, amounts))
        for (_, _, members), total in listed[:count_max]
    )
    if count > _LISTED_MAX:
        return Found(chosen, count, truncated, expected=float(count), work=work)
    density = _density(left.sums, ascending, target, tolerance=tolerance, count=count)
    expected = density * (_same_ending(classes, target) if count == 1 else 1.0)
    return Found(chosen, count, truncated, expected=expected, work=work)


_Class = tuple[int, list[int]]


def _classes(amounts: Sequence[int], target: int, tolerance: int) -> list[_Class]:
    """Return each amount that can take part, ascending, with its positions."""
    places: dict[int, list[int]] = {}
    for place, amount in enumerate(amounts):
        if amount:
            places.setdefault(amount, []).append(place)
    while True:
        gain = sum(amount * len(at) for amount, at in places.items() if amount > 0)
        loss = sum(amount * len(at) for amount, at in places.items() if amount < 0)
        useless = [
            amount
            for amount in places
            if (amount > 0 and amount + loss > target + tolerance)
            or (amount < 0 and amount + gain < target - tolerance)
        ]
        if not useless:
            return sorted(places.items())
        for amount in useless:
            del places[amount]


def _split(classes: list[_Class]) -> tuple[list[_Class], list[_Class]]:
    """Return two halves with about as many sums each."""
    halves: tuple[list[_Class], list[_Class]] = ([], [])
    sums = [1, 1]
    for amount, places in sorted(classes, key=lambda entry: (-len(entry[1]), entry[0])):
        smaller = 0 if sums[0] <= sums[1] else 1
        halves[smaller].append((amount, places))
        sums[smaller] *= len(places) + 1
    return halves


def _size_max(halves: tuple[list[_Class], list[_Class]], work_max: int) -> int | None:
    """Return how many members of a half may be combined within the bound; None if all may."""
    if sum(math.prod(len(places) + 1 for _, places in half) for half in halves) <= work_max:
        return None
    by_size = [_sums_by_size([len(places) for _, places in half]) for half in halves]
    size, work = 0, 2
    while True:
        work += sum(counts[size + 1] for counts in by_size if size + 1 < len(counts))
        if work > work_max:
            return size
        size += 1


def _sums_by_size(repeats: list[int]) -> list[int]:
    counts = [1]
    for repeat in repeats:
        longer = [0] * (len(counts) + repeat)
        for size, count in enumerate(counts):
            for more in range(repeat + 1):
                longer[size + more] += count
        counts = longer
    return counts


@dataclass(frozen=True, slots=True)
class _Half:
    """All sums of one half; `codes` tells how often each class takes part (mixed radix)."""

    classes: list[_Class]
    sums: Ints
    codes: Ints

    @classmethod
    def of(cls, classes: list[_Class], size_max: int | None) -> "_Half":
        sums = codes = sizes = np.zeros(1, np.int64)
        radix = 1
        for amount, places in classes:
            times = np.arange(len(places) + 1, dtype=np.int64)
            sums = (sums[:, None] + amount * times).ravel()
            codes = (codes[:, None] + radix * times).ravel()
            if size_max is not None:
                sizes = (sizes[:, None] + times).ravel()
                kept = sizes <= size_max
                sums, codes, sizes = sums[kept], codes[kept], sizes[kept]
            radix *= len(places) + 1
        return cls(classes, sums, codes)

    def members(self, index: int) -> list[int]:
        """Return the positions that make up one of the sums, the lowest of each class."""
        code, result = int(self.codes[index]), []
        for _, places in self.classes:
            code, times = divmod(code, len(places) + 1)
            result += places[:times]
        return result


def _listed(
    left: _Half, right: _Half, order: Ints, start: Ints, stop: Ints, listed_max: int
) -> Iterator[tuple[int, ...]]:
    """Yield the members of each solution; the empty one may be among them."""
    listed = 0
    for one in np.flatnonzero(stop > start).tolist():
        members = left.members(one)
        for place in range(int(start[one]), int(stop[one])):
            if listed >= listed_max:
                return
            listed += 1
            yield tuple(sorted(members + right.members(int(order[place]))))


_Ranked = tuple[tuple[int, int, tuple[int, ...]], int]


def _solution(members: tuple[int, ...], target: int, amounts: Sequence[int]) -> _Ranked:
    total = sum(amounts[place] for place in members)
    return (abs(total - target), len(members), members), total


def _choices(members: tuple[int, ...], classes: list[_Class], amounts: Sequence[int]) -> int:
    used: dict[int, int] = {}
    for place in members:
        used[amounts[place]] = used.get(amounts[place], 0) + 1
    return math.prod(math.comb(len(places), used.get(amount, 0)) for amount, places in classes)


def _density(left: Ints, ascending: Ints, target: int, *, tolerance: int, count: int) -> float:
    """Return how many sums chance puts into an interval as wide as the tolerance at the target.

    Other sums are counted within a quarter of the target on both sides; half a sum is added, as
    none seen does not mean that none could be.
    """
    accepted = 2 * tolerance + 1
    width = max(abs(target) // 4, 50 * accepted)
    start = np.searchsorted(ascending, target - width - left, side="left")
    stop = np.searchsorted(ascending, target + width - left, side="right")
    others = max(int((stop - start).sum()) - count, 0)
    return (others + 0.5) * accepted / (2 * width + 1)


def _same_ending(classes: list[_Class], target: int) -> float:
    """Return how much likelier than evenly spread sums these end as the target, but for one."""
    every = math.prod(len(places) + 1 for _, places in classes)
    most = 1.0
    for ending in _ENDINGS:
        share: Floats = np.zeros(ending)
        share[0] = 1.0
        for amount, places in classes:
            turned = share.copy()
            for k in range(1, len(places) + 1):
                cut = ending - amount * k % ending
                turned += np.concatenate([share[cut:], share[:cut]])
            share = turned / (len(places) + 1)
        others = float(share[target % ending]) * every - 1
        if others >= _SAME_ENDING_MIN:
            most = max(most, ending * others / every)
    return most

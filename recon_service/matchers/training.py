"""Learns what each level of evidence is worth at one source: the M step of Fellegi-Sunter by EM.

- It never looks at a truth. `fitting` expects which pairs are true, here it is counted how often
  those show each level, and weights follow: log2(m / u), m among true pairs, u among strangers.
- Pairs were let in by gates, so strangers must have passed them as well, but for the amount.
- Few pairs teach little: every level is drawn to its shipped bits the more, the fewer have shown
  it. Closer is never worth less than farther.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recon_service.matchers.weights import (
    BITS_MAX,
    BITS_MIN,
    BITS_PLACES,
    FEATURES,
    Feature,
    Weights,
    frozen,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]

# EM starts from the shipped bits as if they had been seen on this many pairs of either kind.
STRENGTH = 20.0
# How far, in bits, a source's true weight usually lies from the shipped one.
SHIPPED_SPREAD_BITS = 2.0
_TINY = 1e-12
# A vector of levels is one integer of this many bits per feature.
_LEVEL_BITS = 5


@dataclass(frozen=True, slots=True)
class LevelCounts:
    """How many pairs show each distinct vector of levels, one column per feature, sorted.

    -1 is missing. Equal content is equal whatever the order or number of parts it came in.
    """

    vectors: Levels
    counts: Ints

    @classmethod
    def of(
        cls,
        levels: Mapping[str, Levels],
        features: Sequence[Feature] = FEATURES,
        *,
        times: Ints | None = None,
    ) -> "LevelCounts":
        """Count the pairs whose levels are given by feature; pair k counts `times[k]` times."""
        table = np.column_stack([levels[feature.name] for feature in features]).astype(np.int8)
        counts = np.ones(len(table), np.int64) if times is None else times.astype(np.int64)
        return cls._distinct(table, counts)

    @classmethod
    def merged(cls, parts: Iterable["LevelCounts"]) -> "LevelCounts":
        """Return the counts of all parts, of at least one, together."""
        whole = list(parts)
        return cls._distinct(
            np.concatenate([part.vectors for part in whole]),
            np.concatenate([part.counts for part in whole]),
        )

    @classmethod
    def _distinct(cls, table: Levels, counts: Ints) -> "LevelCounts":
        assert table.shape[1] * _LEVEL_BITS < 63
        keys = np.zeros(len(table), np.int64)
        for column in table.T:
            keys = keys << _LEVEL_BITS | (column.astype(np.int64) + 1)
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
        if not len(starts):
            return cls(table, counts)
        summed = np.add.reduceat(counts[order], starts)
        return cls(table[order[starts]][summed > 0], summed[summed > 0])

    @property
    def pairs(self) -> int:
        """Return the number of pairs."""
        return int(self.counts.sum())


def refit(
    levels: Mapping[str, Levels],
    likely: Floats,
    others: LevelCounts,
    *,
    features: Sequence[Feature] = FEATURES,
    learned: Collection[str] | None = None,
    strength: float = STRENGTH,
) -> Weights:
    """Return weights where `likely` says how many true pairs each pair stands for.

    `learned` names the features to learn, all if not given; the rest keep their shipped bits.
    Being true is as good as `strength` pairs seen with the shipped bits.
    """
    bits: dict[str, tuple[float, ...]] = {}
    for column, feature in enumerate(features):
        weights = feature.shipped
        if learned is None or feature.name in learned:
            strange = _per_level(
                feature, _speaking(feature, others.vectors[:, column]), others.counts.astype(float)
            )
            true = _per_level(feature, _speaking(feature, levels[feature.name]), likely)
            weights = feature_bits(feature, true, strange, strength=strength)
        rounded = np.round(np.clip(weights, BITS_MIN, BITS_MAX), BITS_PLACES) + 0.0
        bits[feature.name] = tuple(rounded.tolist())
    return frozen(bits)


def feature_bits(
    feature: Feature, true: Floats, strange: Floats, *, strength: float = STRENGTH
) -> Floats:
    """Return the bits by level of a feature that so many true pairs and others have shown."""
    u = (strange + 0.5) / (strange + 0.5).sum()
    start = u * np.exp2(feature.shipped)
    m = _smoothed(true, start / start.sum(), strength)
    drawn = _drawn_to_shipped(feature, np.log2(m / u), (true, strange))
    return _monotone(feature, drawn, (true, strange))


def _speaking(feature: Feature, levels: Levels) -> npt.NDArray[np.intp]:
    """Return level indices in which the silent level is missing, too."""
    places = levels.astype(np.intp)
    return places if feature.silent is None else np.where(places == feature.silent, -1, places)


def _per_level(feature: Feature, levels: npt.NDArray[np.intp], weights: Floats) -> Floats:
    """Return the summed weights by level, without what is missing."""
    sums = np.bincount(levels + 1, weights=weights, minlength=len(feature.levels) + 1)
    return sums[1:].astype(np.float64)


def _smoothed(counts: Floats, start: Floats, strength: float) -> Floats:
    """Return the mean of the Dirichlet posterior: `strength` pairs were seen as at the start."""
    chances: Floats = (counts + strength * start) / (counts.sum() + strength)
    return np.maximum(chances, _TINY)


def _drawn_to_shipped(feature: Feature, learnt: Floats, shown: tuple[Floats, Floats]) -> Floats:
    """Return the learnt bits, drawn to the shipped ones by how unsure they are.

    The variance of the log of a ratio of two counts is about the sum of their inverses.
    """
    true, strange = shown
    learnt = np.clip(learnt, BITS_MIN, BITS_MAX)
    variance = (1.0 / (true + 0.5) + 1.0 / (strange + 0.5)) / math.log(2) ** 2
    trust = SHIPPED_SPREAD_BITS**2 / (SHIPPED_SPREAD_BITS**2 + variance)
    never = (true + strange) < 0.5
    bits = np.where(never, feature.shipped, trust * learnt + (1.0 - trust) * feature.shipped)
    if feature.silent is not None:
        bits[feature.silent] = 0.0
    return bits


def _monotone(feature: Feature, bits: Floats, shown: tuple[Floats, Floats]) -> Floats:
    """Return bits that never rise along a chain: neighbours that do are pooled.

    Later chains give way to earlier ones where they meet.
    """
    weight = 1.0 / (1.0 / (shown[0] + 0.5) + 1.0 / (shown[1] + 0.5))
    result, fixed = bits.copy(), set[int]()
    for chain in feature.chains:
        free = [place for place in chain if place not in fixed]
        top = min((result[place] for place in chain if place in fixed), default=math.inf)
        result[free] = np.minimum(_pooled(result[free], weight[free]), top)
        fixed.update(chain)
    return result


def _pooled(values: Floats, weights: Floats) -> Floats:
    """Return the nearest sequence that never rises, by pooling adjacent violators."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, mass, size = value, weight, 1
        while blocks and blocks[-1][0] < mean:
            other, other_mass, other_size = blocks.pop()
            mean = (mean * mass + other * other_mass) / (mass + other_mass)
            mass, size = mass + other_mass, size + other_size
        blocks.append((mean, mass, size))
    return np.concatenate([np.full(size, mean) for mean, _, size in blocks])

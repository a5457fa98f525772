"""Learns what each level of evidence is worth at one source: Fellegi-Sunter weights by EM.

    levels of pairs ─▶ LevelCounts ─▶ train: who is alike more than chance ─▶ Weights, frozen

Counts of distinct level vectors are integers, and each is looked at in one order, so the same
pairs give the same weights to the byte: in any order, in one process or summed over many.

What it can and cannot learn:

- It never looks at a truth. Expectation-maximisation splits the pairs into two kinds, starting
  from the shipped bits, and assumes that features tell their stories independently of each
  other. Features that tell the same story twice share one `story`; only the better one counts.
- Pairs were let in by gates, so a level says how much more often a true pair shows it than
  *another pair within the gates* does. Where a cap has cut pairs by a feature (equal amounts
  come first), the pairs that remain no longer show how common its levels are: leave such a
  feature out of `learned`, and it keeps the shipped bits.
- `others` are pairs known to be of different payments, such as a random draw from all pairs
  within the gates. Then the chance of each level among strangers is counted, not estimated,
  which is the surer way when true pairs are rare.
- Few pairs teach little: below `PAIRS_MIN` the shipped bits stand, above it every level is drawn
  to its shipped bits the more, the fewer pairs have shown it.
"""

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recon_service.domain.evidence import (
    AMOUNT,
    COUNTERPARTY,
    LAG,
    LAG_AFTER,
    NAME,
    PRIORS_VERSION,
    REFERENCE,
    WORDS,
    Level,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]

PAIRS_MIN = 2_000
# Fewer pairs that look true than this do not make a sample.
MATCHES_MIN = 100
# No single feature decides alone, however clear the data look.
BITS_MIN, BITS_MAX = -8.0, 12.0
# EM starts from the shipped bits as if they had been seen on this many pairs of either kind.
STRENGTH = 20.0
# How far, in bits, a source's true weight usually lies from the shipped one.
SHIPPED_SPREAD_BITS = 2.0
BITS_PLACES = 4
_ITERATIONS_MAX = 200
_STILL = 1e-6
_TINY = 1e-12
# A vector of levels is one integer of this many bits per feature.
_LEVEL_BITS = 5


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature's levels; along a chain, from closer to farther, bits never rise.

    Features of one story are not added: the better one counts. The level `silent` says
    nothing, like a missing one.
    """

    name: str
    levels: Sequence[Level]
    chains: tuple[tuple[int, ...], ...]
    story: str
    silent: int | None = None

    @property
    def shipped(self) -> Floats:
        """Return the shipped bits by level."""
        return np.array([level.bits for level in self.levels])


def _ordered(name: str, levels: Sequence[Level], story: str | None = None) -> Feature:
    return Feature(name, levels, (tuple(range(len(levels))),), story or name)


_AFTER = len(LAG_AFTER)
FEATURES = (
    _ordered("amount", AMOUNT),
    Feature("lag", LAG, (tuple(range(_AFTER)), (0, *range(_AFTER, len(LAG)))), "lag"),
    Feature(
        "reference",
        REFERENCE,
        (tuple(range(len(REFERENCE) - 1)),),
        "reference",
        silent=len(REFERENCE) - 1,
    ),
    _ordered("words", WORDS, "text"),
    _ordered("name", NAME, "text"),
    _ordered("counterparty", COUNTERPARTY),
)


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


@dataclass(frozen=True, slots=True)
class Weights:
    """Bits by feature and level, frozen under a version that names their content.

    `matched_share` is the estimated share of true pairs among those trained on; None if shipped.
    """

    version: str
    bits: Mapping[str, tuple[float, ...]]
    matched_share: float | None = None

    def of(self, feature: str, levels: Levels) -> Floats:
        """Return the bits of each level index; -1 stands for missing and is worth nothing."""
        table = np.array([*self.bits[feature], 0.0])
        return table[levels]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that survive JSON unchanged."""
        return {
            "version": self.version,
            "bits": {name: list(bits) for name, bits in self.bits.items()},
            "matched_share": self.matched_share,
        }

    @classmethod
    def from_dict(
        cls, stored: Mapping[str, Any], features: Sequence[Feature] = FEATURES
    ) -> "Weights":
        """Return stored weights; raise ValueError if they are not whole or fit other levels."""
        bits = {name: tuple(map(float, values)) for name, values in stored["bits"].items()}
        weights = cls(stored["version"], bits, stored["matched_share"])
        if {name: len(values) for name, values in bits.items()} != {
            feature.name: len(feature.levels) for feature in features
        }:
            raise ValueError(f"weights {weights.version} were learnt for other levels of evidence")
        expected = shipped(features)
        if weights not in (expected, _frozen(bits, weights.matched_share)):
            raise ValueError(f"weights {weights.version} are not what their version says")
        return weights


def shipped(features: Sequence[Feature] = FEATURES) -> Weights:
    """Return the weights that need no data."""
    bits = {feature.name: tuple(level.bits for level in feature.levels) for feature in features}
    return Weights(PRIORS_VERSION, bits)


def train(
    seen: LevelCounts,
    *,
    matches_max: int,
    others: LevelCounts | None = None,
    features: Sequence[Feature] = FEATURES,
    learned: Collection[str] | None = None,
    strength: float = STRENGTH,
) -> Weights:
    """Return the weights of a source's candidate pairs, the shipped ones where data are too few.

    `matches_max` is how many true pairs there can be: the rows of the smaller side. `others`
    are pairs of strangers. `learned` names the features to learn, all if not given; the rest
    keep their shipped bits, but still help to tell the pairs apart.
    """
    if seen.pairs < PAIRS_MIN:
        return shipped(features)
    model = _Model.start(seen, others, features, matches_max / seen.pairs, strength)
    likely = model.run()
    true_pairs = float(likely @ seen.counts)
    if true_pairs < MATCHES_MIN:
        return shipped(features)
    bits: dict[str, tuple[float, ...]] = {}
    for column, feature in enumerate(features):
        weights = feature.shipped
        if learned is None or feature.name in learned:
            shown = model.shown(column, likely)
            learnt = np.log2(model.m[column] / model.u[column])
            weights = _monotone(feature, _drawn_to_shipped(feature, learnt, shown), shown)
        rounded = np.round(np.clip(weights, BITS_MIN, BITS_MAX), BITS_PLACES) + 0.0
        bits[feature.name] = tuple(rounded.tolist())
    return _frozen(bits, round(true_pairs / seen.pairs, 6))


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

    It comes from a model that knows more than levels: rivals, and how rare an amount is. The
    chance of a level among strangers is counted in `others`.
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
    return _frozen(bits, None)


def feature_bits(
    feature: Feature, true: Floats, strange: Floats, *, strength: float = STRENGTH
) -> Floats:
    """Return the bits by level of a feature that so many true pairs and others have shown."""
    u = (strange + 0.5) / (strange + 0.5).sum()
    start = u * np.exp2(feature.shipped)
    m = _smoothed(true, start / start.sum(), strength)
    drawn = _drawn_to_shipped(feature, np.log2(m / u), (true, strange))
    return _monotone(feature, drawn, (true, strange))


def _frozen(bits: Mapping[str, tuple[float, ...]], matched_share: float | None) -> Weights:
    content = json.dumps([sorted(bits.items()), matched_share], separators=(",", ":"))
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return Weights(f"em-1:{digest}", bits, matched_share)


@dataclass(slots=True)
class _Model:
    """The state of EM: `m` and `u` by feature, as chances of each level, and the matched share."""

    seen: LevelCounts
    others: LevelCounts | None
    features: Sequence[Feature]
    levels: list[npt.NDArray[np.intp]]
    share_max: float
    share: float
    m: list[Floats]
    u: list[Floats]
    m_start: list[Floats]
    u_start: list[Floats]
    strength: float

    @classmethod
    def start(
        cls,
        seen: LevelCounts,
        others: LevelCounts | None,
        features: Sequence[Feature],
        share_max: float,
        strength: float,
    ) -> "_Model":
        """Take the levels of strangers, or of all pairs, as chance; tilt it by shipped bits."""
        base = others if others is not None else seen
        levels = [_speaking(feature, seen.vectors[:, k]) for k, feature in enumerate(features)]
        u, m = [], []
        for column, feature in enumerate(features):
            places = _speaking(feature, base.vectors[:, column])
            count = _per_level(feature, places, base.counts.astype(np.float64)) + 0.5
            chance = count / count.sum()
            tilted = chance * np.exp2(feature.shipped)
            u.append(chance)
            m.append(tilted / tilted.sum())
        share_max = min(share_max, 1 - 1e-6)
        return cls(
            seen, others, features, levels, share_max, share_max, m, u, list(m), list(u), strength
        )

    def run(self) -> Floats:
        """Alternate until nothing moves; return the chance of each vector to be a true pair."""
        likely = self._expected()
        for _ in range(_ITERATIONS_MAX):
            self._maximise(likely)
            again = self._expected()
            moved = float(np.abs(again - likely).max(initial=0.0))
            likely = again
            if moved < _STILL:
                break
        return likely

    def shown(self, column: int, likely: Floats) -> tuple[Floats, Floats]:
        """Return how many true pairs, and how many others, have shown each level."""
        feature = self.features[column]
        counts = self.seen.counts
        true = _per_level(feature, self.levels[column], likely * counts)
        if self.others is None:
            return true, _per_level(feature, self.levels[column], (1.0 - likely) * counts)
        places = _speaking(feature, self.others.vectors[:, column])
        return true, _per_level(feature, places, self.others.counts.astype(np.float64))

    def _expected(self) -> Floats:
        """Return the chance of each vector to be a true pair; of one story the best counts."""
        stories: dict[str, Floats] = {}
        for k, feature in enumerate(self.features):
            bits = np.append(np.log2(self.m[k] / self.u[k]), -np.inf)[self.levels[k]]
            best = stories.get(feature.story)
            stories[feature.story] = bits if best is None else np.maximum(best, bits)
        total = np.full(len(self.seen.counts), math.log2(self.share / (1.0 - self.share)))
        for bits in stories.values():
            total = total + np.where(np.isneginf(bits), 0.0, bits)
        likely: Floats = 1.0 / (1.0 + np.exp2(np.clip(-total, -1000.0, 1000.0)))
        return likely

    def _maximise(self, likely: Floats) -> None:
        share = float(likely @ self.seen.counts) / self.seen.pairs
        self.share = min(max(share, _TINY), self.share_max)
        for column in range(len(self.features)):
            true, strange = self.shown(column, likely)
            self.m[column] = _smoothed(true, self.m_start[column], self.strength)
            if self.others is None:
                self.u[column] = _smoothed(strange, self.u_start[column], self.strength)


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

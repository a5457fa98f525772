"""What each level of each feature is worth in bits, frozen under a version that names it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
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
Levels = npt.NDArray[np.int8]

# No single feature decides alone, however clear the data look.
BITS_MIN, BITS_MAX = -8.0, 12.0
BITS_PLACES = 4


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
class Weights:
    """Bits by feature and level, frozen under a version that names their content."""

    version: str
    bits: Mapping[str, tuple[float, ...]]

    def of(self, feature: str, levels: Levels) -> Floats:
        """Return the bits of each level index; -1 stands for missing and is worth nothing."""
        table = np.array([*self.bits[feature], 0.0])
        return table[levels]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that survive JSON unchanged."""
        return {
            "version": self.version,
            "bits": {name: list(bits) for name, bits in self.bits.items()},
        }

    @classmethod
    def from_dict(
        cls, stored: Mapping[str, Any], features: Sequence[Feature] = FEATURES
    ) -> "Weights":
        """Return stored weights; raise ValueError if they are not whole or fit other levels."""
        bits = {name: tuple(map(float, values)) for name, values in stored["bits"].items()}
        weights = cls(stored["version"], bits)
        if {name: len(values) for name, values in bits.items()} != {
            feature.name: len(feature.levels) for feature in features
        }:
            raise ValueError(f"weights {weights.version} were learnt for other levels of evidence")
        expected = shipped(features)
        if weights not in (expected, frozen(bits)):
            raise ValueError(f"weights {weights.version} are not what their version says")
        return weights


def shipped(features: Sequence[Feature] = FEATURES) -> Weights:
    """Return the weights that need no data."""
    bits = {feature.name: tuple(level.bits for level in feature.levels) for feature in features}
    return Weights(PRIORS_VERSION, bits)


def frozen(bits: Mapping[str, tuple[float, ...]]) -> Weights:
    """Return learnt bits as weights whose version is a digest of their content."""
    content = json.dumps(sorted(bits.items()), separators=(",", ":"))
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return Weights(f"em-1:{digest}", bits)

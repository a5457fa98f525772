"""Trained weights: what they recover, when they stay as shipped, how they are kept."""

import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from recon_service.domain.evidence import REFERENCE, Level, bits_of
from recon_service.matchers.training import LevelCounts, refit
from recon_service.matchers.weights import FEATURES, Feature, Weights, shipped

Planted = Mapping[str, tuple[list[float], list[float], list[float]]]
Levels = dict[str, npt.NDArray[np.int8]]

# How often true pairs (m) and strangers (u) show each level, and bits that are off the mark.
PLANTED: Planted = {
    "reference": ([0.70, 0.20, 0.10], [0.01, 0.09, 0.90], [4.0, 2.0, 0.0]),
    "text": ([0.60, 0.25, 0.10, 0.05], [0.02, 0.08, 0.30, 0.60], [3.0, 1.0, 0.0, -1.0]),
    "lag": ([0.75, 0.15, 0.10], [0.20, 0.30, 0.50], [1.0, 0.5, -1.0]),
}


def features_of(planted: Planted) -> tuple[Feature, ...]:
    return tuple(
        Feature(
            name,
            [Level(str(k), bits) for k, bits in enumerate(given)],
            (tuple(range(len(given))),),
            name,
        )
        for name, (_, _, given) in planted.items()
    )


FOUND = features_of(PLANTED)


def drawn(planted: Planted, pairs: int, seed: int = 7) -> tuple[Levels, LevelCounts]:
    """Draw true pairs, and twice as many strangers."""
    random = np.random.default_rng(seed)
    true = {
        name: random.choice(len(m), pairs, p=m).astype(np.int8)
        for name, (m, _, _) in planted.items()
    }
    others = {
        name: random.choice(len(u), 2 * pairs, p=u).astype(np.int8)
        for name, (_, u, _) in planted.items()
    }
    return true, LevelCounts.of(others, features_of(planted))


def test_what_was_planted_is_found_again() -> None:
    true, others = drawn(PLANTED, 100_000)
    weights = refit(true, np.ones(100_000), others, features=FOUND)
    for name, (m, u, _) in PLANTED.items():
        expected = np.log2(np.array(m) / np.array(u))
        np.testing.assert_allclose(weights.bits[name], expected, atol=0.2, err_msg=name)
    assert weights.version.startswith("em-1:")


def test_unlikely_pairs_teach_nothing() -> None:
    true, others = drawn(PLANTED, 10_000)
    strange = {name: np.full(10_000, 2, np.int8) for name in PLANTED}
    both = {name: np.concatenate([true[name], strange[name]]) for name in PLANTED}
    likely = np.concatenate([np.ones(10_000), np.zeros(10_000)])
    alone = refit(true, np.ones(10_000), others, features=FOUND)
    assert refit(both, likely, others, features=FOUND) == alone


def test_few_pairs_move_the_shipped_bits_little() -> None:
    true, others = drawn(PLANTED, 5)
    weights = refit(true, np.ones(5), others, features=FOUND)
    for feature in FOUND:
        assert np.abs(np.array(weights.bits[feature.name]) - feature.shipped).max() < 2.0


def test_what_is_not_to_be_learned_keeps_its_bits() -> None:
    true, others = drawn(PLANTED, 10_000)
    weights = refit(true, np.ones(10_000), others, features=FOUND, learned={"text"})
    for name in ("reference", "lag"):
        assert weights.bits[name] == shipped(FOUND).bits[name]
    assert weights.bits["text"] != shipped(FOUND).bits["text"]


def test_a_level_that_nobody_showed_keeps_its_bits() -> None:
    planted = {"lag": ([0.8, 0.2, 0.0], [0.3, 0.7, 0.0], [1.0, 0.5, -6.0])}
    true, others = drawn(planted, 10_000)
    weights = refit(true, np.ones(10_000), others, features=features_of(planted))
    assert weights.bits["lag"][2] == -6.0


def test_a_closer_level_that_looks_worse_is_pooled_with_its_neighbour() -> None:
    planted = {"lag": ([0.1, 0.8, 0.1], [0.4, 0.2, 0.4], [1.0, 0.5, -1.0])}
    true, others = drawn(planted, 50_000)
    bits = refit(true, np.ones(50_000), others, features=features_of(planted)).bits["lag"]
    assert bits[0] == bits[1] > bits[2]


def test_shipped_weights_are_the_evidence_tables() -> None:
    levels = np.array([0, 3, 6, 8, -1], np.int8)
    assert shipped().of("reference", levels).tolist() == bits_of(REFERENCE, levels).tolist()


def test_a_missing_reference_stays_worth_nothing() -> None:
    random = np.random.default_rng(5)
    true = {feature.name: random.choice(2, 20_000).astype(np.int8) for feature in FEATURES}
    true["reference"][:5_000] = len(REFERENCE) - 1
    others = LevelCounts.of(
        {f.name: random.choice(len(f.levels), 20_000).astype(np.int8) for f in FEATURES}
    )
    assert refit(true, np.ones(20_000), others).bits["reference"][-1] == 0.0


def test_weights_survive_json_and_nobody_can_change_them() -> None:
    true, others = drawn(PLANTED, 10_000)
    weights = refit(true, np.ones(10_000), others, features=FOUND)
    stored = json.loads(json.dumps(weights.to_dict()))
    assert Weights.from_dict(stored, FOUND) == weights
    stored["bits"]["lag"][0] += 1.0
    with pytest.raises(ValueError, match="are not what their version says"):
        Weights.from_dict(stored, FOUND)
    with pytest.raises(ValueError, match="other levels"):
        Weights.from_dict(stored)

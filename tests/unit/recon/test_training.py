"""Trained weights: what they recover, when they stay as shipped, how they are kept."""

import json
from collections.abc import Mapping

import numpy as np
import pytest

from recon_service.domain.evidence import PRIORS_VERSION, REFERENCE, Level, bits_of
from recon_service.matchers.training import (
    FEATURES,
    MATCHES_MIN,
    PAIRS_MIN,
    Feature,
    LevelCounts,
    Weights,
    shipped,
    train,
)

# How often true pairs (m) and strangers (u) show each level, and bits that are off the mark.
PLANTED = {
    "reference": ([0.70, 0.20, 0.10], [0.01, 0.09, 0.90], [4.0, 2.0, 0.0]),
    "text": ([0.60, 0.25, 0.10, 0.05], [0.02, 0.08, 0.30, 0.60], [3.0, 1.0, 0.0, -1.0]),
    "lag": ([0.75, 0.15, 0.10], [0.20, 0.30, 0.50], [1.0, 0.5, -1.0]),
    "party": ([0.80, 0.20], [0.10, 0.90], [2.0, -1.0]),
}


def features_of(planted: Mapping[str, tuple[list[float], ...]]) -> tuple[Feature, ...]:
    return tuple(
        Feature(
            name,
            [Level(str(k), bits) for k, bits in enumerate(given)],
            (tuple(range(len(given))),),
            name,
        )
        for name, (_, _, given) in planted.items()
    )


FOUR = features_of(PLANTED)


def drawn(pairs: int, share: float, seed: int = 7) -> tuple[LevelCounts, LevelCounts]:
    """Draw pairs of which `share` are true, and as many strangers."""
    random = np.random.default_rng(seed)
    is_true = random.random(pairs) < share
    levels, others = {}, {}
    for name, (m, u, _) in PLANTED.items():
        true, strange = random.choice(len(m), pairs, p=m), random.choice(len(u), pairs, p=u)
        levels[name] = np.where(is_true, true, strange).astype(np.int8)
        levels[name][random.random(pairs) < 0.1] = -1
        others[name] = random.choice(len(u), pairs, p=u).astype(np.int8)
    return LevelCounts.of(levels, FOUR), LevelCounts.of(others, FOUR)


def assert_planted(weights: Weights, tolerance: float) -> None:
    for name, (m, u, _) in PLANTED.items():
        expected = np.log2(np.array(m) / np.array(u))
        np.testing.assert_allclose(weights.bits[name], expected, atol=tolerance, err_msg=name)


def test_what_was_planted_is_found_again() -> None:
    seen, _ = drawn(200_000, 0.1)
    weights = train(seen, matches_max=40_000, features=FOUR)
    assert_planted(weights, 0.25)
    assert weights.matched_share == pytest.approx(0.1, abs=0.01)
    assert weights.version.startswith("em-1:")


def test_counted_strangers_help_where_true_pairs_are_rare() -> None:
    seen, others = drawn(200_000, 0.02)
    weights = train(seen, others=others, matches_max=10_000, features=FOUR)
    assert_planted(weights, 0.4)
    assert weights.matched_share == pytest.approx(0.02, abs=0.002)


def test_few_pairs_leave_the_shipped_bits() -> None:
    seen, _ = drawn(PAIRS_MIN - 1, 0.5)
    weights = train(seen, matches_max=PAIRS_MIN, features=FOUR)
    assert weights == shipped(FOUR)
    assert weights.version == PRIORS_VERSION


def test_pairs_without_a_true_one_leave_the_shipped_bits() -> None:
    _, others = drawn(50_000, 0.0)
    assert train(others, matches_max=MATCHES_MIN - 1, features=FOUR) == shipped(FOUR)


def test_what_is_not_to_be_learned_keeps_its_bits() -> None:
    seen, _ = drawn(50_000, 0.2)
    weights = train(seen, matches_max=20_000, features=FOUR, learned={"text"})
    for name in ("reference", "lag", "party"):
        assert weights.bits[name] == shipped(FOUR).bits[name]
    assert weights.bits["text"] != shipped(FOUR).bits["text"]


def test_a_level_that_nobody_showed_keeps_its_bits() -> None:
    planted = PLANTED | {"lag": ([0.8, 0.2, 0.0], [0.3, 0.7, 0.0], [1.0, 0.5, -6.0])}
    features = features_of(planted)
    seen, _ = drawn(50_000, 0.2)
    seen = LevelCounts(
        np.where(np.arange(4) == 2, np.minimum(seen.vectors, 1), seen.vectors).astype(np.int8),
        seen.counts,
    )
    weights = train(LevelCounts.merged([seen]), matches_max=20_000, features=features)
    assert weights.bits["lag"][2] == -6.0


def test_a_closer_level_that_looks_worse_is_pooled_with_its_neighbour() -> None:
    planted = PLANTED | {"lag": ([0.1, 0.8, 0.1], [0.4, 0.2, 0.4], [1.0, 0.5, -1.0])}
    random = np.random.default_rng(3)
    is_true = random.random(100_000) < 0.3
    levels = {
        name: np.where(
            is_true,
            random.choice(len(m), 100_000, p=m),
            random.choice(len(u), 100_000, p=u),
        ).astype(np.int8)
        for name, (m, u, _) in planted.items()
    }
    features = features_of(planted)
    bits = train(LevelCounts.of(levels, features), matches_max=50_000, features=features).bits
    assert bits["lag"][0] == bits["lag"][1] > bits["lag"][2]


def test_shipped_weights_are_the_evidence_tables() -> None:
    levels = np.array([0, 3, 6, 7, -1], np.int8)
    assert shipped().of("reference", levels).tolist() == bits_of(REFERENCE, levels).tolist()


def test_a_missing_reference_stays_worth_nothing() -> None:
    random = np.random.default_rng(5)
    is_true = random.random(50_000) < 0.2
    levels = {
        feature.name: np.where(
            is_true, random.choice(2, 50_000), random.choice(len(feature.levels), 50_000)
        ).astype(np.int8)
        for feature in FEATURES
    }
    levels["reference"][:20_000] = len(REFERENCE) - 1
    weights = train(LevelCounts.of(levels), matches_max=20_000)
    assert weights.version.startswith("em-1:")
    assert weights.bits["reference"][-1] == 0.0
    lag = weights.bits["lag"]
    assert list(lag[:6]) == sorted(lag[:6], reverse=True)
    assert [lag[0], *lag[6:]] == sorted([lag[0], *lag[6:]], reverse=True)


def test_weights_survive_json_and_refuse_what_they_are_not() -> None:
    seen, _ = drawn(20_000, 0.2)
    weights = train(seen, matches_max=8_000, features=FOUR)
    stored = json.loads(json.dumps(weights.to_dict()))
    assert Weights.from_dict(stored, FOUR) == weights
    assert Weights.from_dict(shipped().to_dict()) == shipped()
    with pytest.raises(ValueError, match="other levels"):
        Weights.from_dict(stored)
    stored["bits"]["party"][0] += 0.5
    with pytest.raises(ValueError, match="not what their version says"):
        Weights.from_dict(stored, FOUR)

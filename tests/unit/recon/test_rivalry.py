"""Rivals: the probability of a pair is its share of all matchings, weighed by odds."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon_service.matchers.rivalry import Side, rivalry


def probabilities(pairs: list[tuple[int, int, float]]) -> list[float]:
    rows = np.array([pair[0] for pair in pairs], np.int64)
    columns = np.array([pair[1] for pair in pairs], np.int64)
    odds = np.array([pair[2] for pair in pairs])
    sides = [
        Side(node, np.ones(node.max() + 1, np.int64), np.zeros(node.max() + 1))
        for node in (rows, columns)
    ]
    return list(rivalry(odds, *sides).probability)


def by_counting(pairs: list[tuple[int, int, float]]) -> list[float]:
    """Weigh every matching there is."""
    total, held = 0.0, [0.0] * len(pairs)
    for size in range(len(pairs) + 1):
        for chosen in combinations(range(len(pairs)), size):
            if len({pairs[k][0] for k in chosen}) == len({pairs[k][1] for k in chosen}) == size:
                weight = float(np.prod([pairs[k][2] for k in chosen]))
                total += weight
                for k in chosen:
                    held[k] += weight
    return [weight / total for weight in held]


def test_alone_it_competes_with_no_match_at_all() -> None:
    assert probabilities([(0, 0, 4.0)]) == pytest.approx([0.8])


@given(st.lists(st.floats(0.01, 1_000.0), min_size=7, max_size=7))
def test_it_is_exact_where_candidates_form_a_tree(odds: list[float]) -> None:
    tree = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 1), (2, 3), (3, 4)]
    pairs = [(*place, one) for place, one in zip(tree, odds, strict=True)]
    assert probabilities(pairs) == pytest.approx(by_counting(pairs), rel=1e-6, abs=1e-9)


def test_a_rival_that_is_surely_matched_elsewhere_is_none() -> None:
    rival = [(0, 0, 20.0), (0, 1, 15.0)]
    assert probabilities(rival)[0] < 0.6
    assert probabilities([*rival, (1, 1, 1e6)])[0] > 0.95


def test_around_the_smallest_circle_it_stays_within_a_tenth() -> None:
    pairs = [(0, 0, 9.0), (0, 1, 3.0), (1, 0, 3.0), (1, 1, 9.0)]
    assert probabilities(pairs) == pytest.approx(by_counting(pairs), abs=0.1)

"""Trained weights, for whatever pairs: monotone, bounded, blind to the order of strangers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_service.matchers.training import LevelCounts, refit
from recon_service.matchers.weights import BITS_MAX, BITS_MIN, FEATURES

VECTORS = st.tuples(*(st.integers(-1, len(feature.levels) - 1) for feature in FEATURES))
TABLES = st.lists(VECTORS, min_size=1, max_size=40)
Table = list[tuple[int, ...]]


def by_feature(table: Table) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int8]]]:
    columns = np.array(table, np.int8).T
    return {feature.name: columns[k] for k, feature in enumerate(FEATURES)}


@settings(max_examples=60)
@given(TABLES, TABLES, st.data())
def test_closer_is_never_worth_less_and_bits_are_bounded(
    true: Table, strange: Table, data: st.DataObject
) -> None:
    likely = np.array(
        data.draw(st.lists(st.floats(0, 500), min_size=len(true), max_size=len(true)))
    )
    weights = refit(by_feature(true), likely, LevelCounts.of(by_feature(strange)))
    for feature in FEATURES:
        bits = np.array(weights.bits[feature.name])
        assert (bits >= BITS_MIN).all()
        assert (bits <= BITS_MAX).all()
        for chain in feature.chains:
            assert (np.diff(bits[list(chain)]) <= 1e-9).all()


@settings(max_examples=60)
@given(TABLES, st.permutations(range(40)), st.integers(0, 40))
def test_strangers_count_alike_in_any_order_and_in_parts(
    strange: Table, order: list[int], cut: int
) -> None:
    whole = LevelCounts.of(by_feature(strange))
    shuffled = [strange[k] for k in order if k < len(strange)]
    assert whole.counts.sum() == len(strange)
    parts = [LevelCounts.of(by_feature(part)) for part in (shuffled[:cut], shuffled[cut:]) if part]
    again = LevelCounts.merged(parts)
    assert (again.vectors == whole.vectors).all()
    assert (again.counts == whole.counts).all()

"""Trained weights, for whatever pairs: monotone, bounded, blind to order and partition."""

import json
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_service.matchers.training import (
    BITS_MAX,
    BITS_MIN,
    FEATURES,
    LevelCounts,
    shipped,
    train,
)

VECTORS = st.tuples(*(st.integers(-1, len(feature.levels) - 1) for feature in FEATURES))
TABLES = st.lists(st.tuples(VECTORS, st.integers(1, 5_000)), min_size=1, max_size=40)
Table = list[tuple[tuple[int, ...], int]]


def counted(table: Table) -> LevelCounts:
    vectors = np.array([vector for vector, _ in table], np.int8)
    times = np.array([count for _, count in table], np.int64)
    levels = {feature.name: vectors[:, k] for k, feature in enumerate(FEATURES)}
    return LevelCounts.of(levels, times=times)


def as_bytes(counts: LevelCounts, matches_max: int) -> bytes:
    return json.dumps(train(counts, matches_max=matches_max).to_dict()).encode()


@given(table=TABLES, matches_max=st.integers(1, 50_000), strangers=st.none() | TABLES)
@settings(max_examples=60, deadline=None)
def test_closer_is_never_worth_less(
    table: Table, matches_max: int, strangers: Table | None
) -> None:
    others = None if strangers is None else counted(strangers)
    weights = train(counted(table), matches_max=matches_max, others=others)
    for feature in FEATURES:
        bits = weights.bits[feature.name]
        assert all(BITS_MIN <= value <= BITS_MAX for value in bits)
        for chain in feature.chains:
            along = [bits[place] for place in chain]
            assert along == sorted(along, reverse=True)
        if feature.silent is not None:
            assert bits[feature.silent] == 0.0


@given(
    table=TABLES, matches_max=st.integers(1, 50_000), cut=st.integers(0, 40), random=st.randoms()
)
@settings(max_examples=40, deadline=None)
def test_order_and_partition_change_nothing(
    table: Table, matches_max: int, cut: int, random: Any
) -> None:
    straight = as_bytes(counted(table), matches_max)
    mixed = list(table)
    random.shuffle(mixed)
    assert as_bytes(counted(mixed), matches_max) == straight
    split = [(vector, half) for vector, count in mixed for half in (count // 2, count - count // 2)]
    parts = [counted(part) for part in (split[:cut], split[cut:]) if part]
    assert as_bytes(LevelCounts.merged(parts), matches_max) == straight


@given(table=st.lists(st.tuples(VECTORS, st.integers(1, 40)), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_little_data_leaves_what_was_shipped(table: Table) -> None:
    assert train(counted(table), matches_max=1_000) == shipped()

"""Optimal assignment: capacities, ties, the announced fallback."""

import numpy as np

from recon_service.matchers.assignment import Assignment, assign


def solve(
    pairs: dict[tuple[int, int], float],
    left_capacity: list[int],
    right_capacity: list[int],
    size_max: int = 400,
) -> tuple[Assignment, dict[tuple[int, int], int]]:
    left, right = (np.array([key[k] for key in pairs], np.int64) for k in (0, 1))
    found = assign(
        left,
        right,
        np.array(list(pairs.values())),
        left_capacity=np.array(left_capacity),
        right_capacity=np.array(right_capacity),
        component_size_max=size_max,
    )
    chosen = zip(found.chosen.tolist(), found.quantity.tolist(), strict=True)
    return found, {(int(left[k]), int(right[k])): count for k, count in chosen}


def test_the_sum_counts_not_the_single_best_pair() -> None:
    _, chosen = solve({(0, 0): 0.5, (0, 1): 0.45, (1, 0): 0.45}, [1, 1], [1, 1])
    assert chosen == {(0, 1): 1, (1, 0): 1}


def test_nobody_is_forced_into_a_pair() -> None:
    _, chosen = solve({(0, 0): 0.9, (1, 0): 0.05, (0, 1): 0.05}, [1, 1], [1, 1])
    assert chosen == {(0, 0): 1}


def test_alike_rows_share_a_capacity() -> None:
    _, chosen = solve({(0, 0): 0.4, (0, 1): 0.3}, [2], [1, 1])
    assert chosen == {(0, 0): 1, (0, 1): 1}
    _, chosen = solve({(0, 0): 0.4}, [3], [2])
    assert chosen == {(0, 0): 2}


def test_ties_are_settled_by_the_order_of_the_nodes() -> None:
    tied = {(i, j): 0.5 for i in range(2) for j in range(2)}
    backwards = dict(reversed(tied.items()))
    assert solve(tied, [1, 1], [1, 1])[1] == solve(backwards, [1, 1], [1, 1])[1]


def test_a_component_beyond_the_bound_is_greedy_and_says_so() -> None:
    pairs = {(0, 0): 0.5, (0, 1): 0.45, (1, 0): 0.45}
    found, chosen = solve(pairs, [1, 1], [1, 1], size_max=1)
    assert (found.components_greedy, found.greedy.tolist()) == (1, [True])
    assert chosen == {(0, 0): 1}


def test_components_do_not_disturb_each_other() -> None:
    pairs = {(k, k): 0.9 for k in range(1000)}
    found, chosen = solve(pairs, [1] * 1000, [1] * 1000)
    assert chosen == dict.fromkeys(pairs, 1)
    assert found.components_greedy == 0


def test_no_pairs_are_no_assignment() -> None:
    assert solve({}, [1], [1])[1] == {}

"""Optimal one-to-one assignment: the pairs that are expected to be right most often together."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Larger components are assigned greedily, which is announced; above a probability of 2/3 greedy
# and optimal agree anyway, since the probabilities of one row sum to at most one.
COMPONENT_SIZE_MAX = 400


@dataclass(frozen=True, slots=True)
class Assignment:
    """Chosen pairs (as positions in the arguments), how often each, and what went greedily."""

    chosen: Ints
    quantity: Ints
    greedy: npt.NDArray[np.bool_]
    components_greedy: int


def assign(
    left: Ints,
    right: Ints,
    weight: Floats,
    *,
    left_capacity: Ints,
    right_capacity: Ints,
    component_size_max: int = COMPONENT_SIZE_MAX,
) -> Assignment:
    """Choose pairs (left[k], right[k]) with the greatest sum of positive weights.

    No node is used beyond its capacity; leaving one alone costs nothing. Equal sums are settled
    by the order of the nodes' numbers, so the result depends on content alone.
    """
    if len(left) == 0:
        none = np.zeros(0, np.int64)
        return Assignment(none, none, np.zeros(0, np.bool_), 0)
    labels = _components(left, right, len(left_capacity), len(right_capacity))
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    lone = order[starts[sizes == 1]]
    chosen = [lone]
    quantity = [np.minimum(left_capacity[left[lone]], right_capacity[right[lone]])]
    greedy = [np.zeros(len(lone), np.bool_)]
    components_greedy = 0
    for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
        pairs = order[start : start + size]
        capacity = left_capacity, right_capacity
        found = _optimal(left, right, weight, pairs, capacity, component_size_max)
        is_greedy = found is None
        components_greedy += is_greedy
        picked, times = found or _greedy(left, right, weight, pairs, capacity)
        chosen.append(picked)
        quantity.append(times)
        greedy.append(np.full(len(picked), is_greedy))
    return Assignment(
        np.concatenate(chosen),
        np.concatenate(quantity),
        np.concatenate(greedy),
        components_greedy,
    )


def _components(left: Ints, right: Ints, left_count: int, right_count: int) -> Ints:
    """Return the component of each pair."""
    size = left_count + right_count
    graph = coo_array((np.ones(len(left), np.int8), (left, left_count + right)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    result: Ints = labels[left].astype(np.int64)
    return result


def _optimal(
    left: Ints,
    right: Ints,
    weight: Floats,
    pairs: Ints,
    capacity: tuple[Ints, Ints],
    size_max: int,
) -> tuple[Ints, Ints] | None:
    """Solve one component by copying each node as often as it may be used; None if too large."""
    rows, row_of = np.unique(left[pairs], return_inverse=True)
    columns, column_of = np.unique(right[pairs], return_inverse=True)
    reach = [
        np.minimum(capacity[0][rows], _sum_by(row_of, capacity[1][right[pairs]])),
        np.minimum(capacity[1][columns], _sum_by(column_of, capacity[0][left[pairs]])),
    ]
    if max(reach[0].sum(), reach[1].sum()) > size_max:
        return None
    value = np.zeros((len(rows), len(columns)))
    value[row_of, column_of] = weight[pairs]
    place = np.zeros((len(rows), len(columns)), np.int64)
    place[row_of, column_of] = pairs
    row_copies = np.repeat(np.arange(len(rows)), reach[0])
    column_copies = np.repeat(np.arange(len(columns)), reach[1])
    matrix = value[np.ix_(row_copies, column_copies)]
    i, j = linear_sum_assignment(matrix, maximize=True)
    real = matrix[i, j] > 0
    used = place[row_copies[i[real]], column_copies[j[real]]]
    picked, times = np.unique(used, return_counts=True)
    return picked, times.astype(np.int64)


def _greedy(
    left: Ints, right: Ints, weight: Floats, pairs: Ints, capacity: tuple[Ints, Ints]
) -> tuple[Ints, Ints]:
    """Take the heaviest pair first, ties by node numbers."""
    order = pairs[np.lexsort((right[pairs], left[pairs], -weight[pairs]))]
    left_free = {int(k): int(capacity[0][k]) for k in np.unique(left[pairs])}
    right_free = {int(k): int(capacity[1][k]) for k in np.unique(right[pairs])}
    picked, times = [], []
    for pair in order.tolist():
        i, j = int(left[pair]), int(right[pair])
        count = min(left_free[i], right_free[j])
        if count > 0:
            left_free[i] -= count
            right_free[j] -= count
            picked.append(pair)
            times.append(count)
    return np.array(picked, np.int64), np.array(times, np.int64)


def _sum_by(group: Ints, values: Ints) -> Ints:
    return np.bincount(group, weights=values).astype(np.int64)

"""Subset sums: all solutions counted by value, the bound announced, chance estimated."""

import pytest

from recon_service.matchers.subset_sum import solutions

WORK = 2**18


def test_the_only_solution_is_found() -> None:
    found = solutions([1250, 399, 8_001, 77], 1649, work_max=WORK)
    assert [s.members for s in found.solutions] == [(0, 1)]
    assert (found.count, found.truncated) == (1, False)
    assert found.solutions[0].total_minor == 1649


def test_refunds_of_the_opposite_sign_take_part() -> None:
    found = solutions([5_000, -1_234, 70_000], 3_766, work_max=WORK)
    assert [s.members for s in found.solutions] == [(0, 1)]


def test_two_solutions_are_counted_and_the_smaller_comes_first() -> None:
    found = solutions([10, 20, 30, 25, 35], 60, work_max=WORK)
    assert found.count == 2
    assert [s.members for s in found.solutions] == [(3, 4), (0, 1, 2)]


def test_equal_amounts_are_one_solution_by_value_and_the_choice_is_shown() -> None:
    found = solutions([500, 500, 500, 7], 1007, work_max=WORK)
    assert found.count == 1
    assert found.solutions[0].members == (0, 1, 3)
    assert found.solutions[0].interchangeable == 3


def test_no_solution() -> None:
    found = solutions([2, 4, 6], 5, work_max=WORK)
    assert (found.solutions, found.count, found.truncated) == ((), 0, False)


def test_within_the_tolerance_both_sides_count() -> None:
    found = solutions([1000, 998, 400], 1399, tolerance=1, count_max=9, work_max=WORK)
    assert [(s.members, s.total_minor) for s in found.solutions] == [((0, 2), 1400), ((1, 2), 1398)]


def test_amounts_of_zero_are_never_members() -> None:
    found = solutions([0, 0, 15], 15, count_max=9, work_max=WORK)
    assert [s.members for s in found.solutions] == [(2,)]


def test_the_bound_is_kept_and_announced() -> None:
    amounts = [1_000_003 + 7 * k * k for k in range(40)]
    found = solutions(amounts, amounts[3] + amounts[20], work_max=1000)
    assert found.truncated
    assert found.work <= 1000
    assert (3, 20) in [s.members for s in found.solutions]


def test_repeated_amounts_do_not_exhaust_the_bound() -> None:
    found = solutions([999] * 60 + [1999] * 40, 999 * 30 + 1999 * 3, work_max=WORK)
    assert not found.truncated
    assert found.solutions[0].interchangeable > 1


def test_sums_beyond_64_bits_are_refused_not_wrong() -> None:
    found = solutions([2**60, 2**60, 2**60], 2**61, work_max=WORK)
    assert found.truncated
    assert found.count == 0


def test_thirty_two_amounts_are_searched_to_the_end() -> None:
    amounts = [pow(7, k + 40, 10**9 + 7) for k in range(32)]
    target = sum(amounts[::5])
    found = solutions(amounts, target, count_max=50, work_max=WORK)
    assert not found.truncated
    assert tuple(range(0, 32, 5)) in [s.members for s in found.solutions]


@pytest.mark.parametrize(("unit", "least", "most"), [(1, 0.0, 0.01), (1000, 0.02, 10.0)])
def test_round_amounts_add_up_by_chance_more_often(unit: int, least: float, most: float) -> None:
    amounts = [31_411, 47_902, 58_333, 83_127, 97_558, 71_049]
    amounts = [amount // 1000 * 1000 if unit > 1 else amount for amount in amounts]
    found = solutions(amounts, amounts[0] + amounts[3], work_max=WORK)
    assert found.count >= 1
    assert least <= found.expected <= most

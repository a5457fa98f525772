"""Shares divide an amount without losing a minor unit, and as fairly as whole units allow."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ledger_service.domain.allocation import allocate

TOTALS = st.integers(min_value=0, max_value=10**19)
SHARES = st.lists(st.integers(min_value=1, max_value=10**9), min_size=1, max_size=60)


@given(TOTALS, SHARES)
def test_every_minor_unit_goes_to_somebody_and_nobody_is_a_unit_off(
    total_minor: int, shares: list[int]
) -> None:
    amounts_minor = allocate(total_minor, shares)
    assert sum(amounts_minor) == total_minor
    assert len(amounts_minor) == len(shares)
    for share, amount_minor in zip(shares, amounts_minor, strict=True):
        exact = Fraction(total_minor * share, sum(shares))
        assert -1 < amount_minor - exact < 1


@given(TOTALS, SHARES)
def test_who_has_more_shares_never_gets_less_and_the_first_of_equals_never_less(
    total_minor: int, shares: list[int]
) -> None:
    amounts_minor = allocate(total_minor, shares)
    ranked = sorted(range(len(shares)), key=lambda place: (-shares[place], place))
    in_order = [amounts_minor[place] for place in ranked]
    assert in_order == sorted(in_order, reverse=True)


@given(TOTALS, SHARES, st.integers(min_value=1, max_value=10**6))
def test_only_the_proportion_of_shares_counts(
    total_minor: int, shares: list[int], factor: int
) -> None:
    assert allocate(total_minor, shares) == allocate(total_minor, [factor * one for one in shares])

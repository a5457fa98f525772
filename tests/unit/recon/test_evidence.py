"""The table of evidence: closer is never worth less, missing is worth nothing."""

from collections.abc import Sequence

import numpy as np
import pytest

from recon_service.domain.evidence import (
    AMOUNT,
    COUNTERPARTY,
    LAG,
    LAG_AFTER,
    LAG_BEFORE,
    NAME,
    REFERENCE,
    WORDS,
    Level,
    amount_levels,
    at_least_levels,
    bits_of,
    lag_levels,
    posterior,
    words_bits,
)


@pytest.mark.parametrize(
    "levels", [AMOUNT, LAG_AFTER, LAG_BEFORE, REFERENCE, WORDS, NAME, COUNTERPARTY]
)
def test_levels_go_from_close_to_far(levels: Sequence[Level]) -> None:
    bits = [level.bits for level in levels]
    assert bits == sorted(bits, reverse=True)
    assert len({level.name for level in levels}) == len(levels)


def test_a_larger_difference_is_never_worth_more() -> None:
    differences = np.array([0, 1, 2, 5, 50, 99, 300, 999, 1_000, 1_001, 10**9])
    for ledger_minor in (1, 99, 10_000, 10**15):
        ledger = np.full_like(differences, ledger_minor)
        bits = bits_of(AMOUNT, amount_levels(differences, ledger))
        assert (np.diff(bits) <= 0).all()
        assert (bits == bits_of(AMOUNT, amount_levels(-differences, ledger))).all()


def test_more_days_apart_are_never_worth_more_on_either_side() -> None:
    days = np.arange(60)
    assert (np.diff(bits_of(LAG, lag_levels(days))) <= 0).all()
    assert (np.diff(bits_of(LAG, lag_levels(-days))) <= 0).all()


def test_levels_start_at_their_bound() -> None:
    assert at_least_levels(WORDS, np.array([1.0, 0.9, 0.89, 0.0, np.nan])).tolist() == [
        0,
        0,
        1,
        5,
        -1,
    ]


def words(overlap: float, shared: float, name: float, weight: float = 20.0) -> float:
    one = [np.array([value]) for value in (overlap, shared, name, weight, 0.0)]
    return float(
        words_bits(overlap=one[0], shared=one[1], name=one[2], name_weight=one[3], rare=one[4])[0]
    )


def test_two_ways_to_compare_texts_are_not_added() -> None:
    both = words(1.0, 50.0, 1.0)
    assert both == max(words(1.0, 50.0, np.nan), words(np.nan, 0.0, 1.0))


def test_shared_words_that_everyone_has_prove_nothing() -> None:
    assert words(1.0, 0.1, np.nan) == pytest.approx(0.05)


def test_no_text_is_worth_nothing() -> None:
    assert words(np.nan, 0.0, np.nan) == 0.0


def test_different_texts_speak_against_whatever_their_weight() -> None:
    assert words(0.0, 0.0, 0.0) == min(WORDS[-1].bits, NAME[-1].bits)


def test_rivals_on_either_side_lower_the_probability() -> None:
    odds, none, some = np.array([4.0]), np.array([0.0]), np.array([4.0])
    alone = posterior(odds, none, none)[0]
    assert alone == 0.8
    assert posterior(odds, some, none)[0] == posterior(odds, none, some)[0] < 0.5
    assert posterior(odds, some, some)[0] < posterior(odds, some, none)[0]

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
    Said,
    amount_levels,
    at_least_levels,
    bits_of,
    lag_levels,
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


def words(
    overlap: float, shared: float, name: float, weight: float = 20.0, *, is_small: bool = True
) -> float:
    of_words, of_name = (
        at_least_levels(levels, np.array([measure]))
        for levels, measure in ((WORDS, overlap), (NAME, name))
    )
    said = Said(
        words=bits_of(WORDS, of_words),
        has_words=of_words >= 0,
        name=bits_of(NAME, of_name),
        has_name=of_name >= 0,
        shared=np.array([shared]),
        name_weight=np.array([weight]),
        rare=np.zeros(1),
    )
    return float(words_bits(said, np.zeros(1), is_small=is_small)[0][0])


def test_two_ways_to_compare_texts_are_not_added() -> None:
    both = words(1.0, 50.0, 1.0)
    assert both == max(words(1.0, 50.0, np.nan), words(np.nan, 0.0, 1.0))


def test_shared_words_that_everyone_has_prove_nothing() -> None:
    assert words(1.0, 0.1, np.nan) == pytest.approx(0.05)


def test_no_text_is_worth_nothing() -> None:
    assert words(np.nan, 0.0, np.nan) == 0.0


def test_different_texts_speak_against_whatever_their_weight() -> None:
    assert words(0.0, 0.0, 0.0) == min(WORDS[-1].bits, NAME[-1].bits)


def test_a_large_run_trusts_the_surprise_of_its_words_whole() -> None:
    assert words(1.0, 2.0, np.nan, is_small=False) == 2.0
    assert words(1.0, 2.0, np.nan) == 1.0


def test_praise_of_the_counterparty_counts_half_where_the_description_praises_too() -> None:
    one, praise, blame = np.array([6.0]), np.array([2.0]), np.array([-1.0])
    nothing = np.array([-1], np.int8) >= 0
    said = Said(one, ~nothing, np.zeros(1), nothing, np.array([20.0]), np.zeros(1), np.zeros(1))
    assert words_bits(said, praise, is_small=False)[1][0] == 1.0
    assert words_bits(said, blame, is_small=False)[1][0] == -1.0

"""Fee rules: found where there is one, to the minor unit, and never invented."""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recon_service.matchers.fee_learning import DIFFERENCE_SCHEMA, learn_schedules
from recon_service.matchers.fees import Schedule, explained_by

RATES = st.sampled_from([0, 100, 1_400, 2_900, 14_000, 29_000, 34_900, 3_250, 12_990])
SEEDS = st.integers(0, 2**32 - 1)


def fee_of(gross: int, rate_micros: int, fixed: int) -> int:
    """Compute the fee once more, with decimals."""
    share = Decimal(gross) * Decimal(rate_micros) / 1_000_000
    return int(share.quantize(Decimal(1), ROUND_HALF_EVEN)) + fixed


def net_of(gross: np.ndarray, rate_micros: int, fixed: int) -> np.ndarray:
    return np.array([g - fee_of(abs(g), rate_micros, fixed) for g in gross.tolist()], np.int64)


def learn_schedule(gross: np.ndarray, net: np.ndarray) -> Schedule | None:
    return learned(gross, net).get("EUR")


def learned(
    gross: np.ndarray, net: np.ndarray, codes: list[str] | None = None
) -> dict[str, Schedule]:
    """What pairs of one item each teach; pairs that do not differ are no differences."""
    rows = zip(codes or ["EUR"] * len(gross), gross.tolist(), (gross - net).tolist(), strict=True)
    return learn_schedules(differences((code, [own], fee) for code, own, fee in rows if fee))


def differences(rows: Iterable[tuple[str, list[int], int]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=DIFFERENCE_SCHEMA, orient="row")


def amounts(count: int, seed: int = 1) -> np.ndarray:
    """Amounts from about ten to a few thousand."""
    random = np.random.default_rng(seed)
    return np.exp(random.uniform(7, 13, count)).astype(np.int64)


def test_a_providers_rate_and_fixed_part_are_found() -> None:
    gross = amounts(50)
    schedule = learn_schedule(gross, net_of(gross, 14_000, 25))
    assert schedule == Schedule(rate_micros=14_000, fixed_minor=25, support=50, explained=50)


def test_pairs_without_a_difference_neither_help_nor_harm() -> None:
    gross = amounts(200)
    net = np.where(np.arange(200) % 4 == 0, net_of(gross, 29_000, 30), gross)
    assert learn_schedule(gross, net) == Schedule(29_000, 30, 50, 50)


def test_what_leaves_is_charged_nothing() -> None:
    gross = -amounts(50)
    assert learn_schedule(gross, gross - 100) is None
    schedule = Schedule(5_000, 100)
    assert schedule.fee_minor(gross).tolist() == [0] * 50
    assert not explained_by(schedule, gross, gross).any()


def test_a_fixed_fee_needs_no_rate() -> None:
    gross = amounts(12) + 1_500
    assert learn_schedule(gross, gross - 1_500) == Schedule(0, 1_500, 12, 12)


def test_each_currency_has_its_own_rule() -> None:
    gross = amounts(60)
    codes = np.array(["USD", "EUR", "JPY"] * 20)
    net = np.where(codes == "EUR", net_of(gross, 14_000, 25), net_of(gross, 29_000, 30))
    net = np.where(codes == "JPY", gross, net)
    assert learned(gross, net, codes.tolist()) == {
        "EUR": Schedule(14_000, 25, 20, 20),
        "USD": Schedule(29_000, 30, 20, 20),
    }


@pytest.mark.parametrize(
    ("gross", "count"), [([10_000, 20_000, 40_000], 7), ([10_000, 20_000], 40)]
)
def test_too_little_support_is_no_rule(gross: list[int], count: int) -> None:
    taken = np.array((gross * count)[:count], np.int64)
    assert learn_schedule(taken, net_of(taken, 14_000, 25)) is None


def test_more_than_half_of_outliers_is_no_rule() -> None:
    gross = amounts(100)
    net = net_of(gross, 14_000, 25)
    net[:51] -= np.arange(51) * 7 + 400
    assert learn_schedule(gross, net) is None
    net[50] += 750
    assert learn_schedule(gross, net) == Schedule(14_000, 25, 100, 50)


def test_a_fixed_fee_beside_other_differences_must_be_no_chance() -> None:
    gross = amounts(40) + 2_000
    few = np.where(np.arange(40) < 24, 250, 100 + np.arange(40) % 16 * 17)
    assert learn_schedule(gross, gross - few) == Schedule(0, 250, 40, 24)
    small = np.where(np.arange(12) < 7, 3, 1 + np.arange(12) % 5)
    assert learn_schedule(gross[:12], gross[:12] - small) is None


def test_small_differences_that_any_constant_nearly_fits_are_no_rule() -> None:
    random = np.random.default_rng(2)
    gross = amounts(300)
    assert learn_schedule(gross, gross - random.integers(1, 4, 300)) is None


def test_a_price_that_recurs_says_the_same_each_time() -> None:
    recurring = np.full(200, 10_000, np.int64)
    gross = np.concatenate([recurring, amounts(12)])
    net = gross - np.concatenate([np.full(200, 165), np.arange(12) * 31 + 7])
    assert learn_schedule(gross, net) is None
    other = amounts(200)
    gross = np.concatenate([recurring, other])
    net = np.concatenate([recurring - 165, net_of(other, 14_000, 25)])
    assert learn_schedule(gross, net) == Schedule(14_000, 25, 400, 400)


def test_payouts_are_equations_of_their_items() -> None:
    random = np.random.default_rng(3)
    batches = [amounts(int(random.integers(2, 30)), seed) for seed in range(12)]
    fees = [sum(fee_of(gross, 14_000, 25) for gross in batch.tolist()) for batch in batches]
    rows = [("EUR", batch.tolist(), fee) for batch, fee in zip(batches, fees, strict=True)]
    assert learn_schedules(differences(rows)) == {"EUR": Schedule(14_000, 25, 12, 12)}
    assert learn_schedules(differences(rows[:7])) == {}
    pairs = [("EUR", [gross], fee_of(gross, 14_000, 25)) for gross in amounts(8).tolist()]
    assert learn_schedules(differences(rows + pairs)) == {"EUR": Schedule(14_000, 25, 20, 20)}


@given(count=st.integers(8, 60), seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_payouts_less_anything_have_no_rule(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = []
    for place in range(count):
        batch = amounts(int(random.integers(2, 12)), seed % 1_000 + place)
        rows.append(("EUR", batch.tolist(), int(batch.sum() * random.uniform(0.005, 0.05))))
    assert learn_schedules(differences(rows)) == {}


def test_large_amounts_stay_exact() -> None:
    gross = amounts(20) * 10**11 + amounts(20, seed=2)
    schedule = learn_schedule(gross, net_of(gross, 2_500, 7))
    assert schedule == Schedule(2_500, 7, 20, 20)


def test_the_rule_allows_one_minor_unit_and_no_more() -> None:
    schedule = Schedule(14_000, 25, 8, 8)
    gross = np.full(5, 10_000, np.int64)
    net = 10_000 - 165 + np.array([-2, -1, 0, 1, 2])
    assert explained_by(schedule, gross, net).tolist() == [False, True, True, True, False]


@given(rate=RATES, fixed=st.integers(0, 500), count=st.integers(20, 300), seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_a_rule_is_found_beside_a_tenth_of_outliers(
    rate: int, fixed: int, count: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    gross = amounts(count, seed)
    net = net_of(gross, rate, fixed)
    own = np.flatnonzero(net != gross)
    assume(len(own) >= 20)
    outliers = random.permutation(own)[: len(own) // 10]
    net[outliers] -= random.integers(1_000, 90_000, len(outliers))
    schedule = learn_schedule(gross, net)
    assert schedule is not None
    assert abs(schedule.rate_micros - rate) <= 10
    assert abs(schedule.fixed_minor - fixed) <= 1
    assert set(np.flatnonzero(explained_by(schedule, gross, net))) >= set(own) - set(outliers)


@given(
    count=st.integers(8, 400),
    size=st.sampled_from(["small", "medium", "share", "constant and noise"]),
    seed=SEEDS,
)
@settings(max_examples=60, deadline=None)
def test_noise_has_no_rule(count: int, size: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    gross = amounts(count, seed)
    fee = {
        "small": random.integers(1, 8, count),
        "medium": random.integers(-200, 600, count),
        "share": (gross * random.uniform(0.0, 0.05, count)).astype(np.int64),
        "constant and noise": 100 + random.integers(-4, 5, count),
    }[size]
    assert learn_schedule(gross, gross - fee) is None


@given(seed=SEEDS, random=st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_the_order_of_pairs_changes_nothing(seed: int, random: object) -> None:
    gross = amounts(60, seed)
    net = net_of(gross, 12_500, 10)
    net[:5] += 3
    mixed = np.random.default_rng(seed).permutation(60)
    straight = learn_schedule(gross, net)
    assert straight is not None
    assert learn_schedule(gross[mixed], net[mixed]) == straight

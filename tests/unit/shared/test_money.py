"""Money is exact or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.money import (
    AmountMalformed,
    AmountScale,
    AmountTooLarge,
    Currencies,
    format_minor,
    parse_amount,
)


@given(st.integers(0, 10**18 - 1), st.integers(0, 18))
def test_printing_and_parsing_are_inverse(amount_minor: int, scale: int) -> None:
    assert parse_amount(format_minor(amount_minor, scale), scale) == amount_minor


@pytest.mark.parametrize(
    ("amount_minor", "scale", "text"),
    [(10_050, 2, "100.50"), (-5, 2, "-0.05"), (7, 0, "7"), (1, 3, "0.001"), (0, 2, "0.00")],
)
def test_minor_units_are_printed_with_all_their_decimals(
    amount_minor: int, scale: int, text: str
) -> None:
    assert format_minor(amount_minor, scale) == text


@pytest.mark.parametrize(
    "text", ["", ".5", "5.", "+5", "5,0", "0x5", " 5", "5 ", "1e2", "Infinity"]
)
def test_what_is_not_a_plain_decimal_is_malformed(text: str) -> None:
    with pytest.raises(AmountMalformed):
        parse_amount(text, 2)


def test_decimals_beyond_the_scale_are_refused_not_rounded() -> None:
    with pytest.raises(AmountScale, match="3 decimals, the currency has 2"):
        parse_amount("1.005", 2)


def test_an_amount_that_cannot_be_stored_is_refused() -> None:
    with pytest.raises(AmountTooLarge):
        parse_amount("1" + "0" * 18, 0)


def test_iso_currencies_have_their_own_scales_and_assets_add_to_them() -> None:
    currencies = Currencies({"BTC": 8})
    scales = [currencies.scale_of(code) for code in ("USD", "JPY", "KWD", "BTC", "XXX", "usd")]
    assert scales == [2, 0, 3, 8, None, None]


@pytest.mark.parametrize("assets", [{"btc": 8}, {"BTC": 19}, {"BTC": -1}, {"USD": 3}, {"A": 1}])
def test_a_bad_asset_is_refused(assets: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="asset"):
        Currencies(assets)

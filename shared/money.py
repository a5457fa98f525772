"""Money as integer minor units: known currencies, parsing and printing of decimal strings."""

import re
from collections.abc import Mapping

from iso4217 import Currency

AMOUNT_DIGITS_MAX = 18
"""Digits that an amount may have in all, so that it always fits PostgreSQL's bigint."""
AMOUNT_MINOR_MAX = 10**AMOUNT_DIGITS_MAX - 1
SCALE_MAX = 18
AMOUNT_PATTERN = r"^[0-9]+(\.[0-9]+)?$"
AMOUNT_CHARS_MAX = 40
CURRENCY_PATTERN = r"^[A-Z][A-Z0-9]{2,11}$"
_AMOUNT = re.compile(AMOUNT_PATTERN, re.ASCII)
_CURRENCY = re.compile(CURRENCY_PATTERN, re.ASCII)


class AmountError(ValueError):
    """The text is not an amount of the currency's scale; the message says why."""


class AmountMalformed(AmountError):
    """The text is not digits with at most one decimal point."""


class AmountScale(AmountError):
    """The text has more decimals than the currency."""


class AmountTooLarge(AmountError):
    """The amount has more digits than can be stored."""


class Currencies:
    """The currencies that a service knows: ISO 4217's, and assets declared in its settings."""

    def __init__(self, assets: Mapping[str, int] | None = None) -> None:
        """Add `assets` (code to scale) to ISO 4217's list; raise ValueError for a bad asset."""
        self._scales = {
            currency.code: currency.exponent
            for currency in Currency
            if currency.exponent is not None
        }
        for code, scale in (assets or {}).items():
            if not _CURRENCY.fullmatch(code):
                raise ValueError(f"asset code {code!r} is not 3 to 12 capital letters or digits")
            if not 0 <= scale <= SCALE_MAX:
                raise ValueError(f"asset {code} has scale {scale}, which is not 0 to {SCALE_MAX}")
            if self._scales.get(code, scale) != scale:
                raise ValueError(f"asset {code} is an ISO 4217 currency with another scale")
            self._scales[code] = scale

    def scale_of(self, code: str) -> int | None:
        """Return the number of decimals of `code`, or None for a currency that is not known."""
        return self._scales.get(code)

    @property
    def scales(self) -> Mapping[str, int]:
        """Every known code with its number of decimals."""
        return self._scales


def parse_amount(text: str, scale: int) -> int:
    """Return the minor units that an unsigned decimal string names at `scale` decimals.

    Trailing zeros may be left out ("5.5" is 550 at scale 2) but never exceed the scale, not even
    as zeros: nothing is rounded. Raises AmountMalformed, AmountScale or AmountTooLarge.
    """
    if len(text) > AMOUNT_CHARS_MAX or not _AMOUNT.fullmatch(text):
        raise AmountMalformed("an amount is digits with at most one decimal point")
    whole, _, fraction = text.partition(".")
    if len(fraction) > scale:
        raise AmountScale(f"{len(fraction)} decimals, the currency has {scale}")
    amount_minor = int(whole + fraction.ljust(scale, "0"))
    if amount_minor > AMOUNT_MINOR_MAX:
        raise AmountTooLarge(f"more than {AMOUNT_DIGITS_MAX} digits")
    return amount_minor


def format_minor(amount_minor: int, scale: int) -> str:
    """Return `amount_minor` as a decimal string with exactly `scale` decimals."""
    digits = str(abs(amount_minor)).rjust(scale + 1, "0")
    sign = "-" if amount_minor < 0 else ""
    if scale == 0:
        return sign + digits
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"

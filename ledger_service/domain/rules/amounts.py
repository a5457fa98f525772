"""Amounts as callers write them, and why some are none."""

from ledger_service.domain.refusals import Refusal, Refused
from shared.money import (
    AMOUNT_MINOR_MAX,
    AmountMalformed,
    AmountScale,
    AmountTooLarge,
    format_minor,
    parse_amount,
)


def amount_minor(amount: str, currency: str, scale: int) -> int | Refused:
    """Return the minor units of an amount that is zero or more, or why it is not one."""
    if amount.startswith("-"):
        return not_positive(amount)
    try:
        return parse_amount(amount, scale)
    except AmountMalformed as error:
        return Refused(Refusal.AMOUNT_MALFORMED, str(error), {"amount": amount})
    except AmountScale as error:
        numbers = {"amount": amount, "currency": currency, "scale": scale}
        return Refused(Refusal.AMOUNT_SCALE, f"{currency}: {error}", numbers)
    except AmountTooLarge as error:
        numbers = {"amount": amount, "largest": format_minor(AMOUNT_MINOR_MAX, scale)}
        return Refused(Refusal.AMOUNT_TOO_LARGE, str(error), numbers)


def positive_minor(amount: str, currency: str, scale: int) -> int | Refused:
    """Return the minor units of an amount above zero, or why it is not one."""
    minor = amount_minor(amount, currency, scale)
    return not_positive(amount) if minor == 0 else minor


def signed_minor(amount: str, currency: str, scale: int) -> int | Refused:
    """Return the minor units of an amount that may have a minus, or why it is not one."""
    minor = amount_minor(amount.removeprefix("-"), currency, scale)
    return -minor if amount.startswith("-") and not isinstance(minor, Refused) else minor


def not_positive(amount: str) -> Refused:
    return Refused(
        Refusal.AMOUNT_NOT_POSITIVE, f"{amount} is not more than zero", {"amount": amount}
    )


def unknown_currency(currency: str) -> Refused:
    return Refused(
        Refusal.UNKNOWN_CURRENCY,
        f"{currency} is neither an ISO 4217 currency nor an asset declared in the settings",
        {"currency": currency},
    )

"""Every business refusal by name. A refusal is a value with its numbers, never an exception."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple


class Refusal(Enum):
    """The stable code of each refusal and its title, in the order in which they are checked."""

    SAME_ACCOUNT = "same_account", "Source and destination are the same account"
    UNKNOWN_ACCOUNT = "unknown_account", "An account does not exist"
    UNKNOWN_CURRENCY = "unknown_currency", "The currency is not known"
    CURRENCY_MISMATCH = "currency_mismatch", "An account is kept in another currency"
    AMOUNT_MALFORMED = "amount_malformed", "The amount is not a decimal number"
    AMOUNT_SCALE = "amount_scale", "The amount has more decimals than the currency"
    AMOUNT_NOT_POSITIVE = "amount_not_positive", "The amount is not positive"
    AMOUNT_TOO_LARGE = "amount_too_large", "The amount or a total has too many digits"
    EFFECTIVE_IN_FUTURE = "effective_at_in_future", "The effective time has not come yet"
    UNBALANCED = "unbalanced_transaction", "Debits and credits differ"
    INSUFFICIENT_FUNDS = "insufficient_funds", "The source would fall below its floor"

    def __init__(self, code: str, title: str) -> None:
        self.code = code
        self.title = title

    @classmethod
    def of(cls, code: str) -> "Refusal":
        """Return the refusal with this code; ValueError where there is none."""
        for refusal in cls:
            if refusal.code == code:
                return refusal
        raise ValueError(f"{code} is no refusal")


class Refused(NamedTuple):
    """Why a command was refused, in a sentence and in numbers (decimal strings) for programs."""

    refusal: Refusal
    detail: str
    numbers: Mapping[str, Any] = MappingProxyType({})

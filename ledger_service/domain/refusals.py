"""Every business refusal by name. A refusal is a value with its numbers, never an exception."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple


class Refusal(Enum):
    """The stable code of each refusal and its title, in the order in which they are checked."""

    SAME_ACCOUNT = "same_account", "Source and destination are the same account"
    UNKNOWN_ACCOUNT = "unknown_account", "An account does not exist"
    UNKNOWN_HOLD = "unknown_hold", "The hold does not exist"
    UNKNOWN_TRANSACTION = "unknown_transaction", "The transaction does not exist"
    UNKNOWN_PERIOD = "unknown_period", "The period does not exist"
    UNKNOWN_CURRENCY = "unknown_currency", "The currency is not known"
    UNKNOWN_ACCOUNT_TYPE = "unknown_account_type", "The type of account is not known"
    VERSION_MISMATCH = "version_mismatch", "The account was changed meanwhile"
    CODE_IN_USE = "code_in_use", "Another account has this code"
    CODE_FIXED = "code_fixed", "The account has a code already"
    ACCOUNT_CLOSED = "account_closed", "An account is closed"
    ACCOUNT_FROZEN = "account_frozen", "An account is frozen"
    ACCOUNT_NOT_EMPTY = "account_not_empty", "The account is not at zero"
    LIMITS_CROSSED = "limits_crossed", "The floor lies above the ceiling"
    CURRENCY_MISMATCH = "currency_mismatch", "An account is kept in another currency"
    AMOUNT_MALFORMED = "amount_malformed", "The amount is not a decimal number"
    AMOUNT_SCALE = "amount_scale", "The amount has more decimals than the currency"
    AMOUNT_NOT_POSITIVE = "amount_not_positive", "The amount is not positive"
    AMOUNT_TOO_LARGE = "amount_too_large", "The amount or a total has too many digits"
    EFFECTIVE_IN_FUTURE = "effective_at_in_future", "The effective time has not come yet"
    PERIOD_EMPTY = "period_empty", "The period ends before it begins"
    PERIOD_CLOSED = "period_closed", "The period is closed"
    PERIOD_NOT_CLOSED = "period_not_closed", "The period is open"
    PERIOD_NOT_OVER = "period_not_over", "The period has not ended yet"
    PERIOD_OVERLAPS = "period_overlaps", "The period overlaps another"
    UNBALANCED = "unbalanced_transaction", "Debits and credits differ"
    SHARES_UNDIVIDABLE = "shares_undividable", "There is nothing to divide by shares"
    RATE_MISMATCH = "rate_mismatch", "The amounts do not fit the rate"
    NOT_REVERSIBLE = "not_reversible", "The transaction cannot be reversed"
    REVERSAL_EXCEEDS = "reversal_exceeds_original", "More would be reversed than was posted"
    REVERSAL_NEEDS_LINES = "reversal_needs_lines", "Which lines to reverse must be said"
    HOLD_NOT_OPEN = "hold_not_open", "The hold is not open"
    HOLD_EXPIRED = "hold_expired", "The time of the hold is over"
    HOLD_EXCEEDED = "hold_exceeded", "The hold does not keep that much"
    EXPIRY_NOT_IN_FUTURE = "expiry_not_in_future", "The hold would be over at once"
    EXPIRY_EARLIER = "expiry_earlier", "The hold would be over earlier than it is now"
    CONDITION_FAILED = "condition_failed", "A condition of the command is not met"
    INSUFFICIENT_FUNDS = "insufficient_funds", "An account would fall below its floor"
    ABOVE_CEILING = "above_ceiling", "An account would rise above its ceiling"

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

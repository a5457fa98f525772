"""Whether a command is accepted, or why not, with the numbers: finds the rules for each kind."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ledger_service.domain.commands import (
    CaptureHold,
    ChangeAccount,
    ClosePeriod,
    Command,
    Exchange,
    IncreaseHold,
    OpenAccount,
    OpenPeriod,
    PlaceHold,
    ReleaseHold,
    Reverse,
    Transact,
    Transfer,
)
from ledger_service.domain.entries import Entry
from ledger_service.domain.refusals import Refused
from ledger_service.domain.rules.accounts import change_account, open_account
from ledger_service.domain.rules.exchanges import exchange
from ledger_service.domain.rules.holds import capture, increase, place, release
from ledger_service.domain.rules.periods import close_period, open_period
from ledger_service.domain.rules.reversals import reverse
from ledger_service.domain.rules.transactions import transact
from ledger_service.domain.rules.transfers import transfer
from ledger_service.domain.state import State

_RULES: dict[type, Callable[[State, Any, datetime], Entry | Refused]] = {
    Transfer: transfer,
    OpenAccount: open_account,
    ChangeAccount: change_account,
    Transact: transact,
    Exchange: exchange,
    Reverse: reverse,
    PlaceHold: place,
    IncreaseHold: increase,
    CaptureHold: capture,
    ReleaseHold: release,
    OpenPeriod: open_period,
    ClosePeriod: close_period,
}


def decide(state: State, command: Command, recorded_at: datetime) -> Entry | Refused:
    """Return the entry that `command` causes in `state`, or the refusal with its numbers.

    `recorded_at` is the instant that the entry will carry; it never lies before the last entry's.
    """
    return _RULES[type(command)](state, command, recorded_at)

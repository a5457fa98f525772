"""Holds every business rule: whether a command is accepted, or why not, with the numbers."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from ledger_service.domain.commands import Command, OpenAccount, Transfer
from ledger_service.domain.model import (
    Account,
    AccountOpened,
    Direction,
    Entry,
    Leg,
    State,
    Transferred,
)
from ledger_service.domain.refusals import Refusal, Refused
from shared.money import (
    AMOUNT_MINOR_MAX,
    AmountMalformed,
    AmountScale,
    AmountTooLarge,
    format_minor,
    parse_amount,
)

TOTAL_MINOR_MAX = 2**63 - 1
"""Totals are kept in PostgreSQL's bigint."""


class Accepted(NamedTuple):
    """The journal entry that the command causes."""

    entry: Entry


Verdict = Accepted | Refused


def decide(state: State, command: Command, recorded_at: datetime) -> Verdict:
    """Return the entry that `command` causes in `state`, or the refusal with its numbers.

    `recorded_at` is the instant that the entry will carry; it never lies before the last entry's.
    """
    if isinstance(command, OpenAccount):
        return _open_account(state, command, recorded_at)
    return _transfer(state, command, recorded_at)


def unbalanced(legs: Sequence[Leg]) -> Refused | None:
    """Refuse legs whose debits and credits differ, name no amount, or are not there at all."""
    debits_minor = credits_minor = 0
    are_positive = bool(legs)
    for _, direction, amount_minor in legs:
        are_positive = are_positive and amount_minor > 0
        if direction is Direction.DEBIT:
            debits_minor += amount_minor
        else:
            credits_minor += amount_minor
    if are_positive and debits_minor == credits_minor:
        return None
    return Refused(
        Refusal.UNBALANCED,
        f"debits are {debits_minor} and credits {credits_minor} minor units",
        {"debits_minor": str(debits_minor), "credits_minor": str(credits_minor)},
    )


def _open_account(state: State, command: OpenAccount, recorded_at: datetime) -> Verdict:
    if command.scale is None:
        return _unknown_currency(command.currency)
    floor_minor = None
    if command.overdraft_limit is not None:
        limit_minor = _amount_minor(command.overdraft_limit, command.currency, command.scale)
        if isinstance(limit_minor, Refused):
            return limit_minor
        floor_minor = -limit_minor
    opened = AccountOpened(
        account_id=command.account_id,
        currency=command.currency,
        scale=command.scale,
        type=command.type,
        floor_minor=floor_minor,
        metadata=command.metadata,
    )
    return Accepted(
        Entry(
            seq=state.last_seq + 1,
            entry_id=command.account_id,
            effective_at=recorded_at,
            recorded_at=recorded_at,
            reference=None,
            body=opened,
        )
    )


def _transfer(state: State, command: Transfer, recorded_at: datetime) -> Verdict:
    if command.source_account_id == command.destination_account_id:
        return Refused(
            Refusal.SAME_ACCOUNT,
            "a transfer needs two different accounts",
            {"account_id": str(command.source_account_id)},
        )
    source = state.accounts.get(command.source_account_id)
    destination = state.accounts.get(command.destination_account_id)
    if source is None or destination is None:
        return _unknown_accounts(state, command)
    if refused := _wrong_currency(command, source, destination):
        return refused
    amount_minor = _amount_minor(command.amount, source.currency, source.scale)
    if isinstance(amount_minor, Refused):
        return amount_minor
    if amount_minor == 0:
        return _not_positive(command.amount)
    if command.effective_at is not None and command.effective_at > recorded_at:
        return _in_future(command.effective_at, recorded_at)
    entry = _transfer_entry(state, command, source, amount_minor, recorded_at)
    refused = (
        unbalanced(entry.body.legs)
        or _overflow(source, destination, amount_minor)
        or _insufficient(source, amount_minor)
    )
    return refused or Accepted(entry)


def _transfer_entry(
    state: State, command: Transfer, source: Account, amount_minor: int, recorded_at: datetime
) -> Entry:
    return Entry(
        state.last_seq + 1,
        command.transaction_id,
        command.effective_at or recorded_at,
        recorded_at,
        command.reference,
        Transferred(
            command.source_account_id,
            command.destination_account_id,
            amount_minor,
            source.currency,
            source.scale,
            command.metadata,
        ),
    )


def _amount_minor(amount: str, currency: str, scale: int) -> int | Refused:
    """Return the minor units of an amount that is zero or more, or why it is not one."""
    if amount.startswith("-"):
        return _not_positive(amount)
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


def _not_positive(amount: str) -> Refused:
    return Refused(
        Refusal.AMOUNT_NOT_POSITIVE, f"{amount} is not more than zero", {"amount": amount}
    )


def _unknown_currency(currency: str) -> Refused:
    return Refused(
        Refusal.UNKNOWN_CURRENCY,
        f"{currency} is neither an ISO 4217 currency nor an asset declared in the settings",
        {"currency": currency},
    )


def _unknown_accounts(state: State, command: Transfer) -> Refused:
    missing = [str(one) for one in command.account_ids if one not in state.accounts]
    return Refused(
        Refusal.UNKNOWN_ACCOUNT,
        f"there is no account {' and no account '.join(missing)}",
        {"account_ids": missing},
    )


def _wrong_currency(command: Transfer, source: Account, destination: Account) -> Refused | None:
    if command.currency == source.currency == destination.currency:
        return None
    if not command.currency_known and command.currency not in (
        source.currency,
        destination.currency,
    ):
        return _unknown_currency(command.currency)
    return Refused(
        Refusal.CURRENCY_MISMATCH,
        f"the transfer is in {command.currency}, the source in {source.currency}, "
        f"the destination in {destination.currency}",
        {
            "currency": command.currency,
            "source_currency": source.currency,
            "destination_currency": destination.currency,
        },
    )


def _in_future(effective_at: datetime, recorded_at: datetime) -> Refused:
    return Refused(
        Refusal.EFFECTIVE_IN_FUTURE,
        f"{effective_at.isoformat()} lies after {recorded_at.isoformat()}",
        {"effective_at": effective_at.isoformat(), "now": recorded_at.isoformat()},
    )


def _overflow(source: Account, destination: Account, amount_minor: int) -> Refused | None:
    for account, total in (
        (source, source.debits_minor + amount_minor),
        (destination, destination.credits_minor + amount_minor),
    ):
        if total > TOTAL_MINOR_MAX:
            return Refused(
                Refusal.AMOUNT_TOO_LARGE,
                f"the totals of account {account.account_id} would pass what can be stored",
                {
                    "account_id": str(account.account_id),
                    "largest": format_minor(TOTAL_MINOR_MAX, account.scale),
                },
            )
    return None


def _insufficient(source: Account, amount_minor: int) -> Refused | None:
    shortfall_minor = source.shortfall_minor(amount_minor)
    if shortfall_minor == 0 or source.floor_minor is None:
        return None

    def shown(value_minor: int) -> str:
        return format_minor(value_minor, source.scale)

    available_minor = max(0, source.balance_minor - source.floor_minor)
    return Refused(
        Refusal.INSUFFICIENT_FUNDS,
        f"the source can pay {shown(available_minor)} {source.currency}, "
        f"{shown(shortfall_minor)} less than {shown(amount_minor)}",
        {
            "account_id": str(source.account_id),
            "currency": source.currency,
            "amount": shown(amount_minor),
            "posted": shown(source.balance_minor),
            "floor": shown(source.floor_minor),
            "available": shown(available_minor),
            "shortfall": shown(shortfall_minor),
        },
    )

"""Conditions that a caller sets on a command: where accounts must stand before or after it."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from ledger_service.domain.commands import Condition
from ledger_service.domain.model import Account, Direction, Leg
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.rules.amounts import signed_minor
from ledger_service.domain.rules.posting import unknown_accounts
from shared.money import format_minor


def condition_failed(
    accounts: Mapping[UUID, Account], conditions: Sequence[Condition], legs: Sequence[Leg]
) -> Refused | None:
    """Return the first condition that does not hold where `legs` are posted to `accounts`."""
    if refused := unknown_accounts(accounts, (one.account_id for one in conditions)):
        return refused
    for condition in conditions:
        account = accounts[condition.account_id]
        expected = condition.expected_position
        if expected is not None and expected != account.position:
            return Refused(
                Refusal.CONDITION_FAILED,
                f"account {account.account_id} is at position {account.position}, not {expected}",
                {
                    "account_id": str(account.account_id),
                    "expected_position": expected,
                    "position": account.position,
                },
            )
        if condition.balance_min is not None and (
            refused := _balance_too_low(account, condition.balance_min, legs)
        ):
            return refused
    return None


def _balance_too_low(account: Account, balance_min: str, legs: Sequence[Leg]) -> Refused | None:
    wanted_minor = signed_minor(balance_min, account.currency, account.scale)
    if isinstance(wanted_minor, Refused):
        return wanted_minor
    for leg in legs:
        if leg.account_id == account.account_id:
            account = account.after(leg)
    sign = 1 if account.facts.normal_side is Direction.CREDIT else -1
    balance_minor = sign * account.balance_minor
    if balance_minor >= wanted_minor:
        return None
    return Refused(
        Refusal.CONDITION_FAILED,
        f"account {account.account_id} would be left with "
        f"{format_minor(balance_minor, account.scale)} {account.currency}",
        {
            "account_id": str(account.account_id),
            "min_balance_after": format_minor(wanted_minor, account.scale),
            "balance_after": format_minor(balance_minor, account.scale),
            "shortfall": format_minor(wanted_minor - balance_minor, account.scale),
        },
    )

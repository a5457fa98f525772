"""The rules of opening an account and of changing it."""

from datetime import datetime

from ledger_service.domain.commands import ChangeAccount, Limits, OpenAccount
from ledger_service.domain.entries import AccountChanged, AccountOpened, Entry
from ledger_service.domain.model import Account, AccountFacts, Direction
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.rules.amounts import amount_minor, signed_minor, unknown_currency
from ledger_service.domain.rules.posting import unknown_accounts
from ledger_service.domain.state import State
from shared.money import format_minor


def open_account(state: State, command: OpenAccount, recorded_at: datetime) -> Entry | Refused:
    """Return the entry that opens an account, or why it cannot be opened."""
    if command.scale is None:
        return unknown_currency(command.currency)
    if command.normal_side is None:
        return Refused(
            Refusal.UNKNOWN_ACCOUNT_TYPE,
            f"{command.type} is neither a type of ours nor one declared in the settings",
            {"account_type": command.type},
        )
    if refused := _code_in_use(state, command.code):
        return refused
    bounds = _bounds(command, command.scale, command.normal_side)
    if isinstance(bounds, Refused):
        return bounds
    facts = AccountFacts(
        account_id=command.account_id,
        currency=command.currency,
        scale=command.scale,
        type=command.type,
        normal_side=command.normal_side,
        floor_minor=bounds[0],
        ceiling_minor=bounds[1],
        limits_on=command.limits_on,
        code=command.code,
    )
    return Entry(
        seq=state.last_seq + 1,
        entry_id=command.account_id,
        effective_at=recorded_at,
        recorded_at=recorded_at,
        reference=None,
        body=AccountOpened(facts, command.metadata),
    )


def change_account(state: State, command: ChangeAccount, recorded_at: datetime) -> Entry | Refused:
    """Return the entry that changes an account, or why it stays as it is.

    A closed account can still be described, limited and opened again: it takes no event, and of
    limits only the movements that come after them know.
    """
    if refused := unknown_accounts(state.accounts, (command.account_id,)):
        return refused
    account = state.accounts[command.account_id]
    refused = (
        _version_mismatch(account, command.expected_version)
        or _code_refused(state, account, command.code)
        or (_not_empty(account) if command.is_closed else None)
    )
    if refused:
        return refused
    facts = account.facts
    if command.limits is not None:
        bounds = _limits(command.limits, facts)
        if isinstance(bounds, Refused):
            return bounds
        facts = facts._replace(
            floor_minor=bounds[0], ceiling_minor=bounds[1], limits_on=command.limits.on
        )
    facts = facts._replace(
        frozen=facts.frozen if command.freeze is None else command.freeze,
        is_closed=facts.is_closed if command.is_closed is None else command.is_closed,
        code=facts.code if command.code is None else command.code,
        version=facts.version + 1,
    )
    return Entry(
        seq=state.last_seq + 1,
        entry_id=command.entry_id,
        effective_at=recorded_at,
        recorded_at=recorded_at,
        reference=None,
        body=AccountChanged(facts, command.metadata),
    )


def _bounds(
    command: OpenAccount, scale: int, normal_side: Direction
) -> tuple[int | None, int | None] | Refused:
    """Return floor and ceiling of credits less debits."""
    floor_minor = ceiling_minor = None
    if command.overdraft_limit is not None:
        limit_minor = amount_minor(command.overdraft_limit, command.currency, scale)
        if isinstance(limit_minor, Refused):
            return limit_minor
        floor_minor = -limit_minor
    if command.ceiling is not None:
        highest_minor = signed_minor(command.ceiling, command.currency, scale)
        if isinstance(highest_minor, Refused):
            return highest_minor
        ceiling_minor = highest_minor
    return signed_bounds(floor_minor, ceiling_minor, scale, normal_side)


def _limits(limits: Limits, facts: AccountFacts) -> tuple[int | None, int | None] | Refused:
    """Return floor and ceiling of credits less debits."""
    floor_minor = ceiling_minor = None
    if limits.floor is not None:
        lowest_minor = signed_minor(limits.floor, facts.currency, facts.scale)
        if isinstance(lowest_minor, Refused):
            return lowest_minor
        floor_minor = lowest_minor
    if limits.ceiling is not None:
        highest_minor = signed_minor(limits.ceiling, facts.currency, facts.scale)
        if isinstance(highest_minor, Refused):
            return highest_minor
        ceiling_minor = highest_minor
    return signed_bounds(floor_minor, ceiling_minor, facts.scale, facts.normal_side)


def signed_bounds(
    floor_minor: int | None, ceiling_minor: int | None, scale: int, normal_side: Direction
) -> tuple[int | None, int | None] | Refused:
    """Return bounds of the balance on its normal side as bounds of credits less debits."""
    if floor_minor is not None and ceiling_minor is not None and floor_minor > ceiling_minor:
        return Refused(
            Refusal.LIMITS_CROSSED,
            "the floor lies above the ceiling",
            {
                "floor": format_minor(floor_minor, scale),
                "ceiling": format_minor(ceiling_minor, scale),
            },
        )
    if normal_side is Direction.CREDIT:
        return floor_minor, ceiling_minor
    return (
        None if ceiling_minor is None else -ceiling_minor,
        None if floor_minor is None else -floor_minor,
    )


def _code_in_use(state: State, code: str | None) -> Refused | None:
    if code is None or code not in state.codes:
        return None
    return Refused(
        Refusal.CODE_IN_USE,
        f"the code {code} belongs to account {state.codes[code]}",
        {"code": code, "account_id": str(state.codes[code])},
    )


def _version_mismatch(account: Account, expected: int | None) -> Refused | None:
    version = account.facts.version
    if expected is None or expected == version:
        return None
    return Refused(
        Refusal.VERSION_MISMATCH,
        f"account {account.account_id} is at version {version}, not {expected}",
        {
            "account_id": str(account.account_id),
            "expected_version": expected,
            "version": version,
        },
    )


def _code_refused(state: State, account: Account, code: str | None) -> Refused | None:
    """Refuse a second code, and one that is taken; the account's own is no change."""
    has = account.facts.code
    if code is None or code == has:
        return None
    if has is not None:
        return Refused(
            Refusal.CODE_FIXED,
            f"account {account.account_id} has the code {has} for good",
            {"account_id": str(account.account_id), "code": has, "asked": code},
        )
    return _code_in_use(state, code)


def _not_empty(account: Account) -> Refused | None:
    """Refuse to close an account that has a balance, or that holds may still move."""
    _, _, _, _, held_debits_minor, held_credits_minor = account
    if not (account.balance_minor or held_debits_minor or held_credits_minor):
        return None
    sign = 1 if account.facts.normal_side is Direction.CREDIT else -1
    balance = format_minor(sign * account.balance_minor, account.scale)
    held_debits = format_minor(held_debits_minor, account.scale)
    held_credits = format_minor(held_credits_minor, account.scale)
    return Refused(
        Refusal.ACCOUNT_NOT_EMPTY,
        f"account {account.account_id} has {balance} {account.currency}, and holds may still "
        f"take {held_debits} and bring {held_credits}",
        {
            "account_id": str(account.account_id),
            "currency": account.currency,
            "balance": balance,
            "held_debits": held_debits,
            "held_credits": held_credits,
        },
    )

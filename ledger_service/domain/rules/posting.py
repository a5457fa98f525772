"""What an account takes: whether it is there and open, and whether it stays within its bounds.

Floor and ceiling bound what a movement makes worse: an account beyond a bound that was set later
may still move towards it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

from ledger_service.domain.model import Account, Direction, Freeze, Leg
from ledger_service.domain.refusals import Refusal, Refused
from shared.money import format_minor

TOTAL_MINOR_MAX = 2**63 - 1
"""Totals are kept in PostgreSQL's bigint."""
_BLOCKS = {
    Direction.DEBIT: (Freeze.DEBITS, Freeze.ALL),
    Direction.CREDIT: (Freeze.CREDITS, Freeze.ALL),
}


def unknown_accounts(accounts: Mapping[UUID, Account], named: Iterable[UUID]) -> Refused | None:
    """Refuse ids of accounts that this ledger does not have."""
    missing = [str(one) for one in dict.fromkeys(named) if one not in accounts]
    if not missing:
        return None
    return Refused(
        Refusal.UNKNOWN_ACCOUNT,
        f"there is no account {' and no account '.join(missing)}",
        {"account_ids": missing},
    )


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


def blocked(account: Account, direction: Direction) -> Refused | None:
    """Refuse an event on an account that is closed, or frozen for its side."""
    facts = account.facts
    if facts.takes_all:
        return None
    account_id = str(facts.account_id)
    if facts.is_closed:
        return Refused(
            Refusal.ACCOUNT_CLOSED, f"account {account_id} is closed", {"account_id": account_id}
        )
    if facts.frozen in _BLOCKS[direction]:
        return Refused(
            Refusal.ACCOUNT_FROZEN,
            f"account {account_id} takes no {direction}s for now",
            {"account_id": account_id, "frozen": facts.frozen.value, "direction": direction.value},
        )
    return None


def overflow(account: Account, direction: Direction, amount_minor: int) -> Refused | None:
    """Refuse an amount with which a total could not be stored any more."""
    is_debit = direction is Direction.DEBIT
    if (account.debits_minor if is_debit else account.credits_minor) + (
        amount_minor
    ) <= TOTAL_MINOR_MAX:
        return None
    return Refused(
        Refusal.AMOUNT_TOO_LARGE,
        f"the totals of account {account.account_id} would pass what can be stored",
        {
            "account_id": str(account.account_id),
            "largest": format_minor(TOTAL_MINOR_MAX, account.scale),
        },
    )


def beyond_bounds(before: Account, after: Account) -> Refused | None:
    """Refuse what leads from `before` to `after` if that lies further beyond a bound.

    The refusal speaks of the normal side: what bounds the credits less debits of an asset from
    above is the least that may be left of it.
    """
    floor_minor, ceiling_minor = before.facts.floor_minor, before.facts.ceiling_minor
    is_credit = before.facts.normal_side is Direction.CREDIT
    if floor_minor is not None and after.lowest_minor < min(floor_minor, before.lowest_minor):
        amount_minor = before.lowest_minor - after.lowest_minor
        if is_credit:
            reach = _Reach(floor_minor, before.lowest_minor, before.held_debits_minor)
            return _below_floor(before, reach, amount_minor)
        reach = _Reach(-floor_minor, -before.lowest_minor, before.held_debits_minor)
        return _above_ceiling(before, reach, amount_minor)
    if ceiling_minor is not None and after.highest_minor > max(ceiling_minor, before.highest_minor):
        amount_minor = after.highest_minor - before.highest_minor
        if is_credit:
            reach = _Reach(ceiling_minor, before.highest_minor, before.held_credits_minor)
            return _above_ceiling(before, reach, amount_minor)
        reach = _Reach(-ceiling_minor, -before.highest_minor, before.held_credits_minor)
        return _below_floor(before, reach, amount_minor)
    return None


def legs_refused(
    accounts: Mapping[UUID, Account],
    legs: Sequence[Leg],
    before: Mapping[UUID, Account] | None = None,
) -> Refused | None:
    """Return why the accounts do not take `legs` all together, the first reason in their order.

    The legs balance already. Where a hold pays for them, `accounts` are those without what it
    keeps and `before` those with it.
    """
    after: dict[UUID, Account] = {}
    for leg in legs:
        account = after.get(leg.account_id) or accounts[leg.account_id]
        if refused := (
            blocked(account, leg.direction) or overflow(account, leg.direction, leg.amount_minor)
        ):
            return refused
        after[leg.account_id] = account.after(leg)
    for account_id, account in after.items():
        if refused := beyond_bounds((before or accounts)[account_id], account):
            return refused
    return None


class _Reach(NamedTuple):
    """A bound, what it bounds, and what holds have of that, on the account's normal side."""

    bound_minor: int
    stands_at_minor: int
    held_minor: int


def _below_floor(account: Account, reach: _Reach, amount_minor: int) -> Refused:
    available_minor = max(0, reach.stands_at_minor - reach.bound_minor)
    shortfall_minor = amount_minor - available_minor
    shown = _shown(account)
    is_credit = account.facts.normal_side is Direction.CREDIT
    payer = "the source can pay" if is_credit else f"account {account.account_id} can give"
    return Refused(
        Refusal.INSUFFICIENT_FUNDS,
        f"{payer} {shown(available_minor)} {account.currency}, "
        f"{shown(shortfall_minor)} less than {shown(amount_minor)}",
        _standing(account, reach, amount_minor)
        | {
            "floor": shown(reach.bound_minor),
            "available": shown(available_minor),
            "shortfall": shown(shortfall_minor),
        },
    )


def _above_ceiling(account: Account, reach: _Reach, amount_minor: int) -> Refused:
    room_minor = max(0, reach.bound_minor - reach.stands_at_minor)
    excess_minor = amount_minor - room_minor
    shown = _shown(account)
    return Refused(
        Refusal.ABOVE_CEILING,
        f"account {account.account_id} has room for {shown(room_minor)} {account.currency}, "
        f"{shown(excess_minor)} less than {shown(amount_minor)}",
        _standing(account, reach, amount_minor)
        | {
            "ceiling": shown(reach.bound_minor),
            "room": shown(room_minor),
            "excess": shown(excess_minor),
        },
    )


def _standing(account: Account, reach: _Reach, amount_minor: int) -> dict[str, str]:
    """Return what both refusals say of the account; `held` only where holds have something."""
    shown = _shown(account)
    sign = 1 if account.facts.normal_side is Direction.CREDIT else -1
    numbers = {
        "account_id": str(account.account_id),
        "currency": account.currency,
        "amount": shown(amount_minor),
        "posted": shown(sign * account.balance_minor),
    }
    return numbers | ({"held": shown(reach.held_minor)} if reach.held_minor else {})


def _shown(account: Account) -> Callable[[int], str]:
    """Return what writes minor units of the account's currency."""
    return partial(format_minor, scale=account.scale)

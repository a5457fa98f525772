"""The rules of a transaction of many legs: amounts, shares, and the balance of each currency."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from ledger_service.domain.allocation import allocate
from ledger_service.domain.commands import PartAsked, Transact
from ledger_service.domain.entries import Entry, EntryKind, Line, Moved, Transacted
from ledger_service.domain.model import Account, Direction
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.rules.amounts import positive_minor
from ledger_service.domain.rules.conditions import condition_failed
from ledger_service.domain.rules.dating import dated
from ledger_service.domain.rules.posting import legs_refused, unknown_accounts
from ledger_service.domain.state import State
from shared.money import format_minor


class Sums(NamedTuple):
    """The debits and the credits of one currency."""

    currency: str
    scale: int
    debits_minor: int = 0
    credits_minor: int = 0

    def with_line(self, line: Line) -> "Sums":
        if line.direction is Direction.DEBIT:
            return self._replace(debits_minor=self.debits_minor + line.amount_minor)
        return self._replace(credits_minor=self.credits_minor + line.amount_minor)


def transact(state: State, command: Transact, recorded_at: datetime) -> Entry | Refused:
    """Return the entry of a transaction of many legs, or why there is none."""
    accounts, parts = state.accounts, command.parts
    if refused := unknown_accounts(accounts, (part.account_id for part in parts)):
        return refused
    if len({part.account_id for part in parts}) < 2:
        return _one_account(parts)
    if refused := _mixed_scales(accounts, parts):
        return refused
    fixed = _fixed_minor(accounts, parts)
    if isinstance(fixed, Refused):
        return fixed
    when = dated(
        state.periods, command.effective_at, recorded_at, is_adjusting=command.is_adjusting
    )
    if isinstance(when, Refused):
        return when
    amounts_minor = _divided(accounts, parts, fixed)
    if isinstance(amounts_minor, Refused):
        return amounts_minor
    lines = tuple(
        line_of(accounts[part.account_id], part.direction, amount_minor)
        for part, amount_minor in zip(parts, amounts_minor, strict=True)
    )
    if refused := unbalanced_currencies(lines):
        return refused
    entry = Entry(
        state.last_seq + 1,
        command.transaction_id,
        when.effective_at,
        recorded_at,
        command.reference,
        Transacted(
            EntryKind.TRANSACTION,
            lines,
            moved_of(lines),
            command.metadata,
            is_adjusting=command.is_adjusting,
            dating=when.dating,
        ),
    )
    legs = entry.body.legs
    return condition_failed(accounts, command.conditions, legs) or (
        legs_refused(accounts, legs) or entry
    )


def line_of(account: Account, direction: Direction, amount_minor: int) -> Line:
    """Return a line on `account`."""
    return Line(account.account_id, direction, amount_minor, account.currency, account.scale)


def moved_of(lines: Sequence[Line]) -> tuple[Moved, ...]:
    """Return what balanced lines move in each currency, in the order of their first lines."""
    return tuple(Moved(one.currency, one.debits_minor, one.scale) for one in sums_of(lines))


def sums_of(lines: Sequence[Line]) -> list[Sums]:
    """Return the sums of each currency, in the order of their first lines."""
    sums: dict[str, Sums] = {}
    for line in lines:
        before = sums.get(line.currency) or Sums(line.currency, line.scale)
        sums[line.currency] = before.with_line(line)
    return list(sums.values())


def unbalanced_currencies(lines: Sequence[Line]) -> Refused | None:
    """Refuse lines whose debits and credits differ in any currency."""
    uneven = [one for one in sums_of(lines) if one.debits_minor != one.credits_minor]
    if not uneven:
        return None
    currencies = [
        {
            "currency": one.currency,
            "debits": format_minor(one.debits_minor, one.scale),
            "credits": format_minor(one.credits_minor, one.scale),
            "difference": format_minor(one.debits_minor - one.credits_minor, one.scale),
        }
        for one in uneven
    ]
    said = ", ".join(
        f"{one['debits']} {one['currency']} are debited and {one['credits']} credited"
        for one in currencies
    )
    return Refused(Refusal.UNBALANCED, said, {"currencies": currencies})


def _one_account(parts: Sequence[PartAsked]) -> Refused:
    return Refused(
        Refusal.SAME_ACCOUNT,
        "a transaction needs two different accounts",
        {"account_id": str(parts[0].account_id)},
    )


def _mixed_scales(accounts: Mapping[UUID, Account], parts: Sequence[PartAsked]) -> Refused | None:
    """Refuse accounts that keep one currency in different minor units."""
    scales: dict[str, int] = {}
    for part in parts:
        account = accounts[part.account_id]
        if scales.setdefault(account.currency, account.scale) != account.scale:
            return Refused(
                Refusal.CURRENCY_MISMATCH,
                f"accounts in {account.currency} have different numbers of decimals",
                {
                    "currency": account.currency,
                    "scales": sorted({scales[account.currency], account.scale}),
                },
            )
    return None


def _fixed_minor(
    accounts: Mapping[UUID, Account], parts: Sequence[PartAsked]
) -> list[int | None] | Refused:
    """Return the amount of each part, None for those that have a share."""
    fixed: list[int | None] = []
    for part in parts:
        if part.amount is None:
            fixed.append(None)
            continue
        account = accounts[part.account_id]
        minor = positive_minor(part.amount, account.currency, account.scale)
        if isinstance(minor, Refused):
            return minor
        fixed.append(minor)
    return fixed


def _divided(
    accounts: Mapping[UUID, Account], parts: Sequence[PartAsked], fixed: Sequence[int | None]
) -> list[int] | Refused:
    """Return the amounts of all parts, with what is left to divide divided by the shares."""
    sharing: dict[str, list[int]] = {}
    for place, part in enumerate(parts):
        if part.share is not None:
            sharing.setdefault(accounts[part.account_id].currency, []).append(place)
    if not sharing:
        return [minor or 0 for minor in fixed]
    known = [
        line_of(accounts[part.account_id], part.direction, minor)
        for part, minor in zip(parts, fixed, strict=True)
        if minor is not None
    ]
    sums = {one.currency: one for one in sums_of(known)}
    amounts_minor = [minor or 0 for minor in fixed]
    for currency, places in sharing.items():
        scale = accounts[parts[places[0]].account_id].scale
        shared = [parts[place] for place in places]
        divided = _by_shares(sums.get(currency) or Sums(currency, scale), shared)
        if isinstance(divided, Refused):
            return divided
        for place, minor in zip(places, divided, strict=True):
            amounts_minor[place] = minor
    return amounts_minor


def _by_shares(sums: Sums, parts: Sequence[PartAsked]) -> list[int] | Refused:
    """Divide what the other side has more than the amounts of the side with the shares."""
    currency, scale, debits_minor, credits_minor = sums
    sides = {part.direction for part in parts}
    shares = [part.share or 0 for part in parts]
    left_minor = abs(debits_minor - credits_minor)
    numbers = {
        "currency": currency,
        "debits": format_minor(debits_minor, scale),
        "credits": format_minor(credits_minor, scale),
        "shares": shares,
    }
    if len(sides) > 1:
        said = f"debits and credits in {currency} both have shares: neither side is known"
        return Refused(Refusal.SHARES_UNDIVIDABLE, said, numbers)
    is_ahead = debits_minor > credits_minor  # the debits: then only credits may be missing
    if left_minor == 0 or is_ahead is (Direction.DEBIT in sides):
        said = f"nothing of the {currency} is left to divide by shares"
        return Refused(Refusal.SHARES_UNDIVIDABLE, said, numbers)
    divided = allocate(left_minor, shares)
    if 0 in divided:
        left = format_minor(left_minor, scale)
        said = f"of {left} {currency}, the share of part {divided.index(0) + 1} would be nothing"
        return Refused(Refusal.SHARES_UNDIVIDABLE, said, numbers | {"left": left})
    return divided

"""The rules of opening an account and of changing it."""

from datetime import datetime

from ledger_service.domain.commands import OpenAccount
from ledger_service.domain.entries import AccountOpened, Entry
from ledger_service.domain.model import AccountFacts, Direction
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.rules.amounts import amount_minor, signed_minor, unknown_currency
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
            {"type": command.type},
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

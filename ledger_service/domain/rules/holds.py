"""The rules of holds: place, increase, capture, release and void, and let expire.

A hold keeps money of its source for its destination. What it keeps counts in the held totals of
both accounts, and so against floor and ceiling where these bound what is available.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from ledger_service.domain.commands import CaptureHold, IncreaseHold, PlaceHold, ReleaseHold
from ledger_service.domain.entries import Entry, EntryKind, HoldMoved
from ledger_service.domain.model import Account, Direction, Hold, HoldStatus
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.rules.amounts import amount_minor, positive_minor
from ledger_service.domain.rules.conditions import condition_failed
from ledger_service.domain.rules.dating import dated
from ledger_service.domain.rules.posting import (
    TOTAL_MINOR_MAX,
    beyond_bounds,
    blocked,
    legs_refused,
    unknown_accounts,
)
from ledger_service.domain.rules.transfers import wrong_currency
from ledger_service.domain.state import State
from shared.money import format_minor


def place(state: State, command: PlaceHold, recorded_at: datetime) -> Entry | Refused:
    """Return the entry that places a hold, or why there is none."""
    source_id, destination_id = command.source_account_id, command.destination_account_id
    if source_id == destination_id:
        return Refused(
            Refusal.SAME_ACCOUNT,
            "a hold needs two different accounts",
            {"account_id": str(source_id)},
        )
    if refused := unknown_accounts(state.accounts, (source_id, destination_id)):
        return refused
    source, destination = state.accounts[source_id], state.accounts[destination_id]
    if refused := wrong_currency(command.currency, command.currency_known, source, destination):
        return refused
    currency, scale = source.currency, source.scale
    minor = positive_minor(command.amount, currency, scale)
    if isinstance(minor, Refused):
        return minor
    over_minor = amount_minor(command.over_capture, currency, scale)
    if isinstance(over_minor, Refused):
        return over_minor
    if command.expires_at is not None and command.expires_at <= recorded_at:
        return _over_at_once(command.expires_at, recorded_at)
    if refused := condition_failed(state.accounts, command.conditions, ()):
        return refused
    if refused := _not_kept(source, destination, minor):
        return refused
    hold = Hold(
        command.hold_id,
        source_id,
        destination_id,
        currency,
        scale,
        minor,
        0,
        0,
        over_minor,
        command.expires_at,
        HoldStatus.OPEN,
    )
    body = HoldMoved(EntryKind.HOLD_PLACED, hold, minor, command.metadata)
    return _entry(state, command.hold_id, recorded_at, body, reference=command.reference)


def increase(state: State, command: IncreaseHold, recorded_at: datetime) -> Entry | Refused:
    """Return the entry with which a hold keeps more, and maybe longer, or why there is none."""
    hold = _open_hold(state, command.hold_id, recorded_at)
    if isinstance(hold, Refused):
        return hold
    minor = positive_minor(command.amount, hold.currency, hold.scale)
    if isinstance(minor, Refused):
        return minor
    if command.expires_at is not None and (
        refused := _not_longer(hold, command.expires_at, recorded_at)
    ):
        return refused
    if hold.amount_minor + minor > TOTAL_MINOR_MAX:
        return _too_large({"hold_id": str(hold.hold_id)}, hold.scale)
    source = state.accounts[hold.source_account_id]
    destination = state.accounts[hold.destination_account_id]
    if refused := _not_kept(source, destination, minor):
        return refused
    more = hold._replace(
        amount_minor=hold.amount_minor + minor, expires_at=command.expires_at or hold.expires_at
    )
    body = HoldMoved(EntryKind.HOLD_INCREASED, more, minor, command.metadata)
    return _entry(state, command.entry_id, recorded_at, body)


def capture(state: State, command: CaptureHold, recorded_at: datetime) -> Entry | Refused:
    """Return the entry that moves a hold's money, or why there is none.

    What the hold keeps pays first; what is captured beyond it needs funds as a transfer does.
    """
    hold = _open_hold(state, command.hold_id, recorded_at)
    if isinstance(hold, Refused):
        return hold
    kept_minor = hold.remaining_minor
    minor = _minor_of(hold, command.amount)
    if isinstance(minor, Refused):
        return minor
    if minor > kept_minor + hold.over_capture_minor:
        return _exceeded(hold, minor, kept_minor + hold.over_capture_minor)
    when = dated(state.periods, command.effective_at, recorded_at)
    if isinstance(when, Refused):
        return when
    left_minor = 0 if command.is_final else max(0, kept_minor - minor)
    captured = hold._replace(
        captured_minor=hold.captured_minor + minor,
        released_minor=hold.released_minor + max(0, kept_minor - minor) - left_minor,
        status=HoldStatus.OPEN if left_minor else HoldStatus.CAPTURED,
    )
    body = HoldMoved(EntryKind.HOLD_CAPTURED, captured, minor, command.metadata, when.dating)
    source = state.accounts[hold.source_account_id]
    destination = state.accounts[hold.destination_account_id]
    let_go = {
        one.account_id: one
        for one in (
            _holding_out(source, left_minor - kept_minor),
            _holding_in(destination, left_minor - kept_minor),
        )
    }
    if refused := legs_refused(let_go, body.legs, before=state.accounts):
        return refused
    return _entry(
        state,
        command.transaction_id,
        recorded_at,
        body,
        reference=command.reference,
        effective_at=when.effective_at,
    )


def release(state: State, command: ReleaseHold, recorded_at: datetime) -> Entry | Refused:
    """Return the entry that gives back a part of what a hold keeps, or why there is none.

    Giving back all of it voids the hold. Frozen and closed accounts do not stand in the way.
    """
    hold = _open_hold(state, command.hold_id, recorded_at)
    if isinstance(hold, Refused):
        return hold
    minor = _minor_of(hold, command.amount)
    if isinstance(minor, Refused):
        return minor
    if minor > hold.remaining_minor:
        return _exceeded(hold, minor, hold.remaining_minor)
    kind, status = EntryKind.HOLD_RELEASED, HoldStatus.OPEN
    if minor == hold.remaining_minor:
        kind, status = EntryKind.HOLD_VOIDED, HoldStatus.VOIDED
    released = hold._replace(released_minor=hold.released_minor + minor, status=status)
    body = HoldMoved(kind, released, minor, command.metadata)
    return _entry(state, command.entry_id, recorded_at, body)


def expiry(state: State, hold: Hold, entry_id: UUID, recorded_at: datetime) -> Entry:
    """Return the entry that ends a hold whose time is over."""
    body = HoldMoved(EntryKind.HOLD_EXPIRED, expired(hold), hold.remaining_minor, {})
    return _entry(state, entry_id, recorded_at, body)


def expired(hold: Hold) -> Hold:
    """Return an open hold as it is once its time is over."""
    return hold._replace(
        status=HoldStatus.EXPIRED, released_minor=hold.released_minor + hold.remaining_minor
    )


def _entry(
    state: State,
    entry_id: UUID,
    recorded_at: datetime,
    body: HoldMoved,
    *,
    reference: str | None = None,
    effective_at: datetime | None = None,
) -> Entry:
    counts_at = effective_at or recorded_at
    return Entry(state.last_seq + 1, entry_id, counts_at, recorded_at, reference, body)


def _open_hold(state: State, hold_id: UUID, recorded_at: datetime) -> Hold | Refused:
    """Return the hold if anything may still be done with it."""
    hold = state.holds.get(hold_id)
    if hold is None:
        return Refused(
            Refusal.UNKNOWN_HOLD, f"there is no hold {hold_id}", {"hold_id": str(hold_id)}
        )
    if hold.status is HoldStatus.EXPIRED or hold.is_due(recorded_at):
        assert hold.expires_at is not None, f"hold {hold_id} cannot expire"
        return Refused(
            Refusal.HOLD_EXPIRED,
            f"the time of hold {hold_id} was over at {hold.expires_at.isoformat()}",
            {
                "hold_id": str(hold_id),
                "expires_at": hold.expires_at.isoformat(),
                "now": recorded_at.isoformat(),
            },
        )
    if hold.status is not HoldStatus.OPEN:
        return Refused(
            Refusal.HOLD_NOT_OPEN,
            f"hold {hold_id} is {hold.status}",
            {"hold_id": str(hold_id), "status": hold.status.value} | _numbers(hold),
        )
    return hold


def _minor_of(hold: Hold, amount: str | None) -> int | Refused:
    """Return the amount that is asked for, all that the hold keeps where none is named."""
    if amount is None:
        return hold.remaining_minor
    return positive_minor(amount, hold.currency, hold.scale)


def _not_kept(source: Account, destination: Account, minor: int) -> Refused | None:
    """Refuse to keep `minor` more of the source for the destination, if either does not take it."""
    for before, after, direction in (
        (source, _holding_out(source, minor), Direction.DEBIT),
        (destination, _holding_in(destination, minor), Direction.CREDIT),
    ):
        if refused := blocked(before, direction):
            return refused
        if max(after.held_debits_minor, after.held_credits_minor) > TOTAL_MINOR_MAX:
            return _too_large({"account_id": str(before.account_id)}, before.scale)
        if refused := beyond_bounds(before, after):
            return refused
    return None


def _holding_out(account: Account, more_minor: int) -> Account:
    return account._replace(held_debits_minor=account.held_debits_minor + more_minor)


def _holding_in(account: Account, more_minor: int) -> Account:
    return account._replace(held_credits_minor=account.held_credits_minor + more_minor)


def _not_longer(hold: Hold, expires_at: datetime, recorded_at: datetime) -> Refused | None:
    """Refuse an expiry that has passed, or that would come before the one that was promised."""
    if expires_at <= recorded_at:
        return _over_at_once(expires_at, recorded_at)
    if hold.expires_at is not None and expires_at >= hold.expires_at:
        return None
    until = None if hold.expires_at is None else hold.expires_at.isoformat()
    return Refused(
        Refusal.EXPIRY_EARLIER,
        f"the hold lasts until {until}" if until else "the hold does not expire",
        {
            "hold_id": str(hold.hold_id),
            "expires_at": until,
            "asked_expires_at": expires_at.isoformat(),
        },
    )


def _over_at_once(expires_at: datetime, recorded_at: datetime) -> Refused:
    return Refused(
        Refusal.EXPIRY_NOT_IN_FUTURE,
        f"{expires_at.isoformat()} does not lie after {recorded_at.isoformat()}",
        {"expires_at": expires_at.isoformat(), "now": recorded_at.isoformat()},
    )


def _exceeded(hold: Hold, minor: int, largest_minor: int) -> Refused:
    largest, asked = (format_minor(one, hold.scale) for one in (largest_minor, minor))
    return Refused(
        Refusal.HOLD_EXCEEDED,
        f"at most {largest} {hold.currency} are possible, {asked} were asked for",
        {
            "hold_id": str(hold.hold_id),
            "amount": asked,
            "largest": largest,
            "excess": format_minor(minor - largest_minor, hold.scale),
        }
        | _numbers(hold),
    )


def _numbers(hold: Hold) -> dict[str, str]:
    """Return what became of the hold's amount so far."""
    amounts_minor = {
        "authorised": hold.amount_minor,
        "captured": hold.captured_minor,
        "released": hold.released_minor,
        "remaining": hold.remaining_minor,
        "over_capture": hold.over_capture_minor,
    }
    shown = {name: format_minor(minor, hold.scale) for name, minor in amounts_minor.items()}
    return {"currency": hold.currency} | shown


def _too_large(whose: Mapping[str, str], scale: int) -> Refused:
    return Refused(
        Refusal.AMOUNT_TOO_LARGE,
        "more would be held than can be stored",
        {**whose, "largest": format_minor(TOTAL_MINOR_MAX, scale)},
    )

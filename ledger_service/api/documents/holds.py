"""Holds as HoldOut shows them, and what each of their entries did."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ledger_service.api.documents.dating import dating_members
from ledger_service.api.documents.transactions import posted_document
from ledger_service.domain.entries import Entry, Event, HoldMoved
from ledger_service.domain.model import Account, Direction, Hold
from ledger_service.repositories.holds import HoldHistory, HoldNow
from shared.clock import instant_text
from shared.money import format_minor


def changed_hold_document(entry: Entry, _: Sequence[Event]) -> dict[str, Any]:
    """Return a hold as an entry left it, with what the entry did."""
    return hold_document(_body(entry).hold) | {"change": _change_document(entry)}


def captured_hold_document(entry: Entry, events: Sequence[Event]) -> dict[str, Any]:
    """Return the transaction that a capture posted, with the hold as it left it."""
    return posted_document(entry, events) | {"hold": hold_document(_body(entry).hold)}


def held_balances_document(accounts: Sequence[Account]) -> dict[str, Any]:
    """Return what is posted, held and available on each account, on its normal side."""
    return {str(account.account_id): _held_balance(account) for account in accounts}


def _held_balance(account: Account) -> dict[str, str]:
    balance_minor, taken_minor = account.balance_minor, account.held_debits_minor
    if account.facts.normal_side is Direction.DEBIT:
        balance_minor, taken_minor = -balance_minor, account.held_credits_minor
    amounts_minor = {
        "balance": balance_minor,
        "pending_debits": account.held_debits_minor,
        "pending_credits": account.held_credits_minor,
        "available": balance_minor - taken_minor,
    }
    return {name: format_minor(minor, account.scale) for name, minor in amounts_minor.items()}


def shown_hold_document(found: HoldNow) -> dict[str, Any]:
    """Return a hold as it stands now, with what was said when it was placed."""
    return hold_document(found.hold) | {
        "reference": found.reference,
        "metadata": found.metadata,
        "placed_at": instant_text(found.placed_at),
    }


def hold_history_document(found: HoldHistory) -> dict[str, Any]:
    """Return a hold as it stands now, with all that was done to it."""
    return shown_hold_document(found.now) | {
        "history": [_change_document(entry) for entry in found.entries]
    }


def hold_document(hold: Hold) -> dict[str, Any]:
    """Return what became of a hold's amount."""
    return {
        "hold_id": str(hold.hold_id),
        "status": hold.status.value,
        "source_account_id": str(hold.source_account_id),
        "destination_account_id": str(hold.destination_account_id),
        "currency": hold.currency,
        "amount": format_minor(hold.amount_minor, hold.scale),
        "captured": format_minor(hold.captured_minor, hold.scale),
        "released": format_minor(hold.released_minor, hold.scale),
        "remaining": format_minor(hold.remaining_minor, hold.scale),
        "over_capture": format_minor(hold.over_capture_minor, hold.scale),
        "expires_at": _instant_or_none(hold.expires_at),
    }


def _change_document(entry: Entry) -> dict[str, Any]:
    body = _body(entry)
    return {
        "entry_id": str(entry.entry_id),
        "seq": entry.seq,
        "kind": entry.kind.value,
        "amount": format_minor(body.amount_minor, body.hold.scale),
        "remaining": format_minor(body.hold.remaining_minor, body.hold.scale),
        "expires_at": _instant_or_none(body.hold.expires_at),
        "reference": entry.reference,
        "effective_at": instant_text(entry.effective_at),
        "recorded_at": instant_text(entry.recorded_at),
        **dating_members(entry, body.dating),
        "metadata": body.metadata,
    }


def _body(entry: Entry) -> HoldMoved:
    assert isinstance(entry.body, HoldMoved), f"entry {entry.seq} moves no hold"
    return entry.body


def _instant_or_none(instant: datetime | None) -> str | None:
    return None if instant is None else instant_text(instant)

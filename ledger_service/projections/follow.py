"""Replays stored entries one by one, and stops at the first that cannot follow from those before.

The verifier goes on and names all that it finds; whoever writes what a replay makes has to stop.
"""

import json
from typing import Any

from ledger_service.domain.canonical import StoredEntry
from ledger_service.domain.entries import AccountOpened, Entry, EntryKind
from ledger_service.domain.model import Direction
from ledger_service.domain.payloads import body_of, mistyped
from ledger_service.domain.state import Changes
from ledger_service.projections.compare import Replay


class DoesNotFollow(Exception):
    """An entry or its events are not what the entries before it allow; the message says why."""


def follow(replay: Replay, stored: StoredEntry) -> Changes:
    """Fold the next entry, and return what it changes.

    Raises DoesNotFollow where it is out of order, damaged, or has other events than it makes.
    """
    last, seq = replay.last, stored.seq
    expected = last.seq + 1 if last else 1
    if seq != expected:
        raise DoesNotFollow(f"seq {expected} is missing: {seq} follows")
    if last is not None and stored.recorded_at < last.recorded_at:
        raise DoesNotFollow(f"seq {seq} was recorded before seq {last.seq}")
    entry = _entry_of(stored)
    if fault := _fault_of(replay, entry):
        raise DoesNotFollow(f"seq {seq} cannot be: {fault}")
    try:
        changes = replay.take(entry)
    except (KeyError, ValueError) as error:
        raise DoesNotFollow(f"seq {seq} cannot be replayed: {error!r}") from None
    if [_event_of(stored, event) for event in stored.events] != list(changes.events):
        raise DoesNotFollow(f"the events of seq {seq} are not those that its payload makes")
    return changes


def _entry_of(stored: StoredEntry) -> Entry:
    seq, entry_id, kind, effective_at, recorded_at, reference, payload, _ = stored
    try:
        body = body_of(EntryKind(kind), json.loads(payload))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DoesNotFollow(f"the payload of seq {seq} is damaged: {error!r}") from None
    if field := mistyped(body):
        raise DoesNotFollow(f"the payload of seq {seq} is damaged: {field} has a wrong type")
    return Entry(seq, entry_id, effective_at, recorded_at, reference, body)


def _fault_of(replay: Replay, entry: Entry) -> str | None:
    """Return what is wrong with an entry that could be folded all the same, None if nothing is.

    The fold believes what the rules have accepted; a file, or a damaged row, may say anything.
    """
    accounts, body = replay.state.accounts, entry.body
    if isinstance(body, AccountOpened):
        if entry.entry_id != body.facts.account_id:
            return "the entry that opens an account has the account's id"
        return f"account {entry.entry_id} is open already" if entry.entry_id in accounts else None
    totals: dict[str, int] = {}
    for account_id, direction, amount_minor in body.legs:
        if amount_minor <= 0 or account_id not in accounts:
            return f"it moves {amount_minor} on account {account_id}"
        sign = 1 if direction is Direction.CREDIT else -1
        currency = accounts[account_id].currency
        totals[currency] = totals.get(currency, 0) + sign * amount_minor
    for currency, total_minor in totals.items():
        if total_minor:
            return f"debits and credits in {currency} differ by {abs(total_minor)} minor units"
    return None


def _event_of(stored: StoredEntry, event: Any) -> tuple[Any, ...]:
    """Return a stored event in the form of the fold's."""
    line, account_id, transaction_id, direction, *numbers = event
    return (stored.seq, line, account_id, transaction_id, direction, *numbers)

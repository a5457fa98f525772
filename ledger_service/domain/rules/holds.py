"""The rules of holds: place, increase, capture, release and void, and let expire."""

from datetime import datetime
from uuid import UUID

from ledger_service.domain.entries import Entry, EntryKind, HoldMoved
from ledger_service.domain.model import Hold, HoldStatus
from ledger_service.domain.state import State


def expiry(state: State, hold: Hold, entry_id: UUID, recorded_at: datetime) -> Entry:
    """Return the entry that ends a hold whose time is over."""
    ended = hold._replace(
        status=HoldStatus.EXPIRED, released_minor=hold.released_minor + hold.remaining_minor
    )
    return Entry(
        state.last_seq + 1,
        entry_id,
        recorded_at,
        recorded_at,
        None,
        HoldMoved(EntryKind.HOLD_EXPIRED, ended, hold.remaining_minor, {}),
    )

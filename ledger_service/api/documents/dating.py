"""When a posting counts, where that is worth a word: late, or moved by a closed period."""

from datetime import UTC
from typing import Any

from ledger_service.domain.entries import Dating, Entry
from shared.clock import instant_text


def dating_members(entry: Entry, dating: Dating | None) -> dict[str, Any]:
    """Return `late` and `dating` of a posting, each only where it applies.

    A posting is late that counts on an earlier day (UTC) than it was recorded on.
    """
    members: dict[str, Any] = {}
    if entry.effective_at.astimezone(UTC).date() < entry.recorded_at.astimezone(UTC).date():
        members["late"] = True
    if dating is not None:
        members["dating"] = {
            "period_id": str(dating.period_id),
            "status": dating.status.value,
            "asked_at": None if dating.asked_at is None else instant_text(dating.asked_at),
        }
    return members

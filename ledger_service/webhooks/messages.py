"""What a webhook is sent for an entry: the body, and the id by which a repeat is known."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from ledger_service.domain.entries import Entry, Event
from ledger_service.repositories.outbox import Posted
from shared.clock import instant_text

Render = Callable[[Entry, Sequence[Event], str], str]
"""Returns, as JSON, what an entry made in the ledger of a name: what its command was answered."""
TEST_TYPE = "test"


def entry_id_of(ledger_name: str, seq: int) -> str:
    """Return the id of the message about an entry: the same for every attempt and every webhook."""
    return f"{ledger_name}/{seq}"


def entry_body(ledger_name: str, posted: Posted, render: Render) -> bytes:
    """Return the message about an entry, the same bytes for every attempt."""
    entry = posted.entry
    recorded_at = instant_text(entry.recorded_at)
    reference = json.dumps(entry.reference, ensure_ascii=False)
    made = render(entry, posted.events, ledger_name)
    return (
        f'{{"type":"{entry.kind}","timestamp":"{recorded_at}","data":{{'
        f'"ledger":"{ledger_name}","seq":{entry.seq},"entry_id":"{entry.entry_id}",'
        f'"kind":"{entry.kind}","reference":{reference},'
        f'"effective_at":"{instant_text(entry.effective_at)}","recorded_at":"{recorded_at}",'
        f'"entry":{made},"events":[{",".join(posted.documents)}]}}}}'
    ).encode()


def body_of_test(ledger_name: str, webhook_id: UUID, at: datetime) -> bytes:
    """Return a message that tells of nothing."""
    said = {
        "type": TEST_TYPE,
        "timestamp": instant_text(at),
        "data": {"ledger": ledger_name, "webhook_id": str(webhook_id)},
    }
    return json.dumps(said, separators=(",", ":")).encode()

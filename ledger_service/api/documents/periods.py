"""Periods as PeriodOut shows them, and postings that came late as LatePosting does."""

from collections.abc import Sequence
from typing import Any

from ledger_service.api.documents.accounts import LEDGER_NAME
from ledger_service.api.documents.dating import dating_members
from ledger_service.domain.entries import (
    Entry,
    Event,
    HoldMoved,
    Moved,
    PeriodChanged,
    Transacted,
    Transferred,
)
from ledger_service.domain.model import Period
from shared.clock import instant_text
from shared.money import format_minor


def changed_period_document(entry: Entry, _: Sequence[Event] = ()) -> dict[str, Any]:
    """Return the period as the entry left it."""
    body = entry.body
    assert isinstance(body, PeriodChanged), f"entry {entry.seq} has no period"
    return {
        **period_document(body.period),
        "kind": entry.kind,
        "seq": entry.seq,
        "recorded_at": instant_text(entry.recorded_at),
        "metadata": body.metadata,
    }


def period_document(period: Period) -> dict[str, Any]:
    """Return a period as its entries left it."""
    return {
        "period_id": str(period.period_id),
        "ledger": LEDGER_NAME,
        "name": period.name,
        "starts_at": instant_text(period.starts_at),
        "ends_at": instant_text(period.ends_at),
        "status": period.status,
        "late": period.late,
    }


def late_document(entry: Entry) -> dict[str, Any]:
    """Return a posting that was recorded after the end of the period in which it counts."""
    body = entry.body
    assert isinstance(body, Transferred | Transacted | HoldMoved), f"entry {entry.seq} moves none"
    dating = dating_members(entry, body.dating).get("dating")
    return {
        "transaction_id": str(entry.entry_id),
        "seq": entry.seq,
        "kind": entry.kind,
        "reference": entry.reference,
        "amounts": [
            {"currency": one.currency, "amount": format_minor(one.amount_minor, one.scale)}
            for one in _moved(body)
        ],
        "effective_at": instant_text(entry.effective_at),
        "recorded_at": instant_text(entry.recorded_at),
        "adjusting": isinstance(body, Transacted) and body.is_adjusting,
        **({} if dating is None else {"dating": dating}),
        "metadata": body.metadata,
    }


def _moved(body: Transferred | Transacted | HoldMoved) -> Sequence[Moved]:
    if isinstance(body, Transacted):
        return body.moved
    money = body.hold if isinstance(body, HoldMoved) else body
    return (Moved(money.currency, body.amount_minor, money.scale),)

"""Transactions of many legs, exchanges, reversals and captures as PostingOut shows them."""

from collections.abc import Sequence
from typing import Any

from ledger_service.api.documents.dating import dating_members
from ledger_service.domain.entries import (
    Entry,
    EntryKind,
    Event,
    HoldMoved,
    Line,
    Moved,
    Rate,
    Reverses,
    Transacted,
    Transferred,
)
from ledger_service.repositories.transactions import Reversal
from shared.clock import instant_text
from shared.money import format_minor


def posted_document(entry: Entry, events: Sequence[Event]) -> dict[str, Any]:
    """Return a transaction just posted, with the balance that it left in each account."""
    scales = {line.account_id: line.scale for line in _lines(entry)}
    after = {event.account_id: event.balance_after_minor for event in events}
    balances = {
        str(account_id): format_minor(balance_minor, scales[account_id])
        for account_id, balance_minor in after.items()
    }
    return transaction_document(entry) | {"balances": balances}


def transaction_document(entry: Entry) -> dict[str, Any]:
    """Return a transaction as it was posted."""
    body = entry.body
    assert isinstance(body, Transacted | HoldMoved), f"entry {entry.seq} has no lines"
    lines = _lines(entry)
    return {
        "transaction_id": str(entry.entry_id),
        "seq": entry.seq,
        "kind": entry.kind,
        "reference": entry.reference,
        "lines": [_line_document(number, line) for number, line in enumerate(lines, 1)],
        "amounts": [_amount_document(moved) for moved in _moved(body)],
        **_kind_members(body),
        "effective_at": instant_text(entry.effective_at),
        "recorded_at": instant_text(entry.recorded_at),
        **dating_members(entry, body.dating),
        "metadata": body.metadata,
    }


def with_reversals(entry: Entry, reversals: Sequence[Reversal]) -> dict[str, Any]:
    """Return a transaction as it was posted, and what is reversed of it by now."""
    document = transaction_document(entry)
    left_minor = _left_minor(entry, reversals)
    for line, shown, left in zip(_lines(entry), document["lines"], left_minor, strict=True):
        shown["left_to_reverse"] = format_minor(left, line.scale)
    return document | {"reversed_by": reversed_by(reversals)}


def transfer_reversals(body: Transferred, reversals: Sequence[Reversal]) -> dict[str, Any]:
    """Return what is reversed of a transfer by now."""
    left_minor = body.amount_minor - sum(one.amounts_minor[0] for one in reversals)
    return {
        "left_to_reverse": format_minor(left_minor, body.scale),
        "reversed_by": reversed_by(reversals),
    }


def reversed_by(reversals: Sequence[Reversal]) -> list[dict[str, Any]]:
    """Return which transactions reverse this one."""
    return [{"transaction_id": str(one.transaction_id), "seq": one.seq} for one in reversals]


def _left_minor(entry: Entry, reversals: Sequence[Reversal]) -> list[int]:
    """Return what is left to reverse of each line; nothing of a reversal."""
    if entry.kind is EntryKind.REVERSAL:
        return [0] * len(entry.body.legs)
    return [
        line.amount_minor - sum(one.amounts_minor[place] for one in reversals)
        for place, line in enumerate(entry.body.legs)
    ]


def _lines(entry: Entry) -> tuple[Line, ...]:
    body = entry.body
    if isinstance(body, Transacted):
        return body.lines
    assert isinstance(body, HoldMoved), f"entry {entry.seq} has no lines"
    return tuple(Line(*leg, body.hold.currency, body.hold.scale) for leg in body.legs)


def _moved(body: Transacted | HoldMoved) -> tuple[Moved, ...]:
    if isinstance(body, Transacted):
        return body.moved
    return (Moved(body.hold.currency, body.amount_minor, body.hold.scale),)


def _kind_members(body: Transacted | HoldMoved) -> dict[str, Any]:
    """Return what only transactions of this kind have."""
    if isinstance(body, HoldMoved):
        return {"hold_id": str(body.hold.hold_id)}
    members: dict[str, Any] = {}
    if body.is_adjusting:
        members["adjusting"] = True
    if body.rate is not None:
        members["exchange"] = _exchange_document(body.rate)
    if body.reverses is not None:
        members["reverses"] = _reverses_document(body.reverses, body.lines)
    return members


def _exchange_document(rate: Rate) -> dict[str, Any]:
    return {
        "rate": rate.rate,
        "rate_source": rate.rate_source,
        "sold": _amount_document(rate.sold),
        "bought": _amount_document(rate.bought),
        "rounding": format_minor(rate.rounding_minor, rate.bought.scale),
    }


def _reverses_document(reverses: Reverses, lines: Sequence[Line]) -> dict[str, Any]:
    """Return how much of which lines of the original is reversed, one for each of `lines`."""
    amounts = iter(lines)
    return {
        "transaction_id": str(reverses.transaction_id),
        "lines": [
            {"line": number, "amount": format_minor(minor, next(amounts).scale)}
            for number, minor in enumerate(reverses.amounts_minor, 1)
            if minor
        ],
    }


def _line_document(number: int, line: Line) -> dict[str, Any]:
    return {
        "line": number,
        "account_id": str(line.account_id),
        "direction": line.direction.value,
        "amount": format_minor(line.amount_minor, line.scale),
        "currency": line.currency,
    }


def _amount_document(moved: Moved) -> dict[str, Any]:
    return {"currency": moved.currency, "amount": format_minor(moved.amount_minor, moved.scale)}

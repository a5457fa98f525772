"""Renders outcomes as the JSON that their callers get.

An answer is a function of what the log holds: a repeated request is answered from the entry, its
events or the kept refusal, and gets the same bytes.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from ledger_service.api.documents.accounts import (
    changed_account_document,
    opened_account_document,
)
from ledger_service.api.documents.dating import dating_members
from ledger_service.api.documents.holds import (
    captured_hold_document,
    changed_hold_document,
    held_balances_document,
)
from ledger_service.api.documents.periods import changed_period_document
from ledger_service.api.documents.transactions import posted_document
from ledger_service.domain.batch import Declined, Outcome, Posted
from ledger_service.domain.entries import Entry, EntryKind, Event, HoldMoved, Transferred
from ledger_service.domain.payloads import metadata_text
from ledger_service.domain.refusals import Refusal
from shared.clock import instant_text
from shared.errors import AppError, KeyReused
from shared.money import format_minor
from shared.problems import problem_document

ACCOUNT_PATH = "/ledger/account/"
TRANSFER_PATH = "/ledger/transfer/"


def refusal_error(refusal: Refusal) -> type[AppError]:
    """Return the error class, one for each refusal, with which it is shown over HTTP."""
    return _REFUSAL_ERRORS[refusal]


_STATUSES = {Refusal.VERSION_MISMATCH: 412}
_REFUSAL_ERRORS: dict[Refusal, type[AppError]] = {
    refusal: type(
        refusal.name,
        (AppError,),
        {
            "code": refusal.code,
            "title": refusal.title,
            "status": _STATUSES.get(refusal, 422),
        },
    )
    for refusal in Refusal
}


class Answer(NamedTuple):
    """What the caller gets: an HTTP status and a JSON document."""

    status: int
    document: str


def render(outcome: Outcome, path: str, ledger: str) -> Answer:
    """Return the answer to a command that came to `path`: 201, or the refusal, mostly as 422.

    Raises KeyReused.
    """
    if isinstance(outcome, Posted):
        entry, events, _, left = outcome
        return Answer(
            201, _tried_text(outcome, ledger) if left else posted_text(entry, events, ledger)
        )
    error = outcome_error(outcome)
    if isinstance(error, KeyReused):
        raise error
    return Answer(error.status, json_text(problem_document(error, path)))


def _tried_text(outcome: Posted, ledger: str) -> str:
    """Return the answer to a dry run: that of the real one, and what holds would keep."""
    entry, events, _, left = outcome
    text = posted_text(entry, events, ledger)
    if not isinstance(entry.body, HoldMoved) or events:
        return text
    return json_text(json.loads(text) | {"balances": held_balances_document(left)})


def outcome_error(outcome: Outcome) -> AppError:
    """Return the error as which a refused command is shown."""
    if isinstance(outcome, Declined):
        refused = outcome.refused
        return refusal_error(refused.refusal)(refused.detail, **refused.numbers)
    return KeyReused("this Idempotency-Key came with another request before")


def posted_text(entry: Entry, events: Sequence[Event], ledger: str) -> str:
    """Return what an entry made, as the model that its route declares shows it."""
    body = entry.body
    if isinstance(body, Transferred):
        return f'{transaction_text(entry)[:-1]},"balances":{balances_text(events, body.scale)}}}'
    document = _DOCUMENTS[entry.kind](entry, events)
    if "ledger" in document:
        document["ledger"] = ledger
    return json_text(document)


# What each other kind of entry has made.
_DOCUMENTS: dict[EntryKind, Callable[[Entry, Sequence[Event]], dict[str, Any]]] = {
    EntryKind.ACCOUNT_OPENED: opened_account_document,
    EntryKind.ACCOUNT_CHANGED: changed_account_document,
    EntryKind.PERIOD_OPENED: changed_period_document,
    EntryKind.PERIOD_CLOSED: changed_period_document,
    EntryKind.PERIOD_REOPENED: changed_period_document,
    EntryKind.TRANSACTION: posted_document,
    EntryKind.EXCHANGE: posted_document,
    EntryKind.REVERSAL: posted_document,
    EntryKind.HOLD_PLACED: changed_hold_document,
    EntryKind.HOLD_INCREASED: changed_hold_document,
    EntryKind.HOLD_CAPTURED: captured_hold_document,
    EntryKind.HOLD_RELEASED: changed_hold_document,
    EntryKind.HOLD_VOIDED: changed_hold_document,
    EntryKind.HOLD_EXPIRED: changed_hold_document,
}


def balances_text(events: Sequence[Event], scale: int) -> str:
    """Return the balance that the events left in each account, as a JSON object."""
    after: dict[UUID, int] = {event.account_id: event.balance_after_minor for event in events}
    shown = [
        f'"{account_id}":"{format_minor(balance_minor, scale)}"'
        for account_id, balance_minor in after.items()
    ]
    return f"{{{','.join(shown)}}}"


def transaction_text(entry: Entry) -> str:
    """Return a transfer as TransactionOut shows it."""
    body = entry.body
    assert isinstance(body, Transferred), f"entry {entry.seq} is no transfer"
    reference = "null" if entry.reference is None else json_text(entry.reference)
    dating = ""
    if body.dating is not None or entry.effective_at != entry.recorded_at:
        dating = "".join(
            f'"{name}":{json_text(value)},'
            for name, value in dating_members(entry, body.dating).items()
        )
    return (
        f'{{"transaction_id":"{entry.entry_id}","seq":{entry.seq},"kind":"{entry.kind}",'
        f'"reference":{reference},"source_account_id":"{body.source_account_id}",'
        f'"destination_account_id":"{body.destination_account_id}",'
        f'"amount":"{format_minor(body.amount_minor, body.scale)}","currency":"{body.currency}",'
        f'"effective_at":"{_instant_text(entry.effective_at)}",'
        f'"recorded_at":"{_instant_text(entry.recorded_at)}",{dating}'
        f'"metadata":{metadata_text(body.metadata)}}}'
    )


def json_text(value: Any) -> str:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


_instant_text = lru_cache(maxsize=16)(instant_text)  # a batch has one instant

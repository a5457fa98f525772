"""Renders the verdict on a command as the JSON that its caller gets, and gets again by key."""

import json
from typing import Any

from ledger_service.domain.commands import Command, OpenAccount
from ledger_service.domain.decide import Accepted, Verdict
from ledger_service.domain.model import Changes, Entry
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.event_store import Answer
from shared.clock import instant_text
from shared.errors import AppError
from shared.money import format_minor
from shared.problems import problem_document

ACCOUNT_PATH = "/ledger/account/"
TRANSFER_PATH = "/ledger/transfer/"
LEDGER_NAME = "main"


def refusal_error(refusal: Refusal) -> type[AppError]:
    """Return the error class, one for each refusal, with which it is shown over HTTP."""
    return _REFUSAL_ERRORS[refusal]


_REFUSAL_ERRORS: dict[Refusal, type[AppError]] = {
    refusal: type(
        refusal.name,
        (AppError,),
        {
            "code": refusal.code,
            "title": refusal.title,
            "status": 422,
        },
    )
    for refusal in Refusal
}


def render(command: Command, verdict: Verdict, changes: Changes | None) -> Answer:
    """Return the answer to `command`: 201 with what was made, or 422 with the refusal."""
    if isinstance(verdict, Refused):
        return _refused(command, verdict)
    assert changes is not None
    if isinstance(command, OpenAccount):
        return _answer(201, account_document(verdict.entry))
    return _answer(201, _posted_document(verdict, changes))


def account_document(entry: Entry) -> dict[str, Any]:
    """Return a newly opened account as AccountOut shows it."""
    facts = entry.payload
    return {
        "account_id": facts["account_id"],
        "ledger": LEDGER_NAME,
        "currency": facts["currency"],
        "scale": facts["scale"],
        "type": facts["type"],
        "status": "open",
        "overdraft": overdraft_document(facts["floor_minor"], facts["scale"]),
        "metadata": facts["metadata"],
        "version": 1,
        "seq": entry.seq,
        "opened_at": instant_text(entry.recorded_at),
    }


def overdraft_document(floor_minor: int | None, scale: int) -> dict[str, Any]:
    """Return how far an account may go below zero as OverdraftOut shows it."""
    if floor_minor is None:
        return {"policy": "allowed", "floor": None}
    policy = "refused" if floor_minor == 0 else "floor"
    return {"policy": policy, "floor": format_minor(floor_minor, scale)}


def transaction_document(entry: Entry) -> dict[str, Any]:
    """Return a transfer as TransactionOut shows it."""
    facts = entry.payload
    return {
        "transaction_id": str(entry.entry_id),
        "seq": entry.seq,
        "kind": entry.kind.value,
        "reference": entry.reference,
        "source_account_id": facts["source_account_id"],
        "destination_account_id": facts["destination_account_id"],
        "amount": format_minor(facts["amount_minor"], facts["scale"]),
        "currency": facts["currency"],
        "effective_at": instant_text(entry.effective_at),
        "recorded_at": instant_text(entry.recorded_at),
        "metadata": facts["metadata"],
    }


def _posted_document(verdict: Accepted, changes: Changes) -> dict[str, Any]:
    balances = {
        str(account.account_id): format_minor(account.balance_minor, account.scale)
        for account in changes.accounts
    }
    return transaction_document(verdict.entry) | {"balances": balances}


def _refused(command: Command, refused: Refused) -> Answer:
    error = refusal_error(refused.refusal)(refused.detail, **refused.numbers)
    path = ACCOUNT_PATH if isinstance(command, OpenAccount) else TRANSFER_PATH
    return _answer(error.status, problem_document(error, path))


def _answer(status: int, document: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(document, separators=(",", ":"), ensure_ascii=False))

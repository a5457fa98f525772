"""Accounts as AccountOut shows them, and their changes as AccountChangeOut does."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ledger_service.domain.entries import AccountChanged, AccountOpened, Entry, Event
from ledger_service.domain.model import AccountFacts, Direction
from shared.clock import instant_text
from shared.money import format_minor

LEDGER_NAME = "main"


def opened_account_document(entry: Entry, _: Sequence[Event]) -> dict[str, Any]:
    """Return the account that the entry opened."""
    body = entry.body
    assert isinstance(body, AccountOpened), f"entry {entry.seq} opened no account"
    return account_document(body.facts, body.metadata, entry.seq, entry.recorded_at)


def changed_account_document(entry: Entry, _: Sequence[Event] = ()) -> dict[str, Any]:
    """Return the account as the entry left it; of its metadata only what the entry says."""
    body = entry.body
    assert isinstance(body, AccountOpened | AccountChanged), f"entry {entry.seq} has no account"
    return {
        **_facts_document(body.facts),
        "kind": entry.kind,
        "metadata": body.metadata,
        "version": body.facts.version,
        "seq": entry.seq,
        "recorded_at": instant_text(entry.recorded_at),
    }


def account_document(
    facts: AccountFacts, metadata: Mapping[str, Any], opened_seq: int, opened_at: datetime
) -> dict[str, Any]:
    """Return an account as its entries made it."""
    return {
        **_facts_document(facts),
        "metadata": metadata,
        "version": facts.version,
        "seq": opened_seq,
        "opened_at": instant_text(opened_at),
    }


def _facts_document(facts: AccountFacts) -> dict[str, Any]:
    floor_minor, ceiling_minor = facts.floor_minor, facts.ceiling_minor
    if facts.normal_side is Direction.DEBIT:
        floor_minor, ceiling_minor = (
            None if ceiling_minor is None else -ceiling_minor,
            None if floor_minor is None else -floor_minor,
        )
    return {
        "account_id": str(facts.account_id),
        "ledger": LEDGER_NAME,
        "currency": facts.currency,
        "scale": facts.scale,
        "type": facts.type,
        "normal_side": facts.normal_side,
        "code": facts.code,
        "status": facts.status,
        "frozen": facts.frozen,
        "overdraft": _overdraft_document(floor_minor, facts.scale),
        "ceiling": None if ceiling_minor is None else format_minor(ceiling_minor, facts.scale),
        "limits_on": facts.limits_on,
    }


def _overdraft_document(floor_minor: int | None, scale: int) -> dict[str, Any]:
    """Return how far an account may go below zero as OverdraftOut shows it."""
    if floor_minor is None:
        return {"policy": "allowed", "floor": None}
    policy = "refused" if floor_minor == 0 else "floor"
    return {"policy": policy, "floor": format_minor(floor_minor, scale)}

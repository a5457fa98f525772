"""A payload from elsewhere whose values are not of their types is named, field by field."""

import json
from typing import Any
from uuid import UUID

import pytest

from ledger_service.domain.entries import EntryKind
from ledger_service.domain.payloads import body_of, mistyped, payload_text
from scripts.simulation.world import World

HOLD: dict[str, Any] = {
    "hold_id": str(UUID(int=7)),
    "source_account_id": str(UUID(int=1)),
    "destination_account_id": str(UUID(int=2)),
    "currency": "USD",
    "scale": 2,
    "amount_minor": 500,
    "captured_minor": 0,
    "released_minor": 0,
    "over_capture_minor": 0,
    "expires_at": "2026-01-01T00:00:00+00:00",
    "status": "open",
}


def of_hold(**facts: Any) -> str | None:
    placed = {"kind": "hold_placed", "hold": HOLD | facts, "amount_minor": 500, "metadata": {}}
    return mistyped(body_of(EntryKind.HOLD_PLACED, placed))


def of_transaction(**facts: Any) -> str | None:
    line = {"account_id": str(UUID(int=1)), "direction": "debit", "amount_minor": 5}
    lines = [line | {"currency": "USD", "scale": 2} | facts]
    moved = {"kind": "transaction", "lines": lines, "moved": [], "metadata": {}}
    return mistyped(body_of(EntryKind.TRANSACTION, moved))


def test_what_the_rules_write_has_the_types_that_it_must_have() -> None:
    world = World(seed=3)
    while world.accepted < 60:
        world.step()
    for entry in world.entries:
        assert mistyped(body_of(entry.kind, json.loads(payload_text(entry.body)))) is None


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({}, None),
        ({"expires_at": None}, None),
        ({"expires_at": "2026-01-01T00:00:00"}, "HoldMoved.hold.expires_at"),
        ({"amount_minor": "500"}, "HoldMoved.hold.amount_minor"),
        ({"amount_minor": 500.0}, "HoldMoved.hold.amount_minor"),
        ({"amount_minor": True}, "HoldMoved.hold.amount_minor"),
        ({"amount_minor": None}, "HoldMoved.hold.amount_minor"),
        ({"currency": 7}, "HoldMoved.hold.currency"),
    ],
)
def test_a_field_of_a_wrong_type_is_named(facts: dict[str, Any], field: str | None) -> None:
    assert of_hold(**facts) == field


@pytest.mark.parametrize(("amount", "field"), [(5, None), ([], "Transacted.lines.amount_minor")])
def test_fields_within_lists_are_looked_at(amount: Any, field: str | None) -> None:
    assert of_transaction(amount_minor=amount) == field

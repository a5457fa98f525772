"""The rules of reversals: how much, of what, and never more than was posted."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ledger_service.domain.commands import LineAsked, Reverse
from ledger_service.domain.decide import decide
from ledger_service.domain.entries import Entry, EntryKind, Line, Reverses, Transacted
from ledger_service.domain.evolve import advance
from ledger_service.domain.model import Direction, Freeze
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.state import Original, State
from tests.unit.ledger.builders import ALICE, BOB, FLOAT, NOON, an_account, books

PAID, SPLIT, BACK = UUID(int=21), UUID(int=22), UUID(int=23)
DEBIT, CREDIT = Direction.DEBIT, Direction.CREDIT


def posted_books() -> State:
    """The books after Alice paid the float 5.00, and the float paid 9.00 in two parts."""
    state = books()
    for transaction_id, kind, lines in (
        (PAID, EntryKind.TRANSFER, ((ALICE, DEBIT, 500), (FLOAT, CREDIT, 500))),
        (
            SPLIT,
            EntryKind.TRANSACTION,
            ((FLOAT, DEBIT, 900), (ALICE, CREDIT, 600), (BOB, CREDIT, 300)),
        ),
        (BACK, EntryKind.REVERSAL, ((ALICE, CREDIT, 1), (FLOAT, DEBIT, 1))),
    ):
        state.originals[transaction_id] = Original(
            transaction_id,
            kind,
            NOON - timedelta(days=1),
            tuple(Line(*line, "USD", 2) for line in lines),
        )
    state.accounts[BOB] = an_account(BOB, credits_minor=300, position=1)
    return state


def a_reversal(original_id: UUID, amount: str | None = None, *lines: tuple[int, str]) -> Reverse:
    return Reverse(
        UUID(int=99),
        original_id,
        amount,
        tuple(LineAsked(*line) for line in lines),
        None,
        None,
        {},
    )


def reverse(state: State, command: Reverse) -> Entry:
    """Fold the reversal into `state`."""
    verdict = decide(state, command, NOON)
    assert isinstance(verdict, Entry), verdict
    advance(state, verdict)
    return verdict


def refused(state: State, command: Reverse) -> Refused:
    verdict = decide(state, command, NOON)
    assert isinstance(verdict, Refused), verdict
    return verdict


def test_all_that_is_left_goes_back_the_way_it_came() -> None:
    state = posted_books()
    reverse(state, a_reversal(SPLIT, None, (1, "2.00"), (2, "2.00")))
    body = reverse(state, a_reversal(SPLIT)).body
    assert isinstance(body, Transacted)
    assert [line[:3] for line in body.lines] == [
        (FLOAT, CREDIT, 700),
        (ALICE, DEBIT, 400),
        (BOB, DEBIT, 300),
    ]
    assert body.reverses == Reverses(SPLIT, (700, 400, 300))
    assert state.reversed[SPLIT] == (900, 600, 300)
    assert state.accounts[BOB].balance_minor == 0


def test_lines_that_are_not_asked_for_are_left_alone() -> None:
    state = posted_books()
    asked = a_reversal(SPLIT, None, (3, "1.00"), (1, "1.25"), (3, "0.25"))
    body = reverse(state, asked).body
    assert isinstance(body, Transacted)
    assert [line[:3] for line in body.lines] == [(FLOAT, CREDIT, 125), (BOB, DEBIT, 125)]
    assert state.reversed[SPLIT] == (125, 0, 125)


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (a_reversal(UUID(int=404)), Refusal.UNKNOWN_TRANSACTION),
        (a_reversal(BACK), Refusal.NOT_REVERSIBLE),
        (a_reversal(PAID, "5.01"), Refusal.REVERSAL_EXCEEDS),
        (a_reversal(PAID, None, (1, "5.01"), (2, "5.01")), Refusal.REVERSAL_EXCEEDS),
        (a_reversal(PAID, "0.00"), Refusal.AMOUNT_NOT_POSITIVE),
        (a_reversal(PAID, "x"), Refusal.AMOUNT_MALFORMED),
        (a_reversal(PAID, "1.001"), Refusal.AMOUNT_SCALE),
        (a_reversal(PAID, None, (1, "1.00")), Refusal.UNBALANCED),
        (a_reversal(PAID, None, (1, "1.00"), (2, "1.01")), Refusal.UNBALANCED),
        (a_reversal(PAID, None, (3, "1.00")), Refusal.REVERSAL_NEEDS_LINES),
        (a_reversal(SPLIT, "1.00"), Refusal.REVERSAL_NEEDS_LINES),
        (a_reversal(SPLIT, None, (2, "0.00")), Refusal.AMOUNT_NOT_POSITIVE),
        (
            a_reversal(PAID)._replace(effective_at=NOON + timedelta(seconds=1)),
            Refusal.EFFECTIVE_IN_FUTURE,
        ),
        (
            a_reversal(PAID)._replace(effective_at=NOON - timedelta(days=2)),
            Refusal.NOT_REVERSIBLE,
        ),
    ],
)
def test_each_rule_refuses_by_name(command: Reverse, refusal: Refusal) -> None:
    assert refused(posted_books(), command).refusal is refusal


def test_what_exceeds_says_what_was_posted_reversed_and_left() -> None:
    state = posted_books()
    reverse(state, a_reversal(PAID, "3.00"))
    exceeding = refused(state, a_reversal(PAID, "2.01"))
    assert exceeding.numbers == {
        "transaction_id": str(PAID),
        "line": 1,
        "currency": "USD",
        "original": "5.00",
        "reversed": "3.00",
        "left": "2.00",
        "amount": "2.01",
        "excess": "0.01",
    }
    reverse(state, a_reversal(PAID, "2.00"))
    nothing = refused(state, a_reversal(PAID))
    assert nothing.detail == "all of the transaction is reversed already"
    assert nothing.numbers["left"] == "0.00"


@pytest.mark.parametrize(
    ("facts", "refusal"),
    [
        ({"is_closed": True}, Refusal.ACCOUNT_CLOSED),
        ({"frozen": Freeze.DEBITS}, Refusal.ACCOUNT_FROZEN),
        ({"credits_minor": 299}, Refusal.INSUFFICIENT_FUNDS),
    ],
)
def test_the_accounts_rules_hold_for_reversals(facts: dict[str, Any], refusal: Refusal) -> None:
    state = posted_books()
    state.accounts[BOB] = an_account(BOB, **({"credits_minor": 300} | facts))
    assert refused(state, a_reversal(SPLIT)).refusal is refusal

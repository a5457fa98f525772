"""Every rule of the books, each with its code and its numbers."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ledger_service.domain.decide import decide
from ledger_service.domain.entries import Entry, EntryKind, Line, Transacted
from ledger_service.domain.evolve import evolve
from ledger_service.domain.model import Direction, Leg
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.rules.posting import unbalanced
from tests.unit.ledger.builders import (
    ALICE,
    BOB,
    FLOAT,
    NOON,
    YEN,
    a_transfer,
    an_account,
    an_opening,
    books,
)

NOBODY = UUID(int=404)


def refused(verdict: object) -> Refused:
    assert isinstance(verdict, Refused), verdict
    return verdict


@pytest.mark.parametrize(
    ("facts", "refusal"),
    [
        ({"destination_account_id": ALICE}, Refusal.SAME_ACCOUNT),
        ({"source_account_id": NOBODY}, Refusal.UNKNOWN_ACCOUNT),
        ({"destination_account_id": NOBODY}, Refusal.UNKNOWN_ACCOUNT),
        ({"currency": "XQX", "currency_known": False}, Refusal.UNKNOWN_CURRENCY),
        ({"currency": "EUR"}, Refusal.CURRENCY_MISMATCH),
        ({"destination_account_id": YEN}, Refusal.CURRENCY_MISMATCH),
        ({"currency": "JPY"}, Refusal.CURRENCY_MISMATCH),
        ({"amount": "ten"}, Refusal.AMOUNT_MALFORMED),
        ({"amount": "1e3"}, Refusal.AMOUNT_MALFORMED),
        ({"amount": "NaN"}, Refusal.AMOUNT_MALFORMED),
        ({"amount": "1_000"}, Refusal.AMOUNT_MALFORMED),
        ({"amount": "١٠"}, Refusal.AMOUNT_MALFORMED),
        ({"amount": "10.00\n"}, Refusal.AMOUNT_MALFORMED),
        ({"amount": "1" * 41}, Refusal.AMOUNT_MALFORMED),
        ({"amount": "10.001"}, Refusal.AMOUNT_SCALE),
        ({"amount": "10.000"}, Refusal.AMOUNT_SCALE),
        ({"amount": "0.00"}, Refusal.AMOUNT_NOT_POSITIVE),
        ({"amount": "-1.00"}, Refusal.AMOUNT_NOT_POSITIVE),
        ({"amount": "1" + "0" * 17}, Refusal.AMOUNT_TOO_LARGE),
        ({"effective_at": NOON + timedelta(microseconds=1)}, Refusal.EFFECTIVE_IN_FUTURE),
        ({"amount": "100.01"}, Refusal.INSUFFICIENT_FUNDS),
    ],
)
def test_each_broken_rule_is_refused_under_its_own_name(
    facts: dict[str, Any], refusal: Refusal
) -> None:
    assert refused(decide(books(), a_transfer(**facts), NOON)).refusal is refusal


def test_insufficient_funds_names_every_number() -> None:
    verdict = refused(decide(books(), a_transfer(amount="130.00"), NOON))
    assert verdict.numbers == {
        "account_id": str(ALICE),
        "currency": "USD",
        "amount": "130.00",
        "posted": "100.00",
        "floor": "0.00",
        "available": "100.00",
        "shortfall": "30.00",
    }


def test_a_transfer_debits_the_source_and_credits_the_destination_by_the_same_amount() -> None:
    state = books()
    verdict = decide(state, a_transfer(amount="100.00", reference="INV-1"), NOON)
    assert isinstance(verdict, Entry)
    assert verdict.seq == 6
    assert verdict.reference == "INV-1"
    debit, credit = evolve(state, verdict).events
    assert (debit.account_id, debit.direction, debit.amount_minor) == (ALICE, "debit", 10_000)
    assert (credit.account_id, credit.direction, credit.amount_minor) == (BOB, "credit", 10_000)
    assert (debit.balance_after_minor, credit.balance_after_minor) == (0, 10_000)
    assert (debit.position, credit.position) == (2, 1)


def test_deciding_changes_nothing() -> None:
    state = books()
    decide(state, a_transfer(), NOON)
    assert state == books()


def test_an_internal_account_may_go_below_zero() -> None:
    verdict = decide(books(), a_transfer(source_account_id=FLOAT, amount="1000000"), NOON)
    assert isinstance(verdict, Entry)


def test_an_account_with_a_floor_may_go_down_to_it_and_no_further() -> None:
    state = books()
    state.accounts[BOB] = an_account(BOB, floor_minor=-5_000)
    spend = {"source_account_id": BOB, "destination_account_id": ALICE}
    assert isinstance(decide(state, a_transfer(**spend, amount="50.00"), NOON), Entry)
    verdict = refused(decide(state, a_transfer(**spend, amount="50.01"), NOON))
    assert verdict.numbers["available"] == "50.00"
    assert verdict.numbers["shortfall"] == "0.01"


def test_totals_beyond_what_can_be_stored_are_refused() -> None:
    state = books()
    state.accounts[BOB] = an_account(BOB, credits_minor=2**63 - 500)
    verdict = refused(decide(state, a_transfer(amount="10.00"), NOON))
    assert verdict.refusal is Refusal.AMOUNT_TOO_LARGE


def test_a_backdated_transfer_keeps_its_effective_time() -> None:
    verdict = decide(books(), a_transfer(effective_at=NOON - timedelta(days=3)), NOON)
    assert isinstance(verdict, Entry)
    assert verdict.effective_at == NOON - timedelta(days=3)
    assert verdict.recorded_at == NOON


def test_the_scale_of_the_account_rules_even_if_the_settings_no_longer_know_the_currency() -> None:
    assert isinstance(decide(books(), a_transfer(currency_known=False), NOON), Entry)


def test_an_account_needs_a_known_currency() -> None:
    verdict = refused(decide(books(), an_opening(currency="XQX", scale=None), NOON))
    assert verdict.refusal is Refusal.UNKNOWN_CURRENCY


@pytest.mark.parametrize(("limit", "floor_minor"), [("0", 0), ("12.5", -1_250), (None, None)])
def test_the_overdraft_limit_becomes_the_floor(limit: str | None, floor_minor: int | None) -> None:
    state = books()
    verdict = decide(state, an_opening(overdraft_limit=limit), NOON)
    assert isinstance(verdict, Entry)
    (opened,) = evolve(state, verdict).accounts
    assert opened.facts.floor_minor == floor_minor


def test_an_overdraft_limit_of_another_scale_is_refused() -> None:
    verdict = refused(decide(books(), an_opening(overdraft_limit="0.001"), NOON))
    assert verdict.refusal is Refusal.AMOUNT_SCALE


def test_accounts_of_one_currency_with_different_minor_units_do_not_pay_each_other() -> None:
    state = books()
    state.accounts[BOB] = an_account(BOB, scale=3)
    verdict = refused(decide(state, a_transfer(), NOON))
    assert verdict.refusal is Refusal.CURRENCY_MISMATCH
    assert verdict.numbers == {"currency": "USD", "source_scale": 2, "destination_scale": 3}


def test_every_debit_has_its_credit() -> None:
    debit = Leg(ALICE, Direction.DEBIT, 100)
    assert unbalanced((debit, Leg(BOB, Direction.CREDIT, 100))) is None
    for legs in ((), (debit,), (debit, Leg(BOB, Direction.CREDIT, 99)), (debit, debit)):
        assert refused(unbalanced(legs)).refusal is Refusal.UNBALANCED
    both_zero = (Leg(ALICE, Direction.DEBIT, 0), Leg(BOB, Direction.CREDIT, 0))
    assert refused(unbalanced(both_zero)).refusal is Refusal.UNBALANCED


def test_opening_an_account_moves_no_money() -> None:
    verdict = decide(books(), an_opening(), NOON)
    assert isinstance(verdict, Entry)
    assert verdict.body.legs == ()


def test_a_transfer_is_folded_as_the_same_two_lines_are() -> None:
    state = books()
    state.accounts[ALICE] = an_account(ALICE, credits_minor=10_000, held_debits_minor=7, position=3)
    transfer = decide(state, a_transfer(), NOON)
    assert isinstance(transfer, Entry)
    lines = tuple(Line(*leg, "USD", 2) for leg in transfer.body.legs)
    transaction = transfer._replace(body=Transacted(EntryKind.TRANSACTION, lines, (), {}))
    assert evolve(state, transfer) == evolve(state, transaction)

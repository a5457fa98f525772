"""The rules of opening, changing and bounding accounts, each with its code and its numbers."""

from typing import Any
from uuid import UUID

import pytest

from ledger_service.domain.commands import ChangeAccount, Condition, Limits
from ledger_service.domain.decide import decide
from ledger_service.domain.entries import AccountChanged, AccountOpened, Entry
from ledger_service.domain.evolve import advance
from ledger_service.domain.model import (
    NORMAL_SIDES,
    Account,
    AccountType,
    Direction,
    Freeze,
    Leg,
    LimitsOn,
)
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.rules.posting import legs_refused
from ledger_service.settings import LedgerSettings
from tests.unit.ledger.builders import ALICE, BOB, NOON, a_transfer, an_account, an_opening, books

NOBODY = UUID(int=404)
CASH = UUID(int=60)


def a_change(**facts: Any) -> ChangeAccount:
    defaults: dict[str, Any] = {
        "entry_id": UUID(int=70),
        "account_id": ALICE,
        "expected_version": None,
    }
    return ChangeAccount(**(defaults | facts))


def refused(verdict: object) -> Refused:
    assert isinstance(verdict, Refused), verdict
    return verdict


def test_a_change_keeps_what_it_does_not_name() -> None:
    state = books()
    verdict = decide(state, a_change(freeze=Freeze.DEBITS), NOON)
    assert isinstance(verdict, Entry)
    before = state.accounts[ALICE]
    advance(state, verdict)
    after = state.accounts[ALICE]
    assert after == before._replace(facts=before.facts._replace(frozen=Freeze.DEBITS, version=2))
    assert verdict.body == AccountChanged(after.facts, None)
    assert (verdict.seq, verdict.effective_at, verdict.entry_id) == (6, NOON, UUID(int=70))


@pytest.mark.parametrize(
    ("change", "refusal", "numbers"),
    [
        ({"account_id": NOBODY}, Refusal.UNKNOWN_ACCOUNT, {"account_ids": [str(NOBODY)]}),
        (
            {"expected_version": 2},
            Refusal.VERSION_MISMATCH,
            {"account_id": str(ALICE), "expected_version": 2, "version": 1},
        ),
        (
            {"is_closed": True},
            Refusal.ACCOUNT_NOT_EMPTY,
            {
                "account_id": str(ALICE),
                "currency": "USD",
                "balance": "100.00",
                "held_debits": "0.00",
                "held_credits": "0.00",
            },
        ),
        (
            {"limits": Limits("1.5", "1")},
            Refusal.LIMITS_CROSSED,
            {"floor": "1.50", "ceiling": "1.00"},
        ),
        ({"limits": Limits("x", None)}, Refusal.AMOUNT_MALFORMED, {"amount": "x"}),
        (
            {"limits": Limits(None, "0.001")},
            Refusal.AMOUNT_SCALE,
            {"amount": "0.001", "currency": "USD", "scale": 2},
        ),
    ],
)
def test_a_change_is_refused_with_its_numbers(
    change: dict[str, Any], refusal: Refusal, numbers: dict[str, Any]
) -> None:
    verdict = refused(decide(books(), a_change(**change), NOON))
    assert (verdict.refusal, verdict.numbers) == (refusal, numbers)


@pytest.mark.parametrize("side", ["held_debits", "held_credits"])
def test_what_holds_keep_stands_in_the_way_of_closing(side: str) -> None:
    state = books()
    held: dict[str, Any] = {f"{side}_minor": 250}
    state.accounts[BOB] = an_account(BOB, **held)
    verdict = refused(decide(state, a_change(account_id=BOB, is_closed=True), NOON))
    assert verdict.refusal is Refusal.ACCOUNT_NOT_EMPTY
    assert verdict.numbers[side] == "2.50"
    state.accounts[BOB] = an_account(BOB)
    assert isinstance(decide(state, a_change(account_id=BOB, is_closed=True), NOON), Entry)


def test_a_code_is_given_once_and_to_one_account() -> None:
    state = books()
    first = decide(state, a_change(code="users:alice"), NOON)
    assert isinstance(first, Entry)
    advance(state, first)
    taken = refused(decide(state, a_change(account_id=BOB, code="users:alice"), NOON))
    assert (taken.refusal, taken.numbers["account_id"]) == (Refusal.CODE_IN_USE, str(ALICE))
    opened = refused(decide(state, an_opening(code="users:alice"), NOON))
    assert opened.refusal is Refusal.CODE_IN_USE
    fixed = refused(decide(state, a_change(code="users:bob"), NOON))
    assert (fixed.refusal, fixed.numbers["code"]) == (Refusal.CODE_FIXED, "users:alice")
    assert isinstance(decide(state, a_change(code="users:alice"), NOON), Entry)


@pytest.mark.parametrize(
    ("side", "floor_minor", "ceiling_minor"),
    [(Direction.CREDIT, -2_000, 5_000), (Direction.DEBIT, -5_000, 2_000)],
)
def test_bounds_count_on_the_normal_side(
    side: Direction, floor_minor: int, ceiling_minor: int
) -> None:
    opening = an_opening(normal_side=side, overdraft_limit="20", ceiling="50")
    verdict = decide(books(), opening, NOON)
    assert isinstance(verdict, Entry)
    assert isinstance(verdict.body, AccountOpened)
    facts = verdict.body.facts
    assert (facts.floor_minor, facts.ceiling_minor) == (floor_minor, ceiling_minor)


def test_a_type_that_nobody_declared_is_refused() -> None:
    verdict = refused(decide(books(), an_opening(type="merchant", normal_side=None), NOON))
    assert verdict.refusal is Refusal.UNKNOWN_ACCOUNT_TYPE
    assert verdict.numbers == {"account_type": "merchant"}


def cash(**facts: Any) -> Account:
    """An asset with 30.00 in it, at least 10.00 and at most 50.00 by its limits."""
    defaults: dict[str, Any] = {
        "type": AccountType.ASSET,
        "normal_side": Direction.DEBIT,
        "floor_minor": -5_000,
        "ceiling_minor": -1_000,
        "debits_minor": 3_000,
        "position": 1,
    }
    return an_account(CASH, **(defaults | facts))


@pytest.mark.parametrize(
    ("leg", "refusal", "detail", "numbers"),
    [
        (
            Leg(CASH, Direction.CREDIT, 2_001),
            Refusal.INSUFFICIENT_FUNDS,
            f"account {CASH} can give 20.00 USD, 0.01 less than 20.01",
            {
                "amount": "20.01",
                "posted": "30.00",
                "floor": "10.00",
                "available": "20.00",
                "shortfall": "0.01",
            },
        ),
        (
            Leg(CASH, Direction.DEBIT, 2_050),
            Refusal.ABOVE_CEILING,
            f"account {CASH} has room for 20.00 USD, 0.50 less than 20.50",
            {
                "amount": "20.50",
                "posted": "30.00",
                "ceiling": "50.00",
                "room": "20.00",
                "excess": "0.50",
            },
        ),
    ],
)
def test_refusals_of_an_asset_speak_of_its_side(
    leg: Leg, refusal: Refusal, detail: str, numbers: dict[str, str]
) -> None:
    verdict = refused(legs_refused({CASH: cash()}, (leg,)))
    assert (verdict.refusal, verdict.detail) == (refusal, detail)
    assert verdict.numbers == {"account_id": str(CASH), "currency": "USD"} | numbers
    less = leg._replace(amount_minor=2_000)
    assert legs_refused({CASH: cash()}, (less,)) is None


@pytest.mark.parametrize(
    ("limits_on", "is_taken"), [(LimitsOn.AVAILABLE, False), (LimitsOn.POSTED, True)]
)
def test_holds_count_against_limits_on_what_is_available(
    limits_on: LimitsOn, is_taken: bool
) -> None:
    account = cash(limits_on=limits_on, held_credits_minor=500)
    verdict = legs_refused({CASH: account}, (Leg(CASH, Direction.CREDIT, 2_000),))
    assert (verdict is None) is is_taken
    if verdict is not None:
        assert (verdict.numbers["available"], verdict.numbers["held"]) == ("15.00", "5.00")


def test_an_account_beyond_a_later_bound_may_move_towards_it() -> None:
    account = cash(ceiling_minor=-4_000)  # 30.00, and at least 40.00 from now on
    assert legs_refused({CASH: account}, (Leg(CASH, Direction.DEBIT, 500),)) is None
    away = refused(legs_refused({CASH: account}, (Leg(CASH, Direction.CREDIT, 1),)))
    assert (away.numbers["available"], away.numbers["shortfall"]) == ("0.00", "0.01")


def test_a_condition_on_an_asset_counts_on_its_side() -> None:
    state = books()
    state.accounts[CASH] = cash(floor_minor=None, ceiling_minor=None)
    condition = Condition(CASH, balance_min="25.01")
    transfer = a_transfer(destination_account_id=CASH, amount="5", conditions=(condition,))
    verdict = refused(decide(state, transfer, NOON))
    assert verdict.refusal is Refusal.CONDITION_FAILED
    assert verdict.numbers == {
        "account_id": str(CASH),
        "min_balance_after": "25.01",
        "balance_after": "25.00",
        "shortfall": "0.01",
    }
    met = transfer._replace(conditions=(condition._replace(balance_min="25.00"),))
    assert isinstance(decide(state, met, NOON), Entry)


def test_a_condition_may_be_about_an_account_that_is_not_moved() -> None:
    transfer = a_transfer(conditions=(Condition(NOBODY, 0),))
    assert refused(decide(books(), transfer, NOON)).refusal is Refusal.UNKNOWN_ACCOUNT
    state = books()
    state.accounts[CASH] = cash()
    late = a_transfer(conditions=(Condition(CASH, 0),))
    verdict = refused(decide(state, late, NOON))
    assert (verdict.numbers["expected_position"], verdict.numbers["position"]) == (0, 1)
    assert isinstance(decide(state, a_transfer(conditions=(Condition(CASH, 1),)), NOON), Entry)


def test_every_type_has_a_side_and_a_policy() -> None:
    settings = LedgerSettings(account_types={"merchant": "credit"}, overdraft={"asset": "10.00"})
    assert settings.overdraft == {
        **dict.fromkeys(NORMAL_SIDES, "allowed"),
        "user": "refused",
        "merchant": "refused",
        "asset": "10",
    }
    assert settings.normal_side_of("merchant") is Direction.CREDIT
    assert settings.normal_side_of("expense") is Direction.DEBIT
    assert settings.normal_side_of("nothing") is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"account_types": {"asset": "credit"}},
        {"account_types": {"Merchant": "credit"}},
        {"account_types": {"merchant": "left"}},
        {"overdraft": {"merchant": "allowed"}},
        {"overdraft": {"user": "-1"}},
    ],
)
def test_settings_that_contradict_themselves_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"account_types|overdraft"):
        LedgerSettings(**wrong)

"""The rules of transactions of many legs and of exchanges, each refusal with its numbers."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ledger_service.domain.allocation import allocate
from ledger_service.domain.commands import Condition, Exchange, PartAsked, Transact
from ledger_service.domain.decide import decide
from ledger_service.domain.entries import Entry, Transacted
from ledger_service.domain.evolve import evolve
from ledger_service.domain.model import Direction, Freeze
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.state import State
from tests.unit.ledger.builders import ALICE, BOB, FLOAT, NOON, YEN, an_account, books

YEN_FLOAT, ODD_YEN = UUID(int=5), UUID(int=6)
NOBODY = UUID(int=404)
DEBIT, CREDIT = Direction.DEBIT, Direction.CREDIT


def wide_books() -> State:
    """The books with a float in yen as well, and one whose yen have another scale."""
    state = books()
    for account_id, scale in ((YEN_FLOAT, 0), (ODD_YEN, 2)):
        state.accounts[account_id] = an_account(
            account_id, currency="JPY", scale=scale, floor_minor=None
        )
    return state


def a_transaction(*parts: tuple[UUID, Direction, str | int], **facts: Any) -> Transact:
    """A transaction of `parts`: a text is an amount, a number a share."""
    asked = tuple(
        PartAsked(account_id, direction, given)
        if isinstance(given, str)
        else PartAsked(account_id, direction, None, given)
        for account_id, direction, given in parts
    )
    defaults: dict[str, Any] = {
        "transaction_id": UUID(int=99),
        "parts": asked,
        "reference": None,
        "effective_at": None,
        "metadata": {},
    }
    return Transact(**(defaults | facts))


def accepted(command: Transact | Exchange, state: State | None = None) -> Transacted:
    verdict = decide(state or wide_books(), command, NOON)
    assert isinstance(verdict, Entry), verdict
    assert isinstance(verdict.body, Transacted)
    return verdict.body


def refused(command: Transact | Exchange, state: State | None = None) -> Refused:
    verdict = decide(state or wide_books(), command, NOON)
    assert isinstance(verdict, Refused), verdict
    return verdict


@pytest.mark.parametrize(
    ("total_minor", "shares", "amounts_minor"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (5, [3, 7], [2, 3]),  # 1.5 and 3.5: the first of equal fractions gets the unit
        (10, [1, 2, 3], [2, 3, 5]),
        (7, [1], [7]),
        (0, [5, 5], [0, 0]),
    ],
)
def test_the_largest_remainder_gets_the_unit_that_is_left_over(
    total_minor: int, shares: list[int], amounts_minor: list[int]
) -> None:
    assert allocate(total_minor, shares) == amounts_minor


def test_shares_stand_on_either_side_and_beside_amounts() -> None:
    body = accepted(
        a_transaction((FLOAT, DEBIT, 2), (BOB, DEBIT, 1), (ALICE, CREDIT, "1.00")),
        _rich(),
    )
    assert [line.amount_minor for line in body.lines] == [67, 33, 100]
    assert [(one.currency, one.amount_minor) for one in body.moved] == [("USD", 100)]


def _rich() -> State:
    state = wide_books()
    state.accounts[BOB] = an_account(BOB, credits_minor=10_000, position=1)
    return state


def test_each_currency_divides_its_own_shares() -> None:
    body = accepted(
        a_transaction(
            (FLOAT, DEBIT, "10.00"),
            (YEN_FLOAT, DEBIT, 1),
            (ALICE, CREDIT, 1),
            (YEN, CREDIT, "7"),
            (BOB, CREDIT, 3),
        )
    )
    assert [line.amount_minor for line in body.lines] == [1000, 7, 250, 7, 750]
    assert [(one.currency, one.amount_minor, one.scale) for one in body.moved] == [
        ("USD", 1000, 2),
        ("JPY", 7, 0),
    ]


def test_positions_and_balances_follow_the_lines() -> None:
    state = wide_books()
    verdict = decide(
        state,
        a_transaction((ALICE, DEBIT, "5.00"), (ALICE, CREDIT, "1.00"), (BOB, CREDIT, "4.00")),
        NOON,
    )
    assert isinstance(verdict, Entry)
    events = evolve(state, verdict).events
    assert [
        (one.line, one.account_id, one.position, one.balance_after_minor) for one in events
    ] == [
        (1, ALICE, 2, 9_500),
        (2, ALICE, 3, 9_600),
        (3, BOB, 1, 400),
    ]


@pytest.mark.parametrize(
    ("parts", "refusal"),
    [
        ([(NOBODY, DEBIT, "1.00"), (BOB, CREDIT, "1.00")], Refusal.UNKNOWN_ACCOUNT),
        ([(BOB, DEBIT, "1.00"), (BOB, CREDIT, "1.00")], Refusal.SAME_ACCOUNT),
        ([(YEN_FLOAT, DEBIT, "1"), (ODD_YEN, CREDIT, "1")], Refusal.CURRENCY_MISMATCH),
        ([(FLOAT, DEBIT, "x"), (BOB, CREDIT, "1.00")], Refusal.AMOUNT_MALFORMED),
        ([(FLOAT, DEBIT, "0.001"), (BOB, CREDIT, "1.00")], Refusal.AMOUNT_SCALE),
        ([(YEN_FLOAT, DEBIT, "1.0"), (YEN, CREDIT, "1")], Refusal.AMOUNT_SCALE),
        ([(FLOAT, DEBIT, "0.00"), (BOB, CREDIT, "1.00")], Refusal.AMOUNT_NOT_POSITIVE),
        ([(FLOAT, DEBIT, "-1.00"), (BOB, CREDIT, "1.00")], Refusal.AMOUNT_NOT_POSITIVE),
        ([(FLOAT, DEBIT, "1" * 17), (BOB, CREDIT, "1.00")], Refusal.AMOUNT_TOO_LARGE),
        ([(FLOAT, DEBIT, "1.00"), (BOB, CREDIT, "0.99")], Refusal.UNBALANCED),
        ([(FLOAT, DEBIT, "1.00"), (BOB, DEBIT, "1.00")], Refusal.UNBALANCED),
        ([(FLOAT, DEBIT, "1.00"), (YEN, CREDIT, "1")], Refusal.UNBALANCED),
        ([(FLOAT, DEBIT, 1), (BOB, CREDIT, 1)], Refusal.SHARES_UNDIVIDABLE),
        ([(FLOAT, DEBIT, "1.00"), (BOB, DEBIT, 1)], Refusal.SHARES_UNDIVIDABLE),
        (
            [(FLOAT, DEBIT, "1.00"), (BOB, CREDIT, "1.00"), (ALICE, CREDIT, 1)],
            Refusal.SHARES_UNDIVIDABLE,
        ),
        (
            [(FLOAT, DEBIT, "0.01"), (BOB, CREDIT, 1), (ALICE, CREDIT, 1)],
            Refusal.SHARES_UNDIVIDABLE,
        ),
        ([(ALICE, DEBIT, "100.01"), (BOB, CREDIT, 1)], Refusal.INSUFFICIENT_FUNDS),
    ],
)
def test_each_rule_refuses_by_name(
    parts: list[tuple[UUID, Direction, str | int]], refusal: Refusal
) -> None:
    assert refused(a_transaction(*parts)).refusal is refusal


def test_refusals_of_sums_say_the_numbers_of_each_currency() -> None:
    numbers = refused(
        a_transaction((FLOAT, DEBIT, "1.00"), (BOB, CREDIT, "0.75"), (YEN, CREDIT, "3"))
    ).numbers
    assert numbers == {
        "currencies": [
            {"currency": "USD", "debits": "1.00", "credits": "0.75", "difference": "0.25"},
            {"currency": "JPY", "debits": "0", "credits": "3", "difference": "-3"},
        ]
    }
    shared = refused(a_transaction((FLOAT, DEBIT, "0.01"), (BOB, CREDIT, 2), (ALICE, CREDIT, 1)))
    assert shared.detail == "of 0.01 USD, the share of part 2 would be nothing"
    assert shared.numbers == {
        "currency": "USD",
        "debits": "0.01",
        "credits": "0.00",
        "shares": [2, 1],
        "left": "0.01",
    }


def test_accounts_closed_frozen_or_under_conditions_take_nothing() -> None:
    pay = a_transaction((FLOAT, DEBIT, "1.00"), (BOB, CREDIT, "1.00"))
    for facts, refusal in (
        ({"is_closed": True}, Refusal.ACCOUNT_CLOSED),
        ({"frozen": Freeze.CREDITS}, Refusal.ACCOUNT_FROZEN),
        ({"ceiling_minor": 99}, Refusal.ABOVE_CEILING),
    ):
        state = wide_books()
        state.accounts[BOB] = an_account(BOB, **facts)
        assert refused(pay, state).refusal is refusal
    failing = pay._replace(conditions=(Condition(BOB, balance_min="1.01"),))
    assert refused(failing).numbers["shortfall"] == "0.01"
    tomorrow = pay._replace(effective_at=NOON + timedelta(days=1))
    assert refused(tomorrow).refusal is Refusal.EFFECTIVE_IN_FUTURE


def an_exchange(**facts: Any) -> Exchange:
    """Alice sells 10.00 dollars for yen at 147.35, changed by `facts`."""
    defaults: dict[str, Any] = {
        "transaction_id": UUID(int=99),
        "source_account_id": ALICE,
        "destination_account_id": YEN,
        "sold_exchange_account_id": FLOAT,
        "bought_exchange_account_id": YEN_FLOAT,
        "rounding_account_id": None,
        "sold": "10.00",
        "bought": None,
        "rate": "147.35",
        "rate_source": "test",
        "reference": None,
        "effective_at": None,
        "metadata": {},
    }
    return Exchange(**(defaults | facts))


@pytest.mark.parametrize(
    ("sold", "rate", "bought_minor"),
    [
        ("10.00", "147.35", 1474),  # 1473.5: half to even, up
        ("10.00", "147.25", 1472),  # 1472.5: half to even, down
        ("0.01", "150", 2),  # 1.5
        ("0.01", "50.000000000000000001", 1),  # just above a half
        ("9999999999999.99", "1.00", 10_000_000_000_000),
    ],
)
def test_the_product_is_exact_and_rounded_half_to_even(
    sold: str, rate: str, bought_minor: int
) -> None:
    state = wide_books()
    state.accounts[ALICE] = an_account(ALICE, floor_minor=None)
    body = accepted(an_exchange(sold=sold, rate=rate), state)
    assert body.rate is not None
    assert (body.rate.bought.amount_minor, body.rate.rounding_minor) == (bought_minor, 0)
    assert [line.account_id for line in body.lines] == [ALICE, FLOAT, YEN_FLOAT, YEN]


@pytest.mark.parametrize(("bought", "side", "minor"), [("1475", DEBIT, 1), ("1473", CREDIT, -1)])
def test_the_rounding_account_pays_or_gets_the_difference(
    bought: str, side: Direction, minor: int
) -> None:
    rounding = UUID(int=7)
    state = wide_books()
    state.accounts[rounding] = an_account(rounding, currency="JPY", scale=0, floor_minor=None)
    body = accepted(an_exchange(bought=bought, rounding_account_id=rounding), state)
    assert body.rate is not None
    assert body.rate.rounding_minor == minor
    assert body.lines[-1][:3] == (rounding, side, 1)
    assert [(one.currency, one.amount_minor) for one in body.moved] == [
        ("USD", 1000),
        ("JPY", max(1474, int(bought))),
    ]


@pytest.mark.parametrize(
    ("facts", "refusal"),
    [
        ({"destination_account_id": NOBODY}, Refusal.UNKNOWN_ACCOUNT),
        ({"rounding_account_id": NOBODY}, Refusal.UNKNOWN_ACCOUNT),
        ({"sold_exchange_account_id": ALICE}, Refusal.SAME_ACCOUNT),
        ({"destination_account_id": BOB}, Refusal.CURRENCY_MISMATCH),
        ({"bought_exchange_account_id": BOB}, Refusal.CURRENCY_MISMATCH),
        ({"bought_exchange_account_id": ODD_YEN}, Refusal.CURRENCY_MISMATCH),
        ({"rounding_account_id": BOB}, Refusal.CURRENCY_MISMATCH),
        ({"sold": "10.001"}, Refusal.AMOUNT_SCALE),
        ({"bought": "1474.0"}, Refusal.AMOUNT_SCALE),
        ({"rate": "1e3"}, Refusal.AMOUNT_MALFORMED),
        ({"rate": "-1"}, Refusal.AMOUNT_MALFORMED),
        ({"rate": "1" * 19}, Refusal.AMOUNT_MALFORMED),
        ({"rate": "0.000"}, Refusal.AMOUNT_NOT_POSITIVE),
        ({"rate": "9" * 18}, Refusal.AMOUNT_TOO_LARGE),
        ({"rate": "0.01"}, Refusal.RATE_MISMATCH),
        ({"bought": "1475"}, Refusal.RATE_MISMATCH),
        ({"bought": "1472", "rounding_account_id": ODD_YEN}, Refusal.CURRENCY_MISMATCH),
        ({"sold": "100.01"}, Refusal.INSUFFICIENT_FUNDS),
        ({"effective_at": NOON + timedelta(seconds=1)}, Refusal.EFFECTIVE_IN_FUTURE),
        ({"conditions": (Condition(ALICE, expected_position=7),)}, Refusal.CONDITION_FAILED),
    ],
)
def test_each_rule_of_exchanges_refuses_by_name(facts: dict[str, Any], refusal: Refusal) -> None:
    assert refused(an_exchange(**facts)).refusal is refusal


def test_a_rate_that_does_not_fit_is_refused_with_all_numbers() -> None:
    assert refused(an_exchange(bought="1500")).numbers == {
        "sold": "10.00",
        "sold_currency": "USD",
        "rate": "147.35",
        "product": "1474",
        "bought": "1500",
        "bought_currency": "JPY",
        "difference": "26",
        "difference_max": "1",
    }
    assert refused(an_exchange(rate="0.04")).detail == "10.00 USD at 0.04 buy no JPY"

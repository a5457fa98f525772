"""Every rule of holds, each with its code and its numbers."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ledger_service.domain.commands import (
    CaptureHold,
    Command,
    Condition,
    IncreaseHold,
    PlaceHold,
    ReleaseHold,
)
from ledger_service.domain.decide import decide
from ledger_service.domain.entries import Entry, EntryKind, HoldMoved
from ledger_service.domain.evolve import advance
from ledger_service.domain.model import (
    Direction,
    Freeze,
    Hold,
    HoldStatus,
    LatePolicy,
    LimitsOn,
    Period,
    PeriodStatus,
)
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.rules.holds import expiry
from ledger_service.domain.state import State
from tests.unit.ledger.builders import ALICE, BOB, FLOAT, NOON, YEN, a_transfer, books

NOBODY, HELD = UUID(int=404), UUID(int=70)
LATER = NOON + timedelta(hours=1)
TOTAL_MAX = 2**63 - 1


def a_placing(**facts: Any) -> PlaceHold:
    """Alice's 60.00 are kept for Bob for an hour, changed by `facts`."""
    defaults: dict[str, Any] = {
        "hold_id": HELD,
        "source_account_id": ALICE,
        "destination_account_id": BOB,
        "amount": "60.00",
        "currency": "USD",
        "currency_known": True,
        "over_capture": "0",
        "expires_at": LATER,
        "reference": None,
        "metadata": {},
    }
    return PlaceHold(**(defaults | facts))


def a_capture(amount: str | None = None, **facts: Any) -> CaptureHold:
    defaults: dict[str, Any] = {
        "transaction_id": UUID(int=71),
        "hold_id": HELD,
        "amount": amount,
        "is_final": False,
        "reference": None,
        "effective_at": None,
        "metadata": {},
    }
    return CaptureHold(**(defaults | facts))


def an_increase(amount: str = "10.00", **facts: Any) -> IncreaseHold:
    defaults: dict[str, Any] = {
        "entry_id": UUID(int=72),
        "hold_id": HELD,
        "amount": amount,
        "expires_at": None,
        "metadata": {},
    }
    return IncreaseHold(**(defaults | facts))


def a_release(amount: str | None = None, **facts: Any) -> ReleaseHold:
    defaults: dict[str, Any] = {
        "entry_id": UUID(int=73),
        "hold_id": HELD,
        "amount": amount,
        "metadata": {},
    }
    return ReleaseHold(**(defaults | facts))


def holding(**facts: Any) -> State:
    """The books once the hold is placed."""
    state = books()
    do(state, a_placing(**facts))
    return state


def change(state: State, account_id: UUID, **values: Any) -> State:
    """Return `state` with totals or facts of one account changed."""
    account = state.accounts[account_id]
    totals = {name: values.pop(name) for name in account._fields if name in values}
    facts = account.facts._replace(**values)
    state.accounts[account_id] = account._replace(facts=facts, **totals)
    return state


def do(state: State, command: Command, now: Any = NOON) -> Entry:
    """Do what must be accepted."""
    verdict = decide(state, command, now)
    assert isinstance(verdict, Entry), verdict
    advance(state, verdict)
    return verdict


def refused(state: State, command: Command, now: Any = NOON) -> Refused:
    before = state.fork()
    verdict = decide(state, command, now)
    assert isinstance(verdict, Refused), verdict
    assert state == before
    return verdict


def body(entry: Entry) -> HoldMoved:
    assert isinstance(entry.body, HoldMoved)
    return entry.body


def held(state: State) -> tuple[int, int, int, int]:
    """Return Alice's balance and what is held of it, and Bob's with what may come."""
    alice, bob = state.accounts[ALICE], state.accounts[BOB]
    return (
        alice.balance_minor,
        alice.held_debits_minor,
        bob.balance_minor,
        bob.held_credits_minor,
    )


@pytest.mark.parametrize(
    ("facts", "refusal"),
    [
        ({"destination_account_id": ALICE}, Refusal.SAME_ACCOUNT),
        ({"source_account_id": NOBODY}, Refusal.UNKNOWN_ACCOUNT),
        ({"destination_account_id": NOBODY}, Refusal.UNKNOWN_ACCOUNT),
        ({"currency": "XQX", "currency_known": False}, Refusal.UNKNOWN_CURRENCY),
        ({"currency": "EUR"}, Refusal.CURRENCY_MISMATCH),
        ({"destination_account_id": YEN}, Refusal.CURRENCY_MISMATCH),
        ({"amount": "ten"}, Refusal.AMOUNT_MALFORMED),
        ({"amount": "10.001"}, Refusal.AMOUNT_SCALE),
        ({"amount": "0.00"}, Refusal.AMOUNT_NOT_POSITIVE),
        ({"amount": "-1.00"}, Refusal.AMOUNT_NOT_POSITIVE),
        ({"amount": "1" + "0" * 17}, Refusal.AMOUNT_TOO_LARGE),
        ({"over_capture": "ten"}, Refusal.AMOUNT_MALFORMED),
        ({"over_capture": "0.001"}, Refusal.AMOUNT_SCALE),
        ({"over_capture": "-0.01"}, Refusal.AMOUNT_NOT_POSITIVE),
        ({"over_capture": "1" + "0" * 17}, Refusal.AMOUNT_TOO_LARGE),
        ({"expires_at": NOON}, Refusal.EXPIRY_NOT_IN_FUTURE),
        ({"expires_at": NOON - timedelta(days=1)}, Refusal.EXPIRY_NOT_IN_FUTURE),
        ({"conditions": (Condition(NOBODY, 0),)}, Refusal.UNKNOWN_ACCOUNT),
        ({"conditions": (Condition(ALICE, 2),)}, Refusal.CONDITION_FAILED),
        ({"conditions": (Condition(ALICE, None, "100.01"),)}, Refusal.CONDITION_FAILED),
        ({"amount": "100.01"}, Refusal.INSUFFICIENT_FUNDS),
    ],
)
def test_a_hold_that_breaks_a_rule_is_refused_under_its_name(
    facts: dict[str, Any], refusal: Refusal
) -> None:
    assert refused(books(), a_placing(**facts)).refusal is refusal


def test_a_hold_keeps_its_amount_and_moves_nothing() -> None:
    state = books()
    entry = do(state, a_placing(over_capture="9", conditions=(Condition(ALICE, 1, "100.00"),)))
    assert (entry.entry_id, entry.kind, entry.effective_at) == (HELD, EntryKind.HOLD_PLACED, NOON)
    assert entry.body.legs == ()
    assert body(entry).amount_minor == 6_000
    assert state.holds[HELD] == Hold(
        HELD, ALICE, BOB, "USD", 2, 6_000, 0, 0, 900, LATER, HoldStatus.OPEN
    )
    assert held(state) == (10_000, 6_000, 0, 6_000)


def test_what_is_held_can_be_neither_held_again_nor_paid() -> None:
    state = holding()
    verdict = refused(state, a_placing(hold_id=UUID(int=80), amount="40.01"))
    assert verdict.refusal is Refusal.INSUFFICIENT_FUNDS
    assert verdict.numbers == {
        "account_id": str(ALICE),
        "currency": "USD",
        "amount": "40.01",
        "posted": "100.00",
        "held": "60.00",
        "floor": "0.00",
        "available": "40.00",
        "shortfall": "0.01",
    }
    assert refused(state, a_transfer(amount="40.01")).numbers == verdict.numbers
    do(state, a_placing(hold_id=UUID(int=80), amount="40.00"))
    assert held(state) == (10_000, 10_000, 0, 10_000)


def test_limits_on_what_is_posted_do_not_count_holds() -> None:
    state = change(books(), ALICE, limits_on=LimitsOn.POSTED)
    do(state, a_placing(amount="100.01", over_capture="1"))
    assert refused(state, a_capture()).refusal is Refusal.INSUFFICIENT_FUNDS
    do(state, a_capture("100.00", is_final=True))
    assert held(state) == (0, 0, 10_000, 0)


def test_what_may_come_counts_against_the_ceiling() -> None:
    state = change(books(), BOB, ceiling_minor=7_000)
    do(state, a_placing())
    verdict = refused(state, a_placing(hold_id=UUID(int=80), amount="10.01"))
    assert verdict.refusal is Refusal.ABOVE_CEILING
    assert verdict.numbers == {
        "account_id": str(BOB),
        "currency": "USD",
        "amount": "10.01",
        "posted": "0.00",
        "held": "60.00",
        "ceiling": "70.00",
        "room": "10.00",
        "excess": "0.01",
    }
    assert refused(state, an_increase("10.01")).refusal is Refusal.ABOVE_CEILING
    do(state, an_increase("10.00"))
    assert held(state)[3] == 7_000


@pytest.mark.parametrize(
    ("account_id", "facts", "refusal"),
    [
        (ALICE, {"frozen": Freeze.DEBITS}, Refusal.ACCOUNT_FROZEN),
        (ALICE, {"frozen": Freeze.ALL}, Refusal.ACCOUNT_FROZEN),
        (BOB, {"frozen": Freeze.CREDITS}, Refusal.ACCOUNT_FROZEN),
        (BOB, {"frozen": Freeze.ALL}, Refusal.ACCOUNT_FROZEN),
        (ALICE, {"is_closed": True}, Refusal.ACCOUNT_CLOSED),
        (BOB, {"is_closed": True}, Refusal.ACCOUNT_CLOSED),
    ],
)
def test_frozen_and_closed_accounts_give_back_but_keep_and_pay_no_more(
    account_id: UUID, facts: dict[str, Any], refusal: Refusal
) -> None:
    assert refused(change(books(), account_id, **facts), a_placing()).refusal is refusal
    state = change(holding(), account_id, **facts)
    for command in (an_increase(), a_capture(), a_capture("1.00")):
        assert refused(state, command).refusal is refusal
    do(state, a_release("10.00"))
    assert do(state, a_release()).kind is EntryKind.HOLD_VOIDED
    assert held(state) == (10_000, 0, 0, 0)


@pytest.mark.parametrize(("account_id", "frozen"), [(ALICE, Freeze.CREDITS), (BOB, Freeze.DEBITS)])
def test_a_freeze_of_the_other_side_does_not_matter(account_id: UUID, frozen: Freeze) -> None:
    state = change(books(), account_id, frozen=frozen)
    do(state, a_placing())
    do(state, an_increase())
    do(state, a_capture())
    assert held(state) == (3_000, 0, 7_000, 0)


@pytest.mark.parametrize("account_id", [ALICE, BOB])
def test_what_is_held_fits_the_column_or_is_refused(account_id: UUID) -> None:
    name = "held_debits_minor" if account_id == ALICE else "held_credits_minor"
    state = change(books(), account_id, floor_minor=None, **{name: TOTAL_MAX - 6_000})
    state = change(state, ALICE, floor_minor=None)
    verdict = refused(state, a_placing(amount="60.01"))
    assert verdict.refusal is Refusal.AMOUNT_TOO_LARGE
    assert verdict.numbers == {
        "account_id": str(account_id),
        "largest": "92233720368547758.07",
    }
    do(state, a_placing())
    assert getattr(state.accounts[account_id], name) == TOTAL_MAX
    assert refused(state, an_increase("0.01")).refusal is Refusal.AMOUNT_TOO_LARGE


def test_all_that_was_ever_authorised_fits_the_column_or_is_refused() -> None:
    state = change(holding(), ALICE, floor_minor=None)
    do(state, a_capture("59.99"))
    state.holds[HELD] = state.holds[HELD]._replace(
        amount_minor=TOTAL_MAX - 100, captured_minor=TOTAL_MAX - 101
    )
    verdict = refused(state, an_increase("1.01"))
    assert verdict.refusal is Refusal.AMOUNT_TOO_LARGE
    assert verdict.numbers == {"hold_id": str(HELD), "largest": "92233720368547758.07"}
    do(state, an_increase("1.00"))


def test_a_capture_whose_total_does_not_fit_is_refused() -> None:
    state = change(holding(), BOB, credits_minor=TOTAL_MAX - 100, debits_minor=TOTAL_MAX - 100)
    assert refused(state, a_capture("1.01")).refusal is Refusal.AMOUNT_TOO_LARGE
    do(state, a_capture("1.00"))


def test_an_increase_adds_to_what_is_kept_and_needs_funds() -> None:
    state = holding(over_capture="5")
    verdict = refused(state, an_increase("40.01"))
    assert (verdict.refusal, verdict.numbers["shortfall"]) == (Refusal.INSUFFICIENT_FUNDS, "0.01")
    for amount, refusal in (("0", "amount_not_positive"), ("1.001", "amount_scale")):
        assert refused(state, an_increase(amount)).refusal.code == refusal
    do(state, a_capture("10.00"))
    entry = do(state, an_increase("40.00", metadata={"nights": 2}))
    assert (entry.kind, body(entry).amount_minor) == (EntryKind.HOLD_INCREASED, 4_000)
    hold = state.holds[HELD]
    assert (hold.amount_minor, hold.remaining_minor, hold.over_capture_minor) == (
        10_000,
        9_000,
        500,
    )
    assert (hold.expires_at, hold.status) == (LATER, HoldStatus.OPEN)
    assert held(state) == (9_000, 9_000, 1_000, 9_000)


def test_a_hold_may_last_longer_but_not_shorter() -> None:
    state = holding()
    past = refused(state, an_increase(expires_at=NOON))
    assert past.refusal is Refusal.EXPIRY_NOT_IN_FUTURE
    assert past.numbers == {"expires_at": NOON.isoformat(), "now": NOON.isoformat()}
    sooner = LATER - timedelta(seconds=1)
    earlier = refused(state, an_increase(expires_at=sooner))
    assert earlier.refusal is Refusal.EXPIRY_EARLIER
    assert earlier.numbers == {
        "hold_id": str(HELD),
        "expires_at": LATER.isoformat(),
        "asked_expires_at": sooner.isoformat(),
    }
    do(state, an_increase(expires_at=LATER))
    do(state, an_increase(expires_at=LATER + timedelta(days=1)))
    assert state.holds[HELD].expires_at == LATER + timedelta(days=1)
    endless = refused(holding(expires_at=None), an_increase(expires_at=LATER))
    assert (endless.refusal, endless.numbers["expires_at"]) == (Refusal.EXPIRY_EARLIER, None)


def test_a_capture_in_full_moves_all_that_is_kept() -> None:
    state = holding()
    entry = do(state, a_capture(reference="F-1"))
    assert (entry.kind, entry.reference) == (EntryKind.HOLD_CAPTURED, "F-1")
    assert [(leg.account_id, leg.direction, leg.amount_minor) for leg in entry.body.legs] == [
        (ALICE, Direction.DEBIT, 6_000),
        (BOB, Direction.CREDIT, 6_000),
    ]
    hold = state.holds[HELD]
    assert (hold.status, hold.captured_minor, hold.released_minor, hold.remaining_minor) == (
        HoldStatus.CAPTURED,
        6_000,
        0,
        0,
    )
    assert held(state) == (4_000, 0, 6_000, 0)


def test_captures_in_parts_end_the_hold_with_its_last_unit() -> None:
    state = holding()
    for amount, left_minor in (("20.00", 4_000), ("39.99", 1)):
        do(state, a_capture(amount))
        assert state.holds[HELD].status is HoldStatus.OPEN
        assert state.holds[HELD].remaining_minor == left_minor
        assert held(state)[1::2] == (left_minor, left_minor)
    do(state, a_capture("0.01"))
    assert state.holds[HELD].status is HoldStatus.CAPTURED
    assert held(state) == (4_000, 0, 6_000, 0)


def test_a_final_capture_gives_back_the_rest() -> None:
    state = holding()
    do(state, a_capture("20.00"))
    do(state, a_capture("15.00", is_final=True))
    hold = state.holds[HELD]
    assert (hold.status, hold.captured_minor, hold.released_minor, hold.remaining_minor) == (
        HoldStatus.CAPTURED,
        3_500,
        2_500,
        0,
    )
    assert held(state) == (6_500, 0, 3_500, 0)


@pytest.mark.parametrize(
    ("over", "largest", "excess"), [("0", "40.00", "5.01"), ("5", "45.00", "0.01")]
)
def test_a_capture_beyond_the_policy_is_refused_with_all_numbers(
    over: str, largest: str, excess: str
) -> None:
    state = holding(over_capture=over)
    do(state, a_capture("15.00"))
    do(state, a_release("5.00"))
    verdict = refused(state, a_capture("45.01"))
    assert verdict.refusal is Refusal.HOLD_EXCEEDED
    assert verdict.numbers == {
        "hold_id": str(HELD),
        "amount": "45.01",
        "largest": largest,
        "excess": excess,
        "currency": "USD",
        "authorised": "60.00",
        "captured": "15.00",
        "released": "5.00",
        "remaining": "40.00",
        "over_capture": f"{over}.00",
    }


def test_what_is_captured_beyond_the_hold_needs_funds() -> None:
    state = holding(over_capture="50")
    do(state, a_transfer(amount="30.00"))
    verdict = refused(state, a_capture("70.01"))
    assert verdict.refusal is Refusal.INSUFFICIENT_FUNDS
    assert verdict.numbers == {
        "account_id": str(ALICE),
        "currency": "USD",
        "amount": "10.01",
        "posted": "70.00",
        "held": "60.00",
        "floor": "0.00",
        "available": "10.00",
        "shortfall": "0.01",
    }
    do(state, a_capture("70.00"))
    hold = state.holds[HELD]
    assert (hold.status, hold.captured_minor, hold.released_minor, hold.remaining_minor) == (
        HoldStatus.CAPTURED,
        7_000,
        0,
        0,
    )
    assert held(state) == (0, 0, 10_000, 0)


def test_what_is_captured_beyond_the_hold_needs_room_at_the_destination() -> None:
    state = change(holding(over_capture="5"), BOB, ceiling_minor=6_100)
    assert refused(state, a_capture("61.01")).refusal is Refusal.ABOVE_CEILING
    do(state, a_capture("61.00"))


def test_a_hold_pays_though_its_account_was_brought_below_its_floor_since() -> None:
    state = change(holding(), ALICE, floor_minor=9_000)
    do(state, a_capture())
    assert held(state) == (4_000, 0, 6_000, 0)


@pytest.mark.parametrize("amount", ["0", "0.001", "-1.00", "all"])
def test_amounts_that_are_none_are_neither_captured_nor_released(amount: str) -> None:
    for command in (a_capture(amount), a_release(amount)):
        assert refused(holding(), command).refusal.code.startswith("amount_")


def test_a_capture_counts_when_it_is_said_to_unless_that_is_closed() -> None:
    state = holding()
    yesterday = NOON - timedelta(days=1)
    future = refused(state, a_capture(effective_at=NOON + timedelta(seconds=1)))
    assert future.refusal is Refusal.EFFECTIVE_IN_FUTURE
    entry = do(state, a_capture("1.00", effective_at=yesterday))
    assert (entry.effective_at, entry.recorded_at) == (yesterday, NOON)
    over_at = NOON - timedelta(hours=13)
    july = Period(UUID(int=90), "July", yesterday, over_at, PeriodStatus.HARD, LatePolicy.REFUSE)
    state.periods[july.period_id] = july
    closed = refused(state, a_capture("1.00", effective_at=yesterday))
    assert closed.refusal is Refusal.PERIOD_CLOSED
    state.periods[july.period_id] = july._replace(late=LatePolicy.NEXT_OPEN_DAY)
    moved = do(state, a_capture("1.00", effective_at=yesterday))
    dating = body(moved).dating
    assert dating is not None
    assert (dating.asked_at, moved.effective_at) == (yesterday, NOON.replace(hour=0))


def test_a_part_that_is_released_is_free_again() -> None:
    state = holding()
    entry = do(state, a_release("20.00"))
    assert (entry.kind, body(entry).amount_minor) == (EntryKind.HOLD_RELEASED, 2_000)
    hold = state.holds[HELD]
    assert (hold.status, hold.released_minor, hold.remaining_minor) == (
        HoldStatus.OPEN,
        2_000,
        4_000,
    )
    assert held(state) == (10_000, 4_000, 0, 4_000)
    verdict = refused(state, a_release("40.01"))
    assert (verdict.refusal, verdict.numbers["largest"]) == (Refusal.HOLD_EXCEEDED, "40.00")
    over = refused(holding(over_capture="5"), a_release("60.01"))
    assert over.refusal is Refusal.HOLD_EXCEEDED


@pytest.mark.parametrize("amount", [None, "45.00"])
def test_giving_back_all_voids_the_hold_and_keeps_what_was_captured(amount: str | None) -> None:
    state = holding()
    do(state, a_capture("15.00"))
    entry = do(state, a_release(amount))
    assert (entry.kind, body(entry).amount_minor) == (EntryKind.HOLD_VOIDED, 4_500)
    hold = state.holds[HELD]
    assert (hold.status, hold.captured_minor, hold.released_minor) == (
        HoldStatus.VOIDED,
        1_500,
        4_500,
    )
    assert held(state) == (8_500, 0, 1_500, 0)


ANYTHING: list[Command] = [
    a_capture(),
    a_capture("1.00", is_final=True),
    a_release(),
    a_release("1.00"),
    an_increase(),
]


@pytest.mark.parametrize("command", ANYTHING)
def test_nothing_is_done_to_a_hold_that_is_not_there_or_not_open(command: Command) -> None:
    missing = refused(books(), command)
    assert (missing.refusal, missing.numbers) == (Refusal.UNKNOWN_HOLD, {"hold_id": str(HELD)})
    for ending, status in ((a_capture(), "captured"), (a_release(), "voided")):
        state = holding()
        do(state, ending)
        ended = refused(state, command)
        assert ended.refusal is Refusal.HOLD_NOT_OPEN
        captured = status == "captured"
        assert ended.numbers == {
            "hold_id": str(HELD),
            "status": status,
            "currency": "USD",
            "authorised": "60.00",
            "captured": "60.00" if captured else "0.00",
            "released": "0.00" if captured else "60.00",
            "remaining": "0.00",
            "over_capture": "0.00",
        }


@pytest.mark.parametrize("command", ANYTHING)
def test_nothing_is_done_to_a_hold_whose_time_is_over(command: Command) -> None:
    """Whether or not its expiry is an entry yet; a moment before, everything is."""
    do(holding(), command, LATER - timedelta(microseconds=1))
    late = holding()
    swept = holding()
    advance(swept, expiry(swept, swept.holds[HELD], UUID(int=75), LATER))
    for state in (late, swept):
        verdict = refused(state, command, LATER)
        assert verdict.refusal is Refusal.HOLD_EXPIRED
        assert verdict.numbers == {
            "hold_id": str(HELD),
            "expires_at": LATER.isoformat(),
            "now": LATER.isoformat(),
        }


def test_an_expired_hold_keeps_nothing() -> None:
    state = holding()
    do(state, a_capture("10.00"))
    do(state, a_release("5.00"))
    entry = expiry(state, state.holds[HELD], UUID(int=75), LATER)
    advance(state, entry)
    assert (entry.kind, body(entry).amount_minor) == (EntryKind.HOLD_EXPIRED, 4_500)
    hold = state.holds[HELD]
    assert (hold.status, hold.captured_minor, hold.released_minor, hold.remaining_minor) == (
        HoldStatus.EXPIRED,
        1_000,
        5_000,
        0,
    )
    assert held(state) == (9_000, 0, 1_000, 0)


def test_a_hold_on_our_own_float_needs_no_funds() -> None:
    state = books()
    do(state, a_placing(source_account_id=FLOAT, amount="1000000.00"))
    do(state, a_capture())
    assert state.accounts[BOB].balance_minor == 100_000_000

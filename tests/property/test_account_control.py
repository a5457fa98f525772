"""Closed or frozen accounts never take what they must not, and no bound is passed, ever."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ledger_service.domain.commands import (
    CaptureHold,
    ChangeAccount,
    Command,
    Limits,
    OpenAccount,
    PartAsked,
    PlaceHold,
    ReleaseHold,
    Transact,
    Transfer,
)
from ledger_service.domain.decide import decide
from ledger_service.domain.entries import AccountChanged, Entry
from ledger_service.domain.evolve import advance, replay
from ledger_service.domain.model import Account, Direction, Freeze, LimitsOn
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.state import State

START = datetime(2025, 1, 1, tzinfo=UTC)
ACCOUNTS_MAX = 5
AMOUNTS = st.integers(1, 60).map(str)
BOUNDS = st.none() | st.integers(-80, 80).map(str)
SHUT = {
    Direction.DEBIT: (Freeze.DEBITS, Freeze.ALL),
    Direction.CREDIT: (Freeze.CREDITS, Freeze.ALL),
}


class Control(RuleBasedStateMachine):
    """Opens, limits, freezes, closes and moves, in yen; checks what each accepted entry did."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State(last_seq=0)
        self.entries: list[Entry] = []
        self.asked = 0

    @precondition(lambda self: len(self.state.accounts) < ACCOUNTS_MAX)
    @rule(
        side=st.sampled_from(Direction),
        overdraft=st.sampled_from([None, "0", "50"]),
        on=st.sampled_from(LimitsOn),
    )
    def open(self, side: Direction, overdraft: str | None, on: LimitsOn) -> None:
        kind = "asset" if side is Direction.DEBIT else "user"
        opening = OpenAccount(self.new_id(), "JPY", 0, kind, overdraft, {}, side, limits_on=on)
        assert isinstance(self.run(opening), Entry)

    @precondition(lambda self: self.state.accounts)
    @rule(data=st.data(), freeze=st.sampled_from(Freeze))
    def freeze(self, data: Any, freeze: Freeze) -> None:
        assert isinstance(self.change(data, freeze=freeze), Entry)

    @precondition(lambda self: self.state.accounts)
    @rule(data=st.data(), is_closed=st.booleans())
    def close(self, data: Any, is_closed: bool) -> None:
        account_id = self.one(data)
        account = self.state.accounts[account_id]
        is_empty = not (account.balance_minor or account[4] or account[5])
        verdict = self.change(account_id, is_closed=is_closed)
        assert isinstance(verdict, Entry) is (is_empty or not is_closed)
        assert isinstance(verdict, Entry) or verdict.refusal is Refusal.ACCOUNT_NOT_EMPTY

    @precondition(lambda self: self.state.accounts)
    @rule(data=st.data(), floor=BOUNDS, ceiling=BOUNDS, on=st.sampled_from(LimitsOn))
    def limit(self, data: Any, floor: str | None, ceiling: str | None, on: LimitsOn) -> None:
        verdict = self.change(data, limits=Limits(floor, ceiling, on))
        are_crossed = floor is not None and ceiling is not None and int(floor) > int(ceiling)
        assert isinstance(verdict, Refused) is are_crossed

    @precondition(lambda self: self.state.accounts)
    @rule(data=st.data(), seen=st.integers(1, 4))
    def change_what_was_seen(self, data: Any, seen: int) -> None:
        account_id = self.one(data)
        version = self.state.accounts[account_id].facts.version
        verdict = self.change(account_id, expected_version=seen, metadata={"seen": seen})
        assert isinstance(verdict, Entry) is (seen == version)

    @precondition(lambda self: len(self.state.accounts) > 1)
    @rule(data=st.data(), amount=AMOUNTS)
    def transfer(self, data: Any, amount: str) -> None:
        source, destination = self.one(data), self.one(data)
        self.run(Transfer(self.new_id(), source, destination, amount, "JPY", True, None, None, {}))

    @precondition(lambda self: len(self.state.accounts) > 2)
    @rule(data=st.data(), amount=AMOUNTS, more=AMOUNTS)
    def transact(self, data: Any, amount: str, more: str) -> None:
        total = str(int(amount) + int(more))
        parts = (
            PartAsked(self.one(data), Direction.DEBIT, total),
            PartAsked(self.one(data), Direction.CREDIT, amount),
            PartAsked(self.one(data), Direction.CREDIT, more),
        )
        self.run(Transact(self.new_id(), parts, None, None, {}))

    @precondition(lambda self: len(self.state.accounts) > 1)
    @rule(data=st.data(), amount=AMOUNTS, over=st.integers(0, 20).map(str))
    def hold(self, data: Any, amount: str, over: str) -> None:
        source, destination = self.one(data), self.one(data)
        self.run(
            PlaceHold(self.new_id(), source, destination, amount, "JPY", True, over, None, None, {})
        )

    @precondition(lambda self: self.state.holds)
    @rule(data=st.data(), amount=st.none() | AMOUNTS, is_final=st.booleans())
    def capture(self, data: Any, amount: str | None, is_final: bool) -> None:
        hold_id = data.draw(st.sampled_from(list(self.state.holds)))
        self.run(CaptureHold(self.new_id(), hold_id, amount, is_final, None, None, {}))

    @precondition(lambda self: self.state.holds)
    @rule(data=st.data(), amount=st.none() | AMOUNTS)
    def release(self, data: Any, amount: str | None) -> None:
        hold_id = data.draw(st.sampled_from(list(self.state.holds)))
        self.run(ReleaseHold(self.new_id(), hold_id, amount, {}))

    @invariant()
    def a_closed_account_has_nothing(self) -> None:
        for account in self.state.accounts.values():
            if account.facts.is_closed:
                assert (account.balance_minor, account[4], account[5]) == (0, 0, 0)

    def teardown(self) -> None:
        assert replay(self.entries).accounts == self.state.accounts

    def one(self, data: Any) -> UUID:
        account_id: UUID = data.draw(st.sampled_from(list(self.state.accounts)))
        return account_id

    def new_id(self) -> UUID:
        self.asked += 1
        return UUID(int=self.asked)

    def change(self, which: Any, **facts: Any) -> Entry | Refused:
        account_id = which if isinstance(which, UUID) else self.one(which)
        expected = facts.pop("expected_version", None)
        return self.run(ChangeAccount(self.new_id(), account_id, expected, **facts))

    def run(self, command: Command) -> Entry | Refused:
        before = self.state.fork()
        verdict = decide(self.state, command, START + timedelta(seconds=self.asked))
        assert before == self.state, "deciding changed the books"
        if isinstance(verdict, Entry):
            events = advance(self.state, verdict).events
            self.entries.append(verdict)
            for event in events:
                facts = before.accounts[event.account_id].facts
                assert not facts.is_closed
                assert facts.frozen not in SHUT[event.direction]
            if not isinstance(verdict.body, AccountChanged):
                for account_id, account in before.accounts.items():
                    assert_no_bound_is_passed(account, self.state.accounts[account_id])
        return verdict


def assert_no_bound_is_passed(before: Account, after: Account) -> None:
    """Assert that what the account has at least, and at most, is within its limits or nearer."""
    floor_minor, ceiling_minor = before.facts.floor_minor, before.facts.ceiling_minor
    lowest, highest = [], []
    for account in (before, after):
        counts = account.facts.limits_on is LimitsOn.AVAILABLE
        balance_minor = account.credits_minor - account.debits_minor
        lowest.append(balance_minor - counts * account.held_debits_minor)
        highest.append(balance_minor + counts * account.held_credits_minor)
    assert floor_minor is None or lowest[1] >= min(floor_minor, lowest[0])
    assert ceiling_minor is None or highest[1] <= max(ceiling_minor, highest[0])


TestControl = Control.TestCase
TestControl.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)

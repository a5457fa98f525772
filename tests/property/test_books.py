"""The laws of the books, over random sequences of commands, against a small model of its own."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ledger_service.domain.commands import OpenAccount, Transfer
from ledger_service.domain.decide import decide
from ledger_service.domain.entries import Entry, Event
from ledger_service.domain.evolve import advance, replay
from ledger_service.domain.model import AccountType, Direction
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.state import State
from shared.money import format_minor

SCALES = {"USD": 2, "JPY": 0}
START = datetime(2025, 1, 1, tzinfo=UTC)


class Books(RuleBasedStateMachine):
    """Runs commands through decide and advance, and the same through a dictionary of balances."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State(last_seq=0)
        self.entries: list[Entry] = []
        self.events: list[Event] = []
        self.model: dict[UUID, int] = {}
        self.floors: dict[UUID, int | None] = {}
        self.commands = 0

    @rule(
        currency=st.sampled_from([*SCALES, "XQX"]),
        limit=st.sampled_from(["0", "50", None]),
        kind=st.sampled_from(AccountType),
    )
    def open_account(self, currency: str, limit: str | None, kind: AccountType) -> None:
        self.commands += 1
        account_id = UUID(int=self.commands)
        scale = SCALES.get(currency)
        verdict = self.run(OpenAccount(account_id, currency, scale, kind, limit, {}))
        assert isinstance(verdict, Refused) == (scale is None)
        if scale is not None:
            self.model[account_id] = 0
            self.floors[account_id] = None if limit is None else -int(limit) * 10**scale

    @precondition(lambda self: self.model)
    @rule(data=st.data(), amount_minor=st.integers(0, 20_000), known=st.booleans())
    def transfer(self, data: Any, amount_minor: int, known: bool) -> None:
        self.commands += 1
        source, destination = (data.draw(st.sampled_from(list(self.model))) for _ in range(2))
        if not known:
            destination = UUID(int=10**9)
        currency = self.state.accounts[source].currency
        amount = format_minor(amount_minor, SCALES[currency])
        verdict = self.run(
            Transfer(
                UUID(int=10**6 + self.commands),
                source,
                destination,
                amount,
                currency,
                True,
                None,
                None,
                {},
            )
        )
        expected = self.expected_refusal(source, destination, currency, amount_minor)
        if expected is None:
            assert isinstance(verdict, Entry), verdict
            self.model[source] -= amount_minor
            self.model[destination] += amount_minor
        else:
            assert isinstance(verdict, Refused)
            assert verdict.refusal is expected

    def expected_refusal(
        self, source: UUID, destination: UUID, currency: str, amount_minor: int
    ) -> Refusal | None:
        if source == destination:
            return Refusal.SAME_ACCOUNT
        if destination not in self.model:
            return Refusal.UNKNOWN_ACCOUNT
        if self.state.accounts[destination].currency != currency:
            return Refusal.CURRENCY_MISMATCH
        if amount_minor == 0:
            return Refusal.AMOUNT_NOT_POSITIVE
        floor = self.floors[source]
        if floor is not None and self.model[source] - amount_minor < floor:
            return Refusal.INSUFFICIENT_FUNDS
        return None

    def run(self, command: OpenAccount | Transfer) -> Entry | Refused:
        before = (self.state.last_seq, dict(self.state.accounts))
        verdict = decide(self.state, command, START + timedelta(seconds=self.commands))
        assert before == (self.state.last_seq, self.state.accounts), "deciding changed the books"
        if isinstance(verdict, Entry):
            self.entries.append(verdict)
            self.events.extend(advance(self.state, verdict).events)
        return verdict

    @invariant()
    def debits_equal_credits_in_every_currency(self) -> None:
        totals = dict.fromkeys(SCALES, 0)
        for event in self.events:
            sign = 1 if event.direction is Direction.CREDIT else -1
            totals[self.state.accounts[event.account_id].currency] += sign * event.amount_minor
        assert set(totals.values()) == {0}

    @invariant()
    def balances_equal_the_sum_of_events_and_the_model(self) -> None:
        for account_id, account in self.state.accounts.items():
            mine = [event for event in self.events if event.account_id == account_id]
            summed = sum(
                event.amount_minor if event.direction is Direction.CREDIT else -event.amount_minor
                for event in mine
            )
            assert account.balance_minor == summed == self.model[account_id]
            assert [event.position for event in mine] == list(range(1, len(mine) + 1))
            if mine:
                assert mine[-1].balance_after_minor == account.balance_minor

    @invariant()
    def no_account_stands_below_its_floor(self) -> None:
        for account in self.state.accounts.values():
            floor_minor = account.facts.floor_minor
            assert floor_minor is None or account.balance_minor >= floor_minor

    @invariant()
    def rebuilt_books_equal_the_live_ones(self) -> None:
        assert replay(self.entries) == self.state


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

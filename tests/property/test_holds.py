"""The laws of holds, over random histories, against a model that knows nothing but sums.

However commands interleave and however late a sweeper comes: never is more promised than there is,
nothing is given back twice, nothing is captured after its time, and what accounts count as held is
what their open holds keep.
"""

from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledger_service.domain.batch import Decided, Declined, Group, Outcome, Posted, decide_group
from ledger_service.domain.batch import expire_due as expire
from ledger_service.domain.commands import (
    Asked,
    CaptureHold,
    Command,
    IncreaseHold,
    OpenAccount,
    PlaceHold,
    ReleaseHold,
    Transfer,
)
from ledger_service.domain.decide import decide
from ledger_service.domain.entries import Entry, Event
from ledger_service.domain.evolve import replay
from ledger_service.domain.model import AccountType, HoldStatus
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.state import State
from tests.property.holds_model import (
    CARD,
    CEILINGS,
    FLOAT,
    FLOORS,
    PURSE,
    SHOP,
    Model,
    part_of,
    text_of,
)

START = datetime(2025, 1, 1, tzinfo=UTC)
HOLDS_MAX = 12
Pair = tuple[UUID, UUID]

pairs = st.sampled_from(
    ((CARD, SHOP), (CARD, PURSE), (PURSE, SHOP), (FLOAT, CARD), (FLOAT, PURSE), (SHOP, SHOP))
)
places = st.integers(0, HOLDS_MAX)
parts = st.sampled_from(("nothing", "one", "some", "half", "all", "one more", "over", "over more"))
usual = st.one_of(st.sampled_from(("one", "some", "half")), parts)
moments = st.one_of(st.none(), st.integers(-60, 7_200))


class Holds(RuleBasedStateMachine):
    """Asks the rules and the model the same, command by command, while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.names = START, 100
        self.model = Model()
        self.entries: list[Entry] = []
        self.events: list[Event] = []
        self.state = State(last_seq=0)
        self.hold_ids: list[UUID] = []
        for account_id, floor in FLOORS.items():
            ceiling = CEILINGS[account_id]
            self.ask(
                OpenAccount(
                    account_id,
                    "USD",
                    2,
                    AccountType.USER,
                    None if floor is None else text_of(-floor),
                    {},
                    ceiling=None if ceiling is None else text_of(ceiling),
                )
            )
        for account_id in (CARD, PURSE):
            self.both(self.a_transfer((FLOAT, account_id), 10_000))

    @rule(pair=pairs, part=usual, over=usual, seconds=moments)
    def place(self, pair: Pair, part: str, over: str, seconds: int | None) -> None:
        minor, over_minor = self.of_account(pair[0], part), self.of_account(pair[0], over)
        self.both(self.a_placing(pair, minor, over_minor, seconds))

    @rule(place=places, part=usual, seconds=moments)
    def increase(self, place: int, part: str, seconds: int | None) -> None:
        self.both(self.an_increase(self.hold(place), part, seconds))

    @rule(place=places, part=st.one_of(st.none(), parts), is_final=st.booleans())
    def capture(self, place: int, part: str | None, is_final: bool) -> None:
        self.both(self.a_capture(self.hold(place), part, is_final=is_final))

    @rule(place=places, part=st.one_of(st.none(), parts))
    def release(self, place: int, part: str | None) -> None:
        self.both(self.a_release(self.hold(place), part))

    @rule(pair=pairs, part=usual)
    def transfer(self, pair: Pair, part: str) -> None:
        self.both(self.a_transfer(pair, self.of_account(pair[0], part)))

    @rule(place=places)
    def end_twice(self, place: int) -> None:
        """Whoever comes second, in one batch or in two, gets nothing."""
        hold_id = self.hold(place)
        self.both(self.a_release(hold_id, None), self.a_release(hold_id, None))
        self.both(self.a_capture(hold_id, None, is_final=True))

    @rule(place=places, part=usual, pair=pairs)
    def all_at_once(self, place: int, part: str, pair: Pair) -> None:
        """One batch, one instant, in this order."""
        hold_id, minor = self.hold(place), self.of_account(pair[0], part)
        self.both(
            self.a_transfer(pair, minor),
            self.a_capture(hold_id, part, is_final=False),
            self.a_placing(pair, minor, 0, 60),
            self.a_release(hold_id, part),
            self.a_capture(hold_id, None, is_final=False),
        )

    @rule(place=places, part=parts)
    def all_or_none(self, place: int, part: str) -> None:
        """An atomic group that is refused leaves nothing behind."""
        self.both()
        hold_id = self.hold(place)
        commands: list[Command] = [
            self.a_release(hold_id, part),
            self.a_capture(hold_id, None, is_final=True),
        ]
        decided, before = Decided(self.state.fork(), self.now, {}), self.state.fork()
        asked = [Asked(command, None) for command in commands]
        cause = decide_group(decided, Group(asked, is_atomic=True))[0]
        model = deepcopy(self.model)
        expected = [model.do(command, self.now) for command in commands]
        if expected == [None, None]:
            assert isinstance(cause, Posted), cause
            self.keep(decided)
            self.model = model
        else:
            assert isinstance(cause, Declined)
            assert cause.refused.refusal is next(one for one in expected if one is not None)
            assert (decided.state, decided.entries) == (before, [])

    @rule(seconds=st.integers(0, 3_600))
    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(more=st.integers(-1, 1))
    def pass_time_up_to_the_next_end(self, more: int) -> None:
        """To the very instant at which a hold falls due, or a moment beside it."""
        ends = [one.expires_at for one in self.state.holds.values() if one.status == "open"]
        due_at = min((one for one in ends if one is not None), default=self.now)
        self.now = max(self.now, due_at + timedelta(microseconds=more))

    @rule()
    def sweep(self) -> None:
        """The sweeper comes, as late as it likes."""
        self.both()

    @rule(part=st.one_of(st.none(), parts))
    def no_rule_needs_the_sweeper(self, part: str | None) -> None:
        """Even where nothing has ended what is due, nothing is done to it."""
        for hold in self.state.holds.values():
            if hold.is_due(self.now):
                for command in (
                    self.a_capture(hold.hold_id, part, is_final=True),
                    self.a_release(hold.hold_id, part),
                    self.an_increase(hold.hold_id, "one", 60),
                ):
                    verdict = decide(self.state, command, self.now)
                    assert isinstance(verdict, Refused)
                    assert verdict.refusal is Refusal.HOLD_EXPIRED

    @invariant()
    def accounts_stand_where_the_model_has_them(self) -> None:
        if any(hold.is_due(self.now) for hold in self.state.holds.values()):
            return  # the next batch begins with their ends
        for account_id, account in self.state.accounts.items():
            assert account.balance_minor == self.model.balances[account_id]
            assert account.held_debits_minor == self.model.out(account_id)
            assert account.held_credits_minor == self.model.coming(account_id)

    @invariant()
    def nothing_is_promised_twice(self) -> None:
        for account_id, account in self.state.accounts.items():
            floor, ceiling = FLOORS[account_id], CEILINGS[account_id]
            open_holds = [one for one in self.state.holds.values() if one.status is HoldStatus.OPEN]
            out = sum(one.remaining_minor for one in open_holds if one[1] == account_id)
            coming = sum(one.remaining_minor for one in open_holds if one[2] == account_id)
            assert (account.held_debits_minor, account.held_credits_minor) == (out, coming)
            assert floor is None or account.balance_minor - out >= floor
            assert ceiling is None or account.balance_minor + coming <= ceiling

    @invariant()
    def every_unit_of_a_hold_is_somewhere(self) -> None:
        for hold_id, hold in self.state.holds.items():
            kept = self.model.holds[hold_id]
            assert hold.captured_minor == kept.captured
            if not hold.is_due(self.now):
                assert (hold.status.value, hold.remaining_minor) == (kept.status, kept.keeps)
                assert hold.released_minor == kept.given_back
            beyond = max(0, hold.captured_minor + hold.released_minor - hold.amount_minor)
            assert beyond <= hold.over_capture_minor
            parts = hold.captured_minor + hold.released_minor + hold.remaining_minor
            assert parts == hold.amount_minor + beyond

    def teardown(self) -> None:
        again = replay(self.entries)
        assert (again.accounts, again.holds) == (self.state.accounts, self.state.holds)
        captured = sum(hold.captured_minor for hold in self.state.holds.values())
        of_captures = {e.seq for e in self.entries if e.kind == "hold_captured"}
        moved = sum(e.amount_minor for e in self.events if e.seq in of_captures and e.line == 1)
        assert captured == moved

    # ---- how a batch goes

    def both(self, *commands: Command) -> None:
        """Decide one batch and compare each verdict with the model's."""
        outcomes = self.ask(*commands)
        self.model.expire(self.now)
        for command, outcome in zip(commands, outcomes, strict=True):
            expected = self.model.do(command, self.now)
            if expected is None:
                assert isinstance(outcome, Posted), outcome
            else:
                assert isinstance(outcome, Declined)
                assert outcome.refused.refusal is expected, outcome
            if isinstance(command, PlaceHold) and expected is None:
                self.hold_ids.append(command.hold_id)

    def ask(self, *commands: Command) -> Sequence[Outcome]:
        decided = Decided(self.state.fork(), self.now, {})
        self.end_what_is_due(decided)
        outcomes = decide_group(decided, Group([Asked(command, None) for command in commands]))
        self.keep(decided)
        return outcomes

    def end_what_is_due(self, decided: Decided) -> None:
        due = [hold for hold in decided.state.holds.values() if hold.is_due(self.now)]
        expire(decided, [(hold, self.name()) for hold in due])

    def keep(self, decided: Decided) -> None:
        self.state = decided.state
        self.entries += decided.entries
        self.events += decided.events

    # ---- what commands name

    def name(self) -> UUID:
        self.names += 1
        return UUID(int=self.names)

    def hold(self, place: int) -> UUID:
        """One of the last holds, or none that there ever was."""
        known = self.hold_ids[-HOLDS_MAX:]
        return known[place % len(known)] if known and place < HOLDS_MAX else UUID(int=99)

    def of_account(self, account_id: UUID, part: str) -> int:
        """A part of what an account can pay, or a little more than all of it."""
        floor = FLOORS[account_id]
        return part_of(9_000 if floor is None else self.model.can_pay(account_id, floor), part)

    def of_hold(self, hold_id: UUID, part: str) -> int:
        """A part of what a hold keeps, or more, up to what its policy allows and beyond."""
        hold = self.model.holds.get(hold_id)
        return 1_000 if hold is None else part_of(hold.keeps, part, hold.over)

    def after(self, seconds: int | None) -> datetime | None:
        return None if seconds is None else self.now + timedelta(seconds=seconds)

    def a_placing(self, pair: Pair, minor: int, over: int, seconds: int | None) -> PlaceHold:
        return PlaceHold(
            self.name(),
            *pair,
            text_of(minor),
            "USD",
            True,
            text_of(over),
            self.after(seconds),
            None,
            {},
        )

    def an_increase(self, hold_id: UUID, part: str, seconds: int | None) -> IncreaseHold:
        hold = self.model.holds.get(hold_id)
        minor = self.of_account(CARD if hold is None else hold.source, part)
        return IncreaseHold(self.name(), hold_id, text_of(minor), self.after(seconds), {})

    def a_capture(self, hold_id: UUID, part: str | None, *, is_final: bool) -> CaptureHold:
        amount = None if part is None else text_of(self.of_hold(hold_id, part))
        return CaptureHold(self.name(), hold_id, amount, is_final, None, None, {})

    def a_release(self, hold_id: UUID, part: str | None) -> ReleaseHold:
        amount = None if part is None else text_of(self.of_hold(hold_id, part))
        return ReleaseHold(self.name(), hold_id, amount, {})

    def a_transfer(self, pair: Pair, minor: int) -> Transfer:
        return Transfer(self.name(), *pair, text_of(minor), "USD", True, None, None, {})


TestHolds = Holds.TestCase
TestHolds.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)

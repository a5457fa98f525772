"""One world: random commands, done by the rules and by the model, and the laws after each."""

import json
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ledger_service.domain import commands as asked
from ledger_service.domain.batch import Decided, Declined, Group, Posted, decide_group, expire_due
from ledger_service.domain.entries import Entry, Event, Line
from ledger_service.domain.evolve import replay
from ledger_service.domain.model import (
    NORMAL_SIDES,
    Account,
    Direction,
    Freeze,
    HoldStatus,
    LatePolicy,
    LimitsOn,
    PeriodStatus,
)
from ledger_service.domain.payloads import body_of, payload_text
from ledger_service.domain.state import Original, State
from scripts.simulation.model import Model
from scripts.simulation.postings import SCALES

START = datetime(2025, 1, 1, tzinfo=UTC)
CODES = ("assets:bank", "assets:cash", "income:fees", "users:anna")
_TYPES = tuple(NORMAL_SIDES)
_AMOUNTS = (
    *("1", "2", "5", "7", "10", "33", "100") * 3,
    "250",
    "0.01",
    "9.99",
    "50.5",
    "0",
    "1.005",
)


class Broken(Exception):
    """A law of the books does not hold."""


class World:
    """Books that begin empty, and what was done in them."""

    def __init__(self, seed: int) -> None:
        self.luck = random.Random(seed)
        self.now = START
        self.state = State(last_seq=0)
        self.model = Model()
        self.entries: list[Entry] = []
        self.sums: dict[UUID, int] = {}
        self.positions: dict[UUID, int] = {}
        self.past: list[tuple[int, State]] = []
        self.names = 0
        self.accepted = 0

    # ---- a step

    def step(self) -> str:
        """Ask for something, check everything, and return what was asked for."""
        self.now += timedelta(seconds=self.luck.choice((0, 1, 1, 60, 3_600, 40_000)))
        command = self._command()
        self.model.expire(self.now)
        expected = self.model.do(command, self.now)
        self._name_originals(command)
        decided = Decided(self.state.fork(), self.now, {})
        due = [hold for hold in decided.state.holds.values() if hold.is_due(self.now)]
        expire_due(decided, [(hold, self._id()) for hold in due])
        before = decided.state.fork()
        (outcome,) = decide_group(decided, Group((asked.Asked(command, None),)))
        told = f"{type(command).__name__} {command} at {self.now}: {outcome}"
        if isinstance(outcome, Declined) and decided.state != before:
            raise Broken(f"a refusal changed the books: {told}")
        if isinstance(outcome, Posted) != expected:
            raise Broken(f"the model says {expected}: {told}")
        self.accepted += isinstance(outcome, Posted)
        self.state = decided.state
        self._keep(decided.entries, decided.events)
        self._check(told)
        return type(command).__name__

    def close(self) -> None:
        """Check what is too slow for every step: the past, and the books made anew."""
        replayed = replay(self.entries)
        if _facts(replayed) != _facts(self.state):
            raise Broken("a rebuild does not give the live books")
        for seq, state in self.past:
            if _facts(replay(self.entries[:seq])) != _facts(state):
                raise Broken(f"the books as of seq {seq} are not those of then")

    # ---- laws

    def _keep(self, entries: list[Entry], events: list[Event]) -> None:
        for entry in entries:
            body = body_of(entry.kind, json.loads(payload_text(entry.body)))
            if body != entry.body:
                raise Broken(f"the log would change {entry.body} into {body}")
        self.entries += entries
        for event in events:
            sign = 1 if event.direction is Direction.CREDIT else -1
            account_id = event.account_id
            self.sums[account_id] = self.sums.get(account_id, 0) + sign * event.amount_minor
            self.positions[account_id] = self.positions.get(account_id, 0) + 1
            if (event.balance_after_minor, event.position) != (
                self.sums[account_id],
                self.positions[account_id],
            ):
                raise Broken(f"{event} is not what its account's events add up to")
        if self.luck.random() < 0.02:
            self.past.append((len(self.entries), self.state.fork()))

    def _check(self, told: str) -> None:
        totals = dict.fromkeys(SCALES, 0)
        held = {account_id: [0, 0] for account_id in self.state.accounts}
        for hold in self.state.holds.values():
            if min(hold.remaining_minor, hold.captured_minor, hold.released_minor) < 0:
                raise Broken(f"{hold} has a part below zero: {told}")
            if hold.status is HoldStatus.OPEN:
                held[hold.source_account_id][0] += hold.remaining_minor
                held[hold.destination_account_id][1] += hold.remaining_minor
        for account_id, account in self.state.accounts.items():
            totals[account.currency] += account.balance_minor
            book = self.model.accounts[account_id]
            mine = (account.balance_minor, account.position, *account[4:])
            if min(account[1:]) < 0:
                raise Broken(f"{account} has a part below zero: {told}")
            if mine != (book.balance, book.events, book.out, book.coming):
                raise Broken(f"{account}, but the model says {book}: {told}")
            if mine[:2] != (self.sums.get(account_id, 0), self.positions.get(account_id, 0)):
                raise Broken(f"{account} is not the sum of its events: {told}")
            if list(mine[2:]) != held[account_id]:
                raise Broken(f"{account} does not hold what its holds keep: {told}")
        if any(totals.values()):
            raise Broken(f"balances sum to {totals}: {told}")

    # ---- commands

    def _command(self) -> asked.Command:
        if len(self.model.accounts) < 9:
            return self._open()
        makers = (
            (1, self._open),
            (5, self._change),
            (14, self._transfer),
            (8, self._transact),
            (4, self._exchange),
            (8, self._reverse),
            (9, self._place),
            (4, self._increase),
            (9, self._capture),
            (6, self._release),
            (2, self._open_period),
            (3, self._close_period),
        )
        (make,) = self.luck.choices([one for _, one in makers], [often for often, _ in makers])
        command: asked.Command = make()
        return command

    def _open(self) -> asked.Command:
        kind = self.luck.choice((*_TYPES, "martian"))
        currency = self.luck.choice((*SCALES, "USD", "EUR", "XQX"))
        return asked.OpenAccount(
            self._id(),
            currency,
            SCALES.get(currency),
            kind,
            self.luck.choice(("0", "50", *(None,) * 5, "0.001")),
            {},
            normal_side=NORMAL_SIDES.get(kind),
            ceiling=self.luck.choice((*(None,) * 8, "300", "0.5")),
            limits_on=self.luck.choice((LimitsOn.AVAILABLE, *LimitsOn)),
            code=self.luck.choice((*(None,) * 9, *CODES)),
        )

    def _change(self) -> asked.Command:
        account_id = self._account()
        limits = asked.Limits(
            self.luck.choice((None, None, None, "0", "-20", "5", "0.001")),
            self.luck.choice((*(None,) * 6, "400", "100", "1")),
            self.luck.choice(tuple(LimitsOn)),
        )
        version = (
            self.model.accounts[account_id].version if account_id in self.model.accounts else 1
        )
        return asked.ChangeAccount(
            self._id(),
            account_id,
            self.luck.choice((None, None, None, version, version, version + 1)),
            limits=self.luck.choice((None, limits)),
            freeze=self.luck.choice((None, *(Freeze.NONE,) * 8, *Freeze)),
            is_closed=self.luck.choice((None, None, False, False, True)),
            code=self.luck.choice((*(None,) * 8, *CODES)),
            metadata=self.luck.choice((None, {"name": "Ann"})),
        )

    def _transfer(self) -> asked.Command:
        source, destination = self._two()
        return asked.Transfer(
            self._id(),
            source,
            destination,
            self.luck.choice(_AMOUNTS),
            self._currency(source),
            True,
            None,
            self._effective_at(),
            {},
            self._conditions(source),
        )

    def _transact(self) -> asked.Command:
        parts = []
        for _ in range(self.luck.choice((1, 1, 1, 2))):
            one, other = self._two()
            third = self._alike(one, other)
            amount = self.luck.choice(_AMOUNTS)
            if self.luck.random() < 0.5:
                parts += [
                    asked.PartAsked(one, Direction.DEBIT, amount),
                    asked.PartAsked(other, Direction.CREDIT, None, self.luck.randint(1, 3)),
                    asked.PartAsked(third, Direction.CREDIT, None, self.luck.randint(1, 3)),
                ]
            else:
                again = self.luck.choice((amount, amount, amount, "3"))
                parts += [
                    asked.PartAsked(one, Direction.DEBIT, amount),
                    asked.PartAsked(other, Direction.CREDIT, again),
                ]
        return asked.Transact(
            self._id(),
            tuple(parts),
            None,
            self._effective_at(),
            {},
            is_adjusting=self.luck.random() < 0.2,
            conditions=self._conditions(parts[0].account_id),
        )

    def _exchange(self) -> asked.Command:
        source, till = self._two()
        destination = self._account()
        back = self._alike(destination)
        rounding = self._alike(destination, back)
        bought = self.luck.choice((*(None,) * 40, *_AMOUNTS))
        rate = self.luck.choice(("1.1", "0.5", "151.337", "0.662", "1", "1", "-1"))
        return asked.Exchange(
            self._id(),
            source,
            destination,
            till,
            back,
            self.luck.choice((None, rounding, rounding)),
            self.luck.choice(_AMOUNTS),
            bought,
            rate,
            "ECB",
            None,
            self._effective_at(),
            {},
        )

    def _reverse(self) -> asked.Command:
        known = list(self.model.posted)[-30:]
        original = self.luck.choice([*known, self._id()])
        amount = self.luck.choice((None, None, None, *_AMOUNTS))
        lines: tuple[asked.LineAsked, ...] = ()
        if original in self.model.posted and self.luck.random() < 0.3:
            count = len(self.model.posted[original].lines)
            some = self.luck.sample(range(1, count + 2), min(count, 2))
            value = self.luck.choice(_AMOUNTS)
            amount, lines = None, tuple(asked.LineAsked(one, value) for one in some)
        return asked.Reverse(self._id(), original, amount, lines, None, self._effective_at(), {})

    def _place(self) -> asked.Command:
        source, destination = self._two()
        return asked.PlaceHold(
            self._id(),
            source,
            destination,
            self.luck.choice(_AMOUNTS),
            self._currency(source),
            True,
            self.luck.choice(("0", "0", "5", "1")),
            self._later(),
            None,
            {},
            self._conditions(source),
        )

    def _increase(self) -> asked.Command:
        amount = self.luck.choice(_AMOUNTS)
        return asked.IncreaseHold(self._id(), self._hold(), amount, self._later(), {})

    def _capture(self) -> asked.Command:
        return asked.CaptureHold(
            self._id(),
            self._hold(),
            self.luck.choice((None, *_AMOUNTS)),
            self.luck.random() < 0.4,
            None,
            self._effective_at(),
            {},
        )

    def _release(self) -> asked.Command:
        return asked.ReleaseHold(
            self._id(), self._hold(), self.luck.choice((None, None, *_AMOUNTS)), {}
        )

    def _open_period(self) -> asked.Command:
        starts_at = START + timedelta(days=self.luck.randint(0, 20))
        ends_at = starts_at + timedelta(days=self.luck.randint(0, 4))
        return asked.OpenPeriod(self._id(), f"period {self.names}", starts_at, ends_at, {})

    def _close_period(self) -> asked.Command:
        return asked.ClosePeriod(
            self._id(),
            self.luck.choice([*self.model.periods, self._id()]),
            self.luck.choice(tuple(PeriodStatus)),
            self.luck.choice(tuple(LatePolicy)),
            {},
        )

    # ---- what commands name

    def _id(self) -> UUID:
        self.names += 1
        return UUID(int=self.names)

    def _account(self) -> UUID:
        known = list(self.model.accounts)
        return self.luck.choice(known) if self.luck.random() < 0.98 else self._id()

    def _currency(self, account_id: UUID) -> str:
        found = self.model.accounts.get(account_id)
        return "USD" if found is None else found.currency

    def _alike(self, account_id: UUID, *others: UUID) -> UUID:
        """Another account of the same currency, and none of `others`, most of the time."""
        if self.luck.random() < 0.05:
            return self._account()
        wanted = self._currency(account_id)
        return self.luck.choice(
            [
                one
                for one, book in self.model.accounts.items()
                if book.currency == wanted and one not in (account_id, *others)
            ]
            or [account_id]
        )

    def _two(self) -> tuple[UUID, UUID]:
        one = self._account()
        return one, self._alike(one)

    def _hold(self) -> UUID:
        still_open = [one for one, hold in self.model.holds.items() if hold.is_open]
        known = still_open if self.luck.random() < 0.85 else list(self.model.holds)
        return self.luck.choice(known) if known else self._id()

    def _effective_at(self) -> datetime | None:
        if self.luck.random() < 0.6:
            return None
        return self.now - timedelta(hours=self.luck.randint(-1, 120))

    def _later(self) -> datetime | None:
        if self.luck.random() < 0.3:
            return None
        return self.now + timedelta(seconds=self.luck.choice((-5, 0, 2, 5_000, 90_000, 900_000)))

    def _conditions(self, account_id: UUID) -> tuple[asked.Condition, ...]:
        if self.luck.random() < 0.93:
            return ()
        position = self.positions.get(account_id, 0) + self.luck.choice((0, 0, 1))
        expected = self.luck.choice((None, position))
        balance_min = self.luck.choice((None, "0", "-100", "20"))
        return (asked.Condition(account_id, expected, balance_min),)

    def _name_originals(self, command: asked.Command) -> None:
        """Show the rules the transactions that the command names, as the log has them."""
        self.state.originals = {}
        for entry in self.entries:
            if entry.entry_id in command.needs.transactions and entry.body.legs:
                self.state.originals[entry.entry_id] = _original(entry, self.state.accounts)


def _original(entry: Entry, accounts: dict[UUID, Account]) -> Original:
    lines = tuple(
        Line(*leg, accounts[leg.account_id].currency, accounts[leg.account_id].scale)
        for leg in entry.body.legs
    )
    return Original(entry.entry_id, entry.kind, entry.effective_at, lines)


def _facts(state: State) -> tuple[object, ...]:
    """What a replay must give again: all but what was looked up for one command."""
    return state.last_seq, state.accounts, state.holds, state.reversed, state.periods, state.codes

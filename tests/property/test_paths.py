"""Whichever way commands are decided, alone or together, by memory or under the lock: alike."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_service.domain.batch import Decided, Declined, Group, Posted, Reused, decide_group
from ledger_service.domain.commands import Asked, Key, OpenAccount, Transfer
from ledger_service.domain.model import Account, AccountFacts, AccountType
from ledger_service.domain.state import State
from ledger_service.processor import CommandProcessor
from ledger_service.projections.verifier import verify
from ledger_service.tables import MAIN_LEDGER_ID
from tests.postgres import TestDatabases

NOON = datetime(2025, 7, 13, 12, tzinfo=UTC)
ACCOUNTS = [UUID(int=number) for number in range(1, 5)]
KEYS = [Key(bytes([number]) * 16, b"") for number in range(1, 7)]


def a_transfer(number: int, source: int, destination: int, amount: int) -> Transfer:
    return Transfer(
        UUID(int=1_000 + number),
        ACCOUNTS[source],
        ACCOUNTS[destination],
        str(amount),
        "JPY",
        True,
        None,
        None,
        {},
    )


@st.composite
def asked_for(draw: st.DrawFn) -> list[Asked]:
    asked = []
    for number in range(draw(st.integers(1, 25))):
        source, destination = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        amount = draw(st.integers(0, 60))
        key = draw(st.none() | st.sampled_from(KEYS))
        if key is not None:
            key = key._replace(fingerprint=bytes([source, destination, amount % 3]) + bytes(13))
            amount = amount % 3  # some requests under one key are the same and some are not
        asked.append(Asked(a_transfer(number, source, destination, amount), key))
    return asked


def fresh() -> Decided:
    held = [Account(AccountFacts(ACCOUNTS[0], "JPY", 0, AccountType.INTERNAL))]
    held += [
        Account(AccountFacts(one, "JPY", 0, AccountType.USER, floor_minor=0), 0, 50, 1)
        for one in ACCOUNTS[1:]
    ]
    return Decided(State(10, {account.account_id: account for account in held}), NOON, {})


@given(asked_for(), st.lists(st.integers(0, 25), max_size=4))
def test_groups_of_any_size_are_decided_as_single_commands_are(
    asked: list[Asked], cuts: list[int]
) -> None:
    alone, together = fresh(), fresh()
    one_by_one = [decide_group(alone, Group((one,)))[0] for one in asked]
    bounds = sorted({0, len(asked), *(cut for cut in cuts if cut < len(asked))})
    in_groups = [
        outcome
        for start, stop in pairwise(bounds)
        for outcome in decide_group(together, Group(asked[start:stop]))
    ]
    assert in_groups == one_by_one
    assert (together.state, together.entries, together.events, together.kept) == (
        alone.state,
        alone.entries,
        alone.events,
        alone.kept,
    )


@given(asked_for(), asked_for())
def test_an_atomic_group_does_all_or_nothing(first: list[Asked], asked: list[Asked]) -> None:
    decided, singly = fresh(), fresh()
    for books in (decided, singly):
        decide_group(books, Group(first))
    before = (decided.state.last_seq, dict(decided.state.accounts), list(decided.entries))
    outcomes = decide_group(decided, Group(asked, is_atomic=True))
    expected = decide_group(singly, Group(asked))
    fails = [place for place, one in enumerate(expected) if not isinstance(one, Posted)]
    if not fails:
        assert outcomes == expected
        assert decided.state == singly.state
        assert (decided.entries, decided.kept) == (singly.entries, singly.kept)
    else:
        (cause,) = outcomes
        assert isinstance(cause, Declined | Reused)
        assert cause.place == fails[0]
        assert before == (decided.state.last_seq, decided.state.accounts, decided.entries)


@pytest.mark.parametrize("seed", range(3))
async def test_two_processors_in_turn_decide_as_one_fold_does(
    databases: TestDatabases, seed: int
) -> None:
    """Each finds the head moved by the other: fast path, lost comparison, safe path, and back."""
    luck = random.Random(seed)
    processors = [processor(databases) for _ in range(2)]
    for one in processors:
        one.start()
    model = Decided(State(0), NOON, {})
    turn = 0
    for number, group in enumerate(groups(luck)):
        if luck.random() < (0.9 if number % 60 < 30 else 0.1):
            turn = 1 - turn
        outcomes = await processors[turn].submit(group)
        assert facts(outcomes) == facts(decide_group(model, group)), f"group {number}"
    for one in processors:
        await one.stop()
    connection = await asyncpg.connect(databases.ledger_url)
    report = await verify(connection, MAIN_LEDGER_ID)
    assert (report.findings, report.entries) == ([], model.state.last_seq)
    assert await connection.fetchval("SELECT count(*) FROM ledger.idempotency") == len(model.kept)
    await connection.close()


def processor(databases: TestDatabases) -> CommandProcessor:
    return CommandProcessor(
        database_url=databases.ledger_url,
        ledger_id=MAIN_LEDGER_ID,
        queue_max=100,
        batch_max=50,
        answer_seconds_max=30,
    )


def groups(luck: random.Random) -> list[Group]:
    opened = [
        OpenAccount(one, "JPY", 0, AccountType.USER, None if place == 0 else "0", {})
        for place, one in enumerate(ACCOUNTS)
    ]
    made = [Group((Asked(command, None),)) for command in opened]
    for number in range(0, 4_800, 40):
        asked = [a_request(luck, number + place) for place in range(luck.choice((1, 1, 1, 2, 30)))]
        made.append(Group(asked, is_atomic=luck.random() < 0.2))
    return made


def a_request(luck: random.Random, number: int) -> Asked:
    source, destination, amount = luck.randrange(4), luck.randrange(4), luck.randrange(20)
    if luck.random() < 0.7:
        return Asked(a_transfer(number, source, destination, amount), None)
    name = luck.randrange(40)
    key = Key(bytes([name]) * 16, bytes([source]) * 16)
    return Asked(a_transfer(number, source, (source + 1) % 4, 1 + source), key)


def facts(outcomes: Sequence[Any]) -> list[Any]:
    """What outcomes say, but for the instants, which are the processor's own."""
    said: list[Any] = []
    for outcome in outcomes:
        if isinstance(outcome, Posted):
            entry = (outcome.entry.seq, outcome.entry.entry_id, outcome.entry.body)
            said.append((entry, outcome.events, outcome.is_replayed))
        else:
            said.append(outcome)
    return said

"""The rows that a replay makes are those of the tables, column by column."""

from uuid import UUID

import pytest

from ledger_service.domain.entries import AccountOpened, Entry, Transferred
from ledger_service.projections.compare import (
    ACCOUNTS,
    BALANCES,
    PROJECTIONS,
    Difference,
    Projection,
    Replay,
)
from ledger_service.tables import metadata
from tests.unit.ledger.builders import ALICE, BOB, NOON, an_account

NOON_ID = UUID(int=77)


def test_every_projection_of_the_tables_is_compared() -> None:
    projected = {
        table.name
        for table in metadata.tables.values()
        if (table.comment or "").startswith("projection")
    }
    assert projected | {"reversals"} == {one.table for one in PROJECTIONS}


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: one.table)
def test_every_column_is_compared(projection: Projection) -> None:
    table = metadata.tables[f"ledger.{projection.table}"]
    assert set(projection.columns) | {"ledger_id"} == {column.name for column in table.columns}
    assert projection.columns[: len(projection.keys)] == projection.keys
    assert ("ledger_id", *projection.keys) == tuple(
        column.name for column in table.primary_key.columns
    )
    if projection.json is not None:
        assert projection.columns[projection.json] == "metadata"


def replayed() -> Replay:
    replay = Replay()
    for seq, account_id in enumerate((ALICE, BOB), 1):
        facts = an_account(account_id, floor_minor=None).facts
        opened = AccountOpened(facts, {"name": str(seq)})
        replay.take(Entry(seq, account_id, NOON, NOON, None, opened))
    moved = Transferred(ALICE, BOB, 250, "USD", 2, {})
    replay.take(Entry(3, NOON_ID, NOON, NOON, None, moved))
    return replay


def test_a_replay_makes_a_row_of_each_account_and_its_balance() -> None:
    replay = replayed()
    assert list(map(ACCOUNTS.key_of, replay.rows(ACCOUNTS))) == [(ALICE,), (BOB,)]
    assert replay.row(ACCOUNTS, (BOB,)) == (
        BOB, "USD", 2, "user", "credit", None, None, "available", "none", "open", None, 1,
        2, NOON, {"name": "2"},
    )  # fmt: skip
    assert replay.row(BALANCES, (ALICE,)) == (ALICE, 250, 0, 1, 0, 0)
    assert replay.row(BALANCES, (NOON_ID,)) is None
    assert replay.last is not None
    assert (replay.last.seq, replay.state.last_seq) == (3, 3)


def test_an_entry_that_names_what_is_not_there_changes_nothing() -> None:
    replay = replayed()
    moved = Transferred(ALICE, NOON_ID, 250, "USD", 2, {})
    with pytest.raises(KeyError):
        replay.take(Entry(4, UUID(int=78), NOON, NOON, None, moved))
    assert replay.state.last_seq == 3
    assert replay.row(BALANCES, (ALICE,)) == (ALICE, 250, 0, 1, 0, 0)


def test_a_difference_names_what_is_stored_and_what_replay_makes() -> None:
    row = (ALICE, 250, 0, 1, 0, 0)
    damaged = (ALICE, 251, 0, 1, 0, 9)
    assert str(Difference(BALANCES, (ALICE,), damaged, row)) == (
        f"balances {ALICE}: debits_minor is 251, replay makes it 250; "
        "held_credits_minor is 9, replay makes it 0"
    )
    assert str(Difference(BALANCES, (ALICE,), None, row)).endswith(
        f"is missing; replay makes it {ALICE}, 250, 0, 1, 0, 0"
    )
    assert "no entry of the journal makes it" in str(Difference(BALANCES, (ALICE,), row, None))

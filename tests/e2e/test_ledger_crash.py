"""The crash run in small: killed under load the ledger stays true, and the run can fail."""

from scripts.crash.run import run_crashes
from scripts.crash.schedule import Kind, Plan, strikes
from scripts.crash_run import scratch_folder

PLAN = Plan(cycles=3, seed=83, clients=4, services=1)
CONTROL = Plan(cycles=1, seed=83, clients=6, services=1, is_control=True)


async def test_killed_under_load_the_ledger_loses_and_doubles_nothing() -> None:
    with scratch_folder() as folder:
        result = await run_crashes(PLAN, folder)
    book = result.book
    assert book.findings == []
    assert result.is_as_it_must_be
    assert (book.lost, book.doubled) == (set(), set())
    assert book.tallies["posted"] > 100
    assert book.tallies["replays"] >= len(book.orders)
    assert book.tallies["unknown outcomes"] > 0
    assert sum(result.kills.values()) == PLAN.cycles


async def test_commits_that_do_not_wait_for_the_disk_are_caught_losing() -> None:
    with scratch_folder() as folder:
        result = await run_crashes(CONTROL, folder)
    assert result.book.lost
    assert result.is_as_it_must_be


def test_a_seed_decides_the_whole_schedule_and_strikes_each_kind() -> None:
    plan = Plan(cycles=8, seed=3)
    assert strikes(plan) == strikes(plan)
    assert strikes(plan) != strikes(Plan(cycles=8, seed=4))
    assert {strike.kind for strike in strikes(plan)[:4]} == set(Kind)

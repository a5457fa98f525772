"""Nightly runs: once a night however many copies run, and missed nights are caught up at start."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest

from recon_service.main import create_app
from recon_service.scheduler import Night, Scheduler, business_date, nights_missed
from tests.conftest import Serve
from tests.integration.recon.books import Books, at_noon, july, line, recon_settings
from tests.postgres import TestDatabases

HALF_PAST_TWO = Night(2, 30, ZoneInfo("UTC"))


async def set_nightly_since(databases: TestDatabases, since: datetime) -> None:
    connection = await asyncpg.connect(databases.recon_url)
    try:
        await connection.execute(
            "UPDATE recon.sources SET nightly_since = $1 WHERE name = 'bank_csv'", since
        )
    finally:
        await connection.close()


async def nightly_dates(databases: TestDatabases) -> list[date]:
    connection = await asyncpg.connect(databases.recon_url)
    try:
        rows = await connection.fetch(
            "SELECT business_date FROM recon.runs WHERE trigger = 'nightly' ORDER BY 1"
        )
    finally:
        await connection.close()
    return [row[0] for row in rows]


async def test_one_run_a_night_however_many_copies(
    databases: TestDatabases, serve: Serve, ledger: httpx.AsyncClient, tmp_path: Path
) -> None:
    settings = recon_settings(databases, tmp_path)
    (settings.inbox / "bank_dump.csv").write_text(
        f"txn_id,timestamp,amount,currency,description\nT,{at_noon(date(2025, 7, 13))},1.00,USD,\n",
        encoding="utf-8",
    )
    nights = [datetime(2025, 7, day, 2, 30, tzinfo=UTC) for day in range(10, 16)]
    now = nights[0]
    apps = [create_app(settings, clock=lambda: now, ledger=ledger._transport) for _ in range(3)]
    clients = [await serve(app) for app in apps]
    await set_nightly_since(databases, datetime(2025, 7, 1, tzinfo=UTC))
    schedulers = [Scheduler(app.state.resources) for app in apps]
    for night in nights:
        now = night
        made = await asyncio.gather(*(one.begin_night() for one in schedulers * 2))
        assert sum(map(len, made)) == 1
    assert await nightly_dates(databases) == [date(2025, 7, day) for day in range(9, 15)]
    async with asyncio.timeout(30):
        while True:
            runs = (await clients[0].get("/recon/runs?status=finished")).json()["runs"]
            if len(runs) == len(nights):
                break
    assert {run["attempt"] for run in runs} == {1}


async def test_missed_nights_are_caught_up_at_start(
    databases: TestDatabases, serve: Serve, ledger: httpx.AsyncClient, tmp_path: Path
) -> None:
    settings = recon_settings(databases, tmp_path, nightly=True, catch_up_days_max=3)
    await set_nightly_since(databases, datetime(2025, 7, 1, tzinfo=UTC))
    at = datetime(2025, 7, 10, 8, 0, tzinfo=UTC)
    for _ in range(2):  # a second start finds nothing to do
        await serve(create_app(settings, clock=lambda: at, ledger=ledger._transport))
        assert await nightly_dates(databases) == [date(2025, 7, day) for day in (7, 8, 9)]


async def test_nights_before_the_source_was_nightly_are_not_made_up(
    databases: TestDatabases, serve: Serve, ledger: httpx.AsyncClient, tmp_path: Path
) -> None:
    settings = recon_settings(databases, tmp_path, nightly=True)
    await set_nightly_since(databases, datetime(2025, 7, 9, 12, tzinfo=UTC))
    at = datetime(2025, 7, 10, 8, 0, tzinfo=UTC)
    await serve(create_app(settings, clock=lambda: at, ledger=ledger._transport))
    assert await nightly_dates(databases) == [date(2025, 7, 9)]


async def test_a_night_that_was_missed_is_begun_while_the_service_runs(
    databases: TestDatabases, serve: Serve, ledger: httpx.AsyncClient, tmp_path: Path
) -> None:
    settings = recon_settings(databases, tmp_path)
    await set_nightly_since(databases, datetime(2025, 7, 9, tzinfo=UTC))
    now = datetime(2025, 7, 9, 2, 0, tzinfo=UTC)
    app = create_app(settings, clock=lambda: now, ledger=ledger._transport)
    await serve(app)
    scheduler = Scheduler(app.state.resources, catch_up_every=timedelta(milliseconds=50))
    await scheduler.start()
    try:
        assert await nightly_dates(databases) == []
        now = datetime(2025, 7, 10, 8, 0, tzinfo=UTC)
        async with asyncio.timeout(30):
            while len(await nightly_dates(databases)) < 2:
                pass
    finally:
        scheduler.stop()
    assert await nightly_dates(databases) == [date(2025, 7, 8), date(2025, 7, 9)]


async def test_the_night_leaves_a_run_by_hand_alone_unless_it_failed(books: Books) -> None:
    await set_nightly_since(books.databases, datetime(2025, 7, 1, tzinfo=UTC))
    resources = books.app.state.resources
    name = books.statement("bank_dump.csv", line("TXN-1", "10.00"))
    await books.run(name)
    await books.run(books.statement("wrong.csv", "x", header="not"), july(14), expect="failed")
    asked = await books.ask(name, july(15))
    made = []
    for day in (13, 14, 15, 14):
        at = datetime(2025, 7, day + 1, 2, 30, tzinfo=UTC)
        made.append(await Scheduler(replace(resources, clock=lambda at=at: at)).begin_night())
    assert [len(one) for one in made] == [0, 1, 0, 0]
    assert await nightly_dates(books.databases) == [july(14)]
    for run_id in (asked.json()["run_id"], *made[1]):
        await books.wait(run_id, expect=None)
    assert (await books.summary())["attempt"] == 1


@pytest.mark.parametrize(
    ("now", "days"),
    [
        (datetime(2025, 7, 10, 2, 29, tzinfo=UTC), [7, 8]),
        (datetime(2025, 7, 10, 2, 30, tzinfo=UTC), [8, 9]),
    ],
)
def test_a_night_is_missed_once_its_hour_has_come(now: datetime, days: list[int]) -> None:
    missed = nights_missed(
        HALF_PAST_TWO,
        now=now,
        since=datetime(2025, 1, 1, tzinfo=UTC),
        source_zone=ZoneInfo("UTC"),
        days_max=2,
    )
    assert missed == [date(2025, 7, day) for day in days]


def test_the_night_reconciles_the_day_before_in_the_sources_zone() -> None:
    at = datetime(2025, 7, 10, 22, 30, tzinfo=UTC)
    assert business_date(at, ZoneInfo("UTC")) == date(2025, 7, 9)
    assert business_date(at, ZoneInfo("Europe/Berlin")) == date(2025, 7, 10)


def test_the_clocks_going_forward_costs_no_night() -> None:
    berlin = Night(2, 30, ZoneInfo("Europe/Berlin"))  # 02:30 does not exist on 30 March 2025
    missed = nights_missed(
        berlin,
        now=datetime(2025, 3, 31, 12, tzinfo=UTC),
        since=datetime(2025, 1, 1, tzinfo=UTC),
        source_zone=ZoneInfo("Europe/Berlin"),
        days_max=3,
    )
    assert missed == [date(2025, 3, day) for day in (28, 29, 30)]

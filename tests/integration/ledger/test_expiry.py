"""Holds end at their instant, however late the sweeper is and whichever process comes first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
from structlog.testing import capture_logs

from ledger_service.domain.batch import Declined, Group, Outcome, Posted
from ledger_service.domain.commands import (
    Asked,
    CaptureHold,
    Command,
    IncreaseHold,
    PlaceHold,
    ReleaseHold,
    Transfer,
)
from ledger_service.domain.entries import EntryKind
from ledger_service.domain.model import HoldStatus
from ledger_service.domain.refusals import Refusal
from ledger_service.feed import Feed
from ledger_service.ledgers import Books, Ledgers
from ledger_service.processor import CommandProcessor
from ledger_service.repositories.holds import find_hold, holds_page
from ledger_service.sweeper import Sweeper
from ledger_service.tables import MAIN_LEDGER_ID
from shared.database import Probes, open_database
from shared.ids import new_id
from tests.integration.ledger.calls import open_account, transfer
from tests.integration.ledger.hold_calls import (
    Hand,
    Pair,
    a_processor,
    ask,
    found_wrong,
    guest_and_hotel,
    head,
    placed,
    processor_at,
    shown,
)
from tests.postgres import TestDatabases


async def submit(processor: CommandProcessor, command: Command) -> Outcome:
    (outcome,) = await processor.submit(Group((Asked(command, None),)))
    return outcome


def a_hold(pair: Pair, amount: str, expires_at: datetime) -> PlaceHold:
    source, destination = map(UUID, pair)
    return PlaceHold(new_id(), source, destination, amount, "USD", True, "0", expires_at, None, {})


def a_payment(pair: Pair, amount: str) -> Transfer:
    source, destination = map(UUID, pair)
    return Transfer(new_id(), source, destination, amount, "USD", True, None, None, {})


def tomorrow() -> Hand:
    """A clock that no clock of the service itself can have passed."""
    return Hand(datetime.now(UTC) + timedelta(days=1))


async def place_at(processor: CommandProcessor, pair: Pair, clock: Hand, amount: str) -> UUID:
    """Place a hold that lasts for an hour."""
    outcome = await submit(processor, a_hold(pair, amount, clock() + timedelta(hours=1)))
    assert isinstance(outcome, Posted)
    return outcome.entry.entry_id


async def test_nothing_is_done_to_a_hold_after_its_time_though_no_sweeper_came(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    pair, clock = await guest_and_hotel(ledger), tomorrow()
    async with processor_at(databases, clock) as processor:
        hold_id = await place_at(processor, pair, clock, "60.00")
        clock.pass_by(minutes=59, seconds=59)
        early = await submit(
            processor, CaptureHold(new_id(), hold_id, "1.00", False, None, None, {})
        )
        assert isinstance(early, Posted)
        clock.pass_by(seconds=1)
        later = clock() + timedelta(days=1)
        for command in (
            CaptureHold(new_id(), hold_id, "1.00", False, None, None, {}),
            CaptureHold(new_id(), hold_id, None, True, None, clock() - timedelta(hours=1), {}),
            ReleaseHold(new_id(), hold_id, None, {}),
            IncreaseHold(new_id(), hold_id, "1.00", later, {}),
        ):
            outcome = await submit(processor, command)
            assert isinstance(outcome, Declined)
            assert outcome.refused.refusal is Refusal.HOLD_EXPIRED
            assert outcome.refused.numbers["expires_at"] == clock().isoformat()
    found = await shown(ledger, str(hold_id))
    assert (found["status"], found["captured"], found["released"]) == ("expired", "1.00", "59.00")
    assert [one["kind"] for one in found["history"]] == [
        "hold_placed",
        "hold_captured",
        "hold_expired",
    ]
    assert found["history"][-1]["recorded_at"] == found["expires_at"]
    assert await found_wrong(databases) == []


async def test_what_a_hold_kept_is_free_at_its_instant_in_every_process(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    """The first process remembers the hold; the second one has never heard of it."""
    pair, clock = await guest_and_hotel(ledger), tomorrow()
    async with processor_at(databases, clock) as first, processor_at(databases, clock) as second:
        hold_id = await place_at(first, pair, clock, "60.00")
        assert isinstance(await submit(second, a_payment(pair, "50.00")), Declined)
        clock.pass_by(hours=1)
        paid = await submit(second, a_payment(pair, "100.00"))
        assert isinstance(paid, Posted)
        refused = await submit(first, CaptureHold(new_id(), hold_id, None, True, None, None, {}))
        assert isinstance(refused, Declined)
        assert refused.refused.refusal is Refusal.HOLD_EXPIRED
    history = (await shown(ledger, str(hold_id)))["history"]
    assert [one["seq"] for one in history] == [history[0]["seq"], paid.entry.seq - 1]
    assert await found_wrong(databases) == []


async def test_a_longer_time_counts_in_every_process(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    pair, clock = await guest_and_hotel(ledger), tomorrow()
    async with processor_at(databases, clock) as first, processor_at(databases, clock) as second:
        hold_id = await place_at(first, pair, clock, "60.00")
        until = clock() + timedelta(hours=3)
        longer = IncreaseHold(new_id(), hold_id, "0.01", until, {})
        assert isinstance(await submit(second, longer), Posted)
        clock.pass_by(hours=2)
        for processor in (first, second):
            capture = CaptureHold(new_id(), hold_id, "1.00", False, None, None, {})
            assert isinstance(await submit(processor, capture), Posted)
        clock.pass_by(hours=1)
        assert isinstance(await submit(first, a_payment(pair, "98.00")), Posted)
    assert (await shown(ledger, str(hold_id)))["status"] == "expired"
    assert await found_wrong(databases) == []


async def test_all_that_is_due_ends_before_the_first_command_of_a_batch(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    pair, clock = await guest_and_hotel(ledger), tomorrow()
    async with processor_at(databases, clock) as processor:
        held = [await place_at(processor, pair, clock, "1.00") for _ in range(100)]
        clock.pass_by(hours=1)
        group = Group(
            (Asked(a_payment(pair, "100.00"), None), Asked(a_payment(pair, "0.01"), None))
        )
        outcomes = await processor.submit(group)
    assert [type(outcome) for outcome in outcomes] == [Posted, Declined]
    page = (await ledger.get("/ledger/hold/", params={"status": "expired", "limit": 500})).json()
    assert {one["hold_id"] for one in page["holds"]} == set(map(str, held))
    assert await head(ledger) == 4 + 200 + 1
    assert await found_wrong(databases) == []


async def test_a_read_shows_what_is_due_as_expired_before_its_entry(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    pair, clock = await guest_and_hotel(ledger), tomorrow()
    async with processor_at(databases, clock) as processor:
        hold_id = await place_at(processor, pair, clock, "60.00")
    database = open_database(databases.ledger_url, application_name="test reads")

    async def listed(status: HoldStatus | None, now: datetime) -> list[HoldStatus]:
        for account_id in (None, *map(UUID, pair)):
            rows, _ = await holds_page(
                database,
                MAIN_LEDGER_ID,
                now=now,
                account_id=account_id,
                status=status,
                after=None,
                limit=10,
            )
        return [row.hold.status for row in rows]

    try:
        for span, status in ((3599, HoldStatus.OPEN), (3600, HoldStatus.EXPIRED)):
            now = clock() + timedelta(seconds=span)
            found = await find_hold(database, MAIN_LEDGER_ID, hold_id, now=now)
            assert found is not None
            assert [entry.kind for entry in found.entries] == [EntryKind.HOLD_PLACED]
            assert found.now.hold.status is status
            assert found.now.hold.remaining_minor == (6_000 if span < 3600 else 0)
            assert await listed(None, now) == [status]
            assert await listed(status, now) == [status]
            other = HoldStatus.OPEN if status is HoldStatus.EXPIRED else HoldStatus.EXPIRED
            assert await listed(other, now) == []
    finally:
        await database.dispose()


@asynccontextmanager
async def ledgers_at(
    databases: TestDatabases, clock: Hand
) -> AsyncIterator[tuple[Probes, Ledgers]]:
    """All ledgers of another process, whose clock the test moves."""
    url = databases.ledger_url
    database = open_database(url, application_name="test reads")
    probes = Probes(url, application_name="test probes", statement_timeout_ms=5_000)

    def open_books(ledger_id: int, name: str) -> Books:
        processor = a_processor(databases, clock, ledger_id)
        return Books(ledger_id, name, processor, Feed(database, ledger_id))

    ledgers = Ledgers(probes, open_books)
    await probes.start()
    ledgers.start()
    try:
        yield probes, ledgers
    finally:
        await ledgers.stop()
        await probes.stop()
        await database.dispose()


async def test_the_sweeper_enters_what_is_due_in_every_ledger_and_nothing_else(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    assert (await ledger.put("/ledger/ledger/berlin")).status_code == 201
    body = {"currency": "USD", "type": "internal"}
    berlin = {"ledger": "berlin"}
    till, safe = [
        (await ledger.post("/ledger/account/", params=berlin, json=body)).json()["account_id"]
        for _ in range(2)
    ]
    pair, clock = await guest_and_hotel(ledger), tomorrow()
    ends_at = (clock() + timedelta(hours=1)).isoformat()
    there = await placed(ledger, (till, safe), "1.00", expires_at=ends_at)
    here = await placed(ledger, pair, "2.00", expires_at=ends_at)
    lasting = await placed(ledger, pair, "3.00")
    async with ledgers_at(databases, clock) as (probes, ledgers):
        sweeper = Sweeper(probes, ledgers, clock=clock)
        seq = await head(ledger)
        assert await sweeper.sweep() == []
        assert await head(ledger) == seq
        clock.pass_by(hours=1)
        assert await sweeper.sweep() == ["main", "berlin"]
        assert await head(ledger) == seq + 1
        assert await sweeper.sweep() == []
        assert await head(ledger) == seq + 1
    (entered,) = (await shown(ledger, here))["history"][1:]
    assert (entered["kind"], entered["amount"], entered["remaining"]) == (
        "hold_expired",
        "2.00",
        "0.00",
    )
    found = (await ledger.get(f"/ledger/hold/{there}", params=berlin)).json()
    assert [one["kind"] for one in found["history"]] == ["hold_placed", "hold_expired"]
    assert (await shown(ledger, lasting))["status"] == "open"
    refused = await ask(ledger, here, "capture")
    assert (refused.status_code, refused.json()["code"]) == (422, "hold_expired")
    assert await found_wrong(databases) == []


async def test_the_sweeper_goes_on_by_itself_when_the_database_comes_and_goes(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    """It looks again and again, whatever a look finds, and says nothing of a database away."""
    looks = asyncio.Queue[None]()

    class Watched(Hand):
        def __call__(self) -> datetime:
            looks.put_nowait(None)
            return super().__call__()

    away = Probes(
        "postgresql://nobody@127.0.0.1:9/none",
        application_name="test probes",
        statement_timeout_ms=1_000,
    )
    await away.start()
    async with ledgers_at(databases, tomorrow()) as (_, ledgers):
        with capture_logs() as logs:
            sweeper = Sweeper(
                away, ledgers, interval_seconds=0.001, clock=Watched(datetime.now(UTC))
            )
            sweeper.start()
            for _ in range(3):
                await asyncio.wait_for(looks.get(), 20)
            await sweeper.stop()
    await away.stop()
    assert [one for one in logs if one["log_level"] not in ("debug", "info")] == []


async def test_the_service_sweeps(ledger: httpx.AsyncClient, databases: TestDatabases) -> None:
    """No command comes: nothing but the sweeper can make the entry."""
    pair, clock = await guest_and_hotel(ledger), Hand(datetime.now(UTC))
    async with processor_at(databases, clock) as processor:
        outcome = await submit(processor, a_hold(pair, "1.00", clock() + timedelta(microseconds=1)))
    assert isinstance(outcome, Posted)
    async with asyncio.timeout(20):
        while await head(ledger) == outcome.entry.seq:
            pass
    history = (await shown(ledger, str(outcome.entry.entry_id)))["history"]
    assert [one["kind"] for one in history] == ["hold_placed", "hold_expired"]


async def test_an_account_keeps_nothing_for_holds_that_have_ended(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    pair, clock = await guest_and_hotel(ledger), tomorrow()
    bar = await open_account(ledger)
    async with processor_at(databases, clock) as processor:
        for amount in ("30.00", "40.00"):
            await place_at(processor, pair, clock, amount)
        clock.pass_by(minutes=30)
        kept = await place_at(processor, (pair[0], bar), clock, "20.00")
        clock.pass_by(minutes=30)
        assert await processor.submit(Group(())) == []
    refused = (await transfer(ledger, *pair, "80.01")).json()
    assert (refused["available"], refused["held"]) == ("80.00", "20.00")
    assert (await transfer(ledger, *pair, "80.00")).status_code == 201
    assert (await ask(ledger, str(kept), "capture")).status_code == 201

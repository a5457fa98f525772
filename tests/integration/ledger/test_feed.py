"""The feed: followers get every event once and in order, whoever commits and however they read."""

import asyncio
import json
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from ledger_service.feed import Feed
from ledger_service.repositories.events import Position
from ledger_service.tables import MAIN_LEDGER_ID
from shared.database import open_database
from shared.errors import QueueFull
from tests.integration.ledger.calls import open_account, transfer
from tests.live import live_service
from tests.postgres import TestDatabases

TRANSFERS_EACH = 60
FOLLOWERS = 3
MANY = """
INSERT INTO ledger.journal
SELECT ledger_id, seq + n, gen_random_uuid(), kind, effective_at, recorded_at, reference, payload
FROM ledger.journal, generate_series(1, 40000) AS n WHERE kind = 'transfer';
INSERT INTO ledger.events
SELECT ledger_id, seq + n, line, account_id, gen_random_uuid(), direction, amount_minor,
       balance_after_minor, position + n
FROM ledger.events, generate_series(1, 40000) AS n;
UPDATE ledger.ledgers SET last_seq = last_seq + 40000;
"""


def messages(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the id and document of each whole message."""
    found = []
    for block in text.split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if "data" in lines:
            assert lines["event"] == "event"
            found.append((lines["id"], json.loads(lines["data"])))
    return found


async def test_a_follower_that_comes_and_goes_sees_what_two_processes_commit_once_and_in_order(
    databases: TestDatabases, tmp_path: Path
) -> None:
    chance = random.Random(7)
    environment = {"LEDGER_DATABASE_URL": databases.ledger_url, "KAIRON_DATA_DIR": str(tmp_path)}
    with (
        live_service("ledger_service.main", environment, tmp_path / "one") as (one, _),
        live_service("ledger_service.main", environment, tmp_path / "two") as (two, _),
    ):
        async with (
            httpx.AsyncClient(base_url=one, timeout=30) as first,
            httpx.AsyncClient(base_url=two, timeout=30) as second,
        ):
            source, destination = await open_account(first, "internal"), await open_account(first)

            async def post(client: httpx.AsyncClient) -> None:
                for _ in range(TRANSFERS_EACH):
                    answer = await transfer(client, source, destination, "1.00")
                    assert answer.status_code == 201, answer.text

            writers = [asyncio.create_task(post(client)) for client in (first, second) * 2]
            seen: list[tuple[str, dict[str, Any]]] = []
            async with asyncio.timeout(60):
                while missing := 4 * TRANSFERS_EACH * 2 - len(seen):
                    last = seen[-1][0] if seen else None
                    wanted = min(missing, chance.randint(1, 60))
                    seen += await _follow_a_while(one, last, wanted)
            await asyncio.gather(*writers)
            stored = await _events(databases)
            assert [key for key, _ in seen] == stored
            listed = (await first.get("/ledger/events/", params={"limit": 500})).json()["events"]
            assert [document for _, document in seen] == listed


async def _follow_a_while(url: str, last: str | None, events_max: int) -> list[Any]:
    """Follow until some events came, drop the connection, keep only whole messages."""
    headers = {} if last is None else {"Last-Event-ID": last}
    text = ""
    async with (
        httpx.AsyncClient(base_url=url, timeout=30) as client,
        client.stream("GET", "/ledger/events/?follow=true", headers=headers) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for piece in answer.aiter_text():
            text += piece
            if text.count("\ndata: ") >= events_max:
                break
    return messages(text)[:events_max]


async def test_sigterm_ends_every_follower_and_the_process_at_once(
    databases: TestDatabases, tmp_path: Path
) -> None:
    environment = {"LEDGER_DATABASE_URL": databases.ledger_url, "KAIRON_DATA_DIR": str(tmp_path)}
    with live_service("ledger_service.main", environment, tmp_path / "log") as (url, process):
        async with (
            httpx.AsyncClient(base_url=url, timeout=30) as client,
            asyncio.TaskGroup() as group,
        ):
            begun = [asyncio.Event() for _ in range(FOLLOWERS)]
            ends = [group.create_task(_follow_to_the_end(client, event)) for event in begun]
            for event in begun:
                await event.wait()
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait)
            seconds = time.monotonic() - started
        assert seconds < 3, (tmp_path / "log").read_text()
        assert [end.result().startswith("retry: 1000\n\n") for end in ends] == [True] * FOLLOWERS


async def _follow_to_the_end(client: httpx.AsyncClient, begun: asyncio.Event) -> str:
    text = ""
    async with client.stream("GET", "/ledger/events/?follow=true") as answer:
        async for piece in answer.aiter_text():
            text += piece
            begun.set()
    return text


async def test_a_follower_that_never_reads_holds_up_nobody(
    databases: TestDatabases, tmp_path: Path
) -> None:
    environment = {
        "LEDGER_DATABASE_URL": databases.ledger_url,
        "LEDGER_POOL_SIZE": "1",
        "KAIRON_DATA_DIR": str(tmp_path),
    }
    with live_service("ledger_service.main", environment, tmp_path / "log") as (url, _):
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            source, destination = await open_account(client, "internal"), await open_account(client)
            await transfer(client, source, destination, "1.00")
            admin = await asyncpg.connect(databases.admin_url)
            await admin.execute(MANY)
            async with client.stream("GET", "/ledger/events/?follow=true") as idle:
                assert idle.status_code == 200
                seq = (await client.get("/ledger/head")).json()["seq"]
                answer = await client.get(
                    "/ledger/events/", params={"follow": True, "up_to_seq": seq}
                )
                assert len(messages(answer.text)) == 80_002
                assert (await client.get(f"/ledger/account/{source}/balance")).status_code == 200
                waiting = await admin.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND application_name LIKE 'kairon%' AND state <> 'idle'"
                )
                assert waiting == 0
            await admin.close()


@pytest.fixture
async def history(ledger: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Events of three transfers between three accounts."""
    source, *others = [await open_account(ledger, "internal") for _ in range(3)]
    for destination in (*others, others[0]):
        answer = await transfer(ledger, source, destination, "1.00")
        assert answer.status_code == 201
    events: list[dict[str, Any]] = (await ledger.get("/ledger/events/")).json()["events"]
    return events


async def followed(
    ledger: httpx.AsyncClient, history: list[dict[str, Any]], last: str | None = None, **query: Any
) -> list[dict[str, Any]]:
    query = {"follow": True, "up_to_seq": history[-1]["seq"]} | query
    headers = {} if last is None else {"Last-Event-ID": last}
    answer = await ledger.get("/ledger/events/", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return [document for _, document in messages(answer.text)]


async def test_it_begins_after_the_last_id_or_after_seq_and_ends_at_up_to_seq(
    ledger: httpx.AsyncClient, history: list[dict[str, Any]]
) -> None:
    seq = history[2]["seq"]
    assert await followed(ledger, history) == history
    assert await followed(ledger, history, after_seq=seq) == history[4:]
    assert await followed(ledger, history, last=f"{seq}") == history[4:]
    assert await followed(ledger, history, last=f"{seq}-1") == history[3:]
    assert await followed(ledger, history, last=f"{seq}-1", after_seq=0) == history[3:]
    assert await followed(ledger, history, up_to_seq=seq) == history[:4]
    headers, last = {"Last-Event-ID": f"{seq}-2"}, {"follow": True, "up_to_seq": seq}
    assert (await ledger.get("/ledger/events/", params=last, headers=headers)).status_code == 204
    one = history[1]["account_id"]
    assert await followed(ledger, history, account_id=one) == [history[1], history[5]]


@pytest.mark.parametrize("last", ["x", "1-", "-1", "1-2-3", "9223372036854775808", "1-32768", "¹"])
async def test_an_id_that_is_none_of_ours_is_refused(ledger: httpx.AsyncClient, last: str) -> None:
    headers = [(b"Last-Event-ID", last.encode("latin-1"))]
    answer = await ledger.get("/ledger/events/?follow=true", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_follower_is_not_filtered_by_time_or_reference(ledger: httpx.AsyncClient) -> None:
    for name, value in (("reference", "A"), ("effective_to", "2025-01-01T00:00:00Z")):
        answer = await ledger.get("/ledger/events/", params={"follow": True, name: value})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@asynccontextmanager
async def feed_of(databases: TestDatabases, **options: Any) -> AsyncIterator[Feed]:
    database = open_database(databases.ledger_url, application_name="kairon test", pool_size=2)
    yield Feed(database, MAIN_LEDGER_ID, **options)
    await database.dispose()


def follow(feed: Feed) -> Any:
    return aclosing(feed.follow(account_id=None, after=Position(0, 0), up_to_seq=None))


async def test_more_followers_than_allowed_are_refused_until_one_leaves(
    databases: TestDatabases,
) -> None:
    async with feed_of(databases, followers_max=1) as feed:
        async with follow(feed) as one:
            assert await anext(one) == []
            async with follow(feed) as other:
                with pytest.raises(QueueFull):
                    await anext(other)
        async with follow(feed) as later:
            assert await anext(later) == []


async def test_a_quiet_ledger_is_heard_of_and_a_stopped_feed_ends(
    databases: TestDatabases,
) -> None:
    async with feed_of(databases, heartbeat_seconds=0.01) as feed, follow(feed) as pages:
        assert [await anext(pages) for _ in range(3)] == [[], [], []]
        feed.stop()
        assert [page async for page in pages] == []
        with pytest.raises(QueueFull):
            await anext(follow(feed).thing)


async def _events(databases: TestDatabases) -> list[str]:
    admin = await asyncpg.connect(databases.admin_url)
    rows = await admin.fetch("SELECT seq, line FROM ledger.events ORDER BY seq, line")
    await admin.close()
    return [f"{row['seq']}-{row['line']}" for row in rows]

"""SIGTERM under load answers all accepted work, and a full queue accepts nothing it cannot do."""

import asyncio
import itertools
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path

import asyncpg

from scripts.lean_http import AnswerLost, LeanClient, NotSent, Response
from tests.e2e.ledger_load import LEDGER, check_books, journal, open_account, transfer
from tests.live import free_port, live_service
from tests.postgres import TestDatabases

CLIENTS = 24
ANSWERS_BEFORE_END = 200
EXIT_SECONDS_MAX = 10
QUEUE_MAX = 2
WAITING = 12


async def test_sigterm_under_load_answers_what_was_accepted_and_exits(
    databases: TestDatabases, tmp_path: Path
) -> None:
    environment = {"LEDGER_DATABASE_URL": databases.ledger_url, "KAIRON_DATA_DIR": str(tmp_path)}
    port, log = free_port(), tmp_path / "log"
    answers: dict[str, Response] = {}
    unanswered: set[str] = set()
    bodies: dict[str, dict[str, str]] = {}
    under_load = asyncio.Event()
    with live_service(LEDGER, environment, log, port) as (_, process):
        with closing(LeanClient(port)) as client:
            funding, user = await open_account(client, "internal"), await open_account(client)

        async def pay(number: int) -> None:
            with closing(LeanClient(port)) as client:
                for key in (f"{number}/{count}" for count in itertools.count()):
                    bodies[key] = transfer(funding, user, "1.00", key)
                    try:
                        answers[key] = await client.post("/ledger/transfer/", bodies[key], key=key)
                    except NotSent:
                        return
                    except AnswerLost:  # allowed only where the server never read the request
                        unanswered.add(key)
                        return
                    if len(answers) >= ANSWERS_BEFORE_END:
                        under_load.set()

        paying = [asyncio.create_task(pay(number)) for number in range(CLIENTS)]
        await under_load.wait()
        asked_at = time.monotonic()
        process.send_signal(signal.SIGTERM)
        await asyncio.gather(*paying)
        code = await asyncio.to_thread(process.wait, EXIT_SECONDS_MAX)
    assert time.monotonic() - asked_at < EXIT_SECONDS_MAX
    assert code in (0, -signal.SIGTERM)
    assert "Traceback" not in log.read_text()
    assert {answer.status for answer in answers.values()} <= {201, 503}
    accepted = {key for key, answer in answers.items() if answer.status == 201}
    assert len(accepted) >= ANSWERS_BEFORE_END - CLIENTS
    assert set(await journal(databases.ledger_url)) == accepted, sorted(unanswered)
    with live_service(LEDGER, environment, log, port), closing(LeanClient(port)) as client:
        for key in accepted:
            again = await client.post("/ledger/transfer/", bodies[key], key=key)
            assert again.body == answers[key].body
            assert again.headers["idempotency-replayed"] == "true"
    await check_books(databases.ledger_url)


async def test_sigterm_while_commands_wait_for_the_ledger_commits_and_answers_them_all(
    databases: TestDatabases, tmp_path: Path
) -> None:
    environment = {"LEDGER_DATABASE_URL": databases.ledger_url, "KAIRON_DATA_DIR": str(tmp_path)}
    port = free_port()
    with (
        live_service(LEDGER, environment, tmp_path / "log", port) as (_, process),
        closing(LeanClient(port)) as client,
        ExitStack() as opened,
    ):
        funding, user = await open_account(client, "internal"), await open_account(client)
        payers = [opened.enter_context(closing(LeanClient(port))) for _ in range(WAITING)]
        await asyncio.gather(*(payer.get("/livez") for payer in payers))
        async with _held_head(databases.ledger_url):
            paying = [
                asyncio.create_task(
                    payer.post("/ledger/transfer/", transfer(funding, user, "1.00", f"{number}"))
                )
                for number, payer in enumerate(payers)
            ]
            for _ in range(
                3
            ):  # whatever was sent before these has been read when they are answered
                await client.get("/livez")
            process.send_signal(signal.SIGTERM)
            await _refusal_to_connect(port)
            assert not any(task.done() for task in paying)
        answers = await asyncio.gather(*paying)
        code = await asyncio.to_thread(process.wait, EXIT_SECONDS_MAX)
    assert {answer.status for answer in answers} == {201}
    assert len(await journal(databases.ledger_url)) == WAITING
    assert code in (0, -signal.SIGTERM)
    await check_books(databases.ledger_url)


async def test_a_full_queue_turns_away_what_it_cannot_hold_and_writes_none_of_it(
    databases: TestDatabases, tmp_path: Path
) -> None:
    environment = {
        "LEDGER_DATABASE_URL": databases.ledger_url,
        "KAIRON_DATA_DIR": str(tmp_path),
        "LEDGER_QUEUE_MAX": str(QUEUE_MAX),
        "LEDGER_BATCH_MAX": "1",
    }
    with live_service(LEDGER, environment, tmp_path / "log") as (url, _):
        port = int(url.rpartition(":")[2])
        with closing(LeanClient(port)) as client:
            funding, user = await open_account(client, "internal"), await open_account(client)
        answers: dict[str, Response] = {}

        async def pay(key: str) -> None:
            body = transfer(funding, user, "1.00", key)
            with closing(LeanClient(port)) as client:
                answers[key] = await client.post("/ledger/transfer/", body, key=key)

        async with _held_head(databases.ledger_url) as other_writer:
            paying = [asyncio.create_task(pay("0"))]
            await _somebody_waits(other_writer)  # so it is in the committer's hands
            paying += [asyncio.create_task(pay(f"{number}")) for number in range(1, WAITING)]
            while len(answers) < WAITING - QUEUE_MAX - 1:
                await asyncio.wait(
                    [task for task in paying if not task.done()],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            turned_away = dict(answers)
        await asyncio.gather(*paying)
    assert {answer.status for answer in turned_away.values()} == {503}
    for answer in turned_away.values():
        assert answer.json()["code"] == "queue_full"
        assert answer.headers["retry-after"] == "1"
    assert Counter(answer.status for answer in answers.values()) == {
        201: QUEUE_MAX + 1,
        503: WAITING - QUEUE_MAX - 1,
    }
    assert set(await journal(databases.ledger_url)) == set(answers) - set(turned_away)
    await check_books(databases.ledger_url)


@asynccontextmanager
async def _held_head(ledger_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Hold the ledger as another writer would: nobody commits meanwhile."""
    other_writer = await asyncpg.connect(ledger_url)
    try:
        async with other_writer.transaction():
            await other_writer.execute("SELECT 1 FROM ledger.ledgers FOR UPDATE")
            yield other_writer
    finally:
        await other_writer.close()


async def _somebody_waits(other_writer: asyncpg.Connection) -> None:
    """Return once another session of this database waits for a lock."""
    question = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    while True:
        if await other_writer.fetchval(question):
            return


async def _refusal_to_connect(port: int) -> None:
    """Return once nobody listens on the port any more."""
    while True:
        try:
            with closing(LeanClient(port)) as client:
                await client.get("/livez")
        except NotSent:
            return
        except AnswerLost:
            continue

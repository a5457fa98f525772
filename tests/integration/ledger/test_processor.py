"""The command processor under pressure: competition, full queues, lost connections, shutdown."""

import asyncio
from collections import Counter

import asyncpg
import httpx
import pytest

from ledger_service.main import create_app
from ledger_service.settings import LedgerSettings
from tests.conftest import Serve
from tests.integration.ledger.calls import balance, open_account, transfer
from tests.integration.ledger.wire import DeafWire
from tests.postgres import TestDatabases


async def test_sixteen_clients_spend_what_is_there_and_not_a_unit_more(
    ledger: httpx.AsyncClient, databases: TestDatabases, serve: Serve
) -> None:
    second = await serve(create_app(LedgerSettings(database_url=databases.ledger_url)))
    funding, purse = await open_account(ledger, "internal"), await open_account(ledger)
    await transfer(ledger, funding, purse, "100.00")

    async def spend(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await transfer(client, purse, funding, "1.00") for _ in range(100)]

    answers = await asyncio.gather(*(spend(client) for client in (ledger, second) * 8))
    statuses = Counter(answer.status_code for batch in answers for answer in batch)
    assert statuses == {201: 100, 422: 1_500}
    assert await balance(ledger, purse) == "0.00"
    assert await balance(ledger, funding) == "0.00"


async def test_a_refusal_in_a_batch_touches_no_neighbour(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    answers = await asyncio.gather(
        *(
            transfer(ledger, funding, user, "1.00" if number % 3 else "1.001")
            for number in range(60)
        )
    )
    assert Counter(answer.status_code for answer in answers) == {201: 40, 422: 20}
    assert await balance(ledger, user) == "40.00"


async def test_history_has_no_gaps_and_positions_count_on(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    await asyncio.gather(*(transfer(ledger, funding, user, "1.00") for _ in range(80)))
    rows = (await ledger.get("/ledger/events/", params={"limit": 500})).json()["events"]
    assert [row["seq"] for row in rows[::2]] == list(range(3, 83))
    mine = [row for row in rows if row["account_id"] == user]
    assert [row["position"] for row in mine] == list(range(1, 81))
    assert [row["balance_after"] for row in mine] == [f"{number}.00" for number in range(1, 81)]


async def test_a_full_queue_answers_503_and_accepts_nothing(
    databases: TestDatabases, serve: Serve
) -> None:
    settings = LedgerSettings(database_url=databases.ledger_url, queue_max=1, batch_max=1)
    client = await serve(create_app(settings))
    funding, user = await open_account(client, "internal"), await open_account(client)
    answers = await asyncio.gather(*(transfer(client, funding, user, "1.00") for _ in range(20)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {201, 503}
    for answer in answers:
        if answer.status_code == 503:
            assert answer.json()["code"] == "queue_full"
            assert answer.headers["Retry-After"] == "1"
    assert await balance(client, user) == f"{statuses[201]}.00"


async def test_a_lost_connection_costs_nothing_that_was_acknowledged(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    admin = await asyncpg.connect(databases.admin_url)
    answers: dict[str, httpx.Response] = {}

    async def pay(number: int) -> None:
        key = f"pay-{number}"
        for _ in range(50):
            answers[key] = await transfer(ledger, funding, user, "1.00", key=key)
            if answers[key].status_code == 201:
                return

    async def cut() -> None:
        for _ in range(8):
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name LIKE '%committer'"
            )

    for first in range(0, 80, 20):
        await asyncio.gather(cut(), *(pay(number) for number in range(first, first + 20)))
    await admin.close()
    assert Counter(answer.status_code for answer in answers.values()) == {201: 80}
    assert await balance(ledger, user) == "80.00"
    assert (await ledger.get("/ledger/head")).json()["seq"] == 82


async def test_an_answer_lost_at_commit_is_looked_up_not_guessed(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    """A deferred trigger ends the connection from inside COMMIT: nothing landed, so it says so."""
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    admin = await asyncpg.connect(databases.admin_url)
    await admin.execute(
        """
        CREATE FUNCTION public.end_session() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER end_session AFTER INSERT ON ledger.journal
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.end_session();
        """
    )
    answer = await transfer(ledger, funding, user, "1.00", key="pay-1")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    await admin.execute("DROP TRIGGER end_session ON ledger.journal")
    assert await admin.fetchval("SELECT epoch FROM ledger.ledgers") == 1
    await admin.close()
    assert (await transfer(ledger, funding, user, "1.00", key="pay-1")).status_code == 201
    assert await balance(ledger, user) == "1.00"


@pytest.mark.parametrize("payments", [1, 300], ids=["one statement", "COPY and COMMIT"])
async def test_a_commit_that_landed_is_found_though_its_answer_was_lost(
    databases: TestDatabases, payments: int
) -> None:
    """A wire that swallows what PostgreSQL says to the commit, and then breaks."""
    async with DeafWire(databases.ledger_url) as wire:
        app = create_app(LedgerSettings(database_url=wire.url))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://ledger") as client,
        ):
            funding, user = await open_account(client, "internal"), await open_account(client)
            wire.break_at = b"" if payments == 1 else b"COMMIT;"
            answers = await asyncio.gather(
                *(transfer(client, funding, user, "1.00") for _ in range(payments))
            )
            assert wire.break_at is None, "no commit was cut"
            assert Counter(answer.status_code for answer in answers) == {201: payments}
            assert await balance(client, user) == f"{payments}.00"
    connection = await asyncpg.connect(databases.admin_url)
    assert await connection.fetchval("SELECT epoch FROM ledger.ledgers") == 1
    await connection.close()


async def test_shutdown_answers_everything_that_was_accepted(databases: TestDatabases) -> None:
    app = create_app(LedgerSettings(database_url=databases.ledger_url, batch_max=3))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ledger") as client:
        async with app.router.lifespan_context(app):
            funding, user = await open_account(client, "internal"), await open_account(client)
            paying = [
                asyncio.create_task(transfer(client, funding, user, "1.00")) for _ in range(30)
            ]
            await asyncio.wait(paying, return_when=asyncio.FIRST_COMPLETED)
        answers = await asyncio.gather(*paying)
    statuses = Counter(answer.status_code for answer in answers)
    connection = await asyncpg.connect(databases.admin_url)
    credited = await connection.fetchval(
        "SELECT count(*) FROM ledger.events WHERE direction = 'credit'"
    )
    await connection.close()
    assert set(statuses) <= {201, 503}
    assert credited == statuses[201] > 0

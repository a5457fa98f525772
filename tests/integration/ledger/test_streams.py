"""Readers of streams: those that leave, those that do not read, and a server that went away."""

import asyncio
import socket
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.integration.ledger.calls import balance, open_account, transfer
from tests.live import live_service
from tests.postgres import TestDatabases

COPIES_OF_THE_HISTORY = """
INSERT INTO ledger.journal
SELECT ledger_id, seq + n * 1000, gen_random_uuid(), kind, effective_at, recorded_at, reference,
       payload
FROM ledger.journal, generate_series(1, 40000) AS n WHERE kind = 'transfer'
"""
STREAMS_MAX = 3


async def test_readers_that_leave_or_do_not_read_hold_up_nobody(
    databases: TestDatabases, tmp_path: Path
) -> None:
    environment = {
        "LEDGER_DATABASE_URL": databases.ledger_url,
        "LEDGER_STREAMS_MAX": str(STREAMS_MAX),
        "LEDGER_POOL_SIZE": "2",
        "KAIRON_DATA_DIR": str(tmp_path),
    }
    with live_service("ledger_service.main", environment, tmp_path / "log") as (url, _):
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            funding, user = await open_account(client, "internal"), await open_account(client)
            await transfer(client, funding, user, "1.00")
            admin = await asyncpg.connect(databases.admin_url)
            await admin.execute(COPIES_OF_THE_HISTORY)
            for _ in range(2 * STREAMS_MAX):
                async with client.stream(
                    "GET", "/ledger/transactions/", headers={"Accept": "text/csv"}
                ) as answer:
                    assert answer.status_code == 200
                    await anext(answer.aiter_bytes())
                await _until_streaming(admin, 0)
            idle = [_ask_and_never_read(url) for _ in range(STREAMS_MAX)]
            await _until_streaming(admin, STREAMS_MAX)
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.get("/ledger/events/")).status_code == 200
            refused = await client.get("/ledger/transactions/", headers={"Accept": "text/csv"})
            assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
            for reader in idle:
                reader.close()
            await _until_streaming(admin, 0)
            whole = await client.get("/ledger/transactions/", headers={"Accept": "text/csv"})
            assert whole.text.count("\n") == 40_002
            await admin.close()
    assert "never retrieved" not in (tmp_path / "log").read_text()


async def test_reading_goes_on_after_the_server_closed_every_connection(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    account_id = await open_account(ledger)
    assert await balance(ledger, account_id) == "0.00"
    admin = await asyncpg.connect(databases.admin_url)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE 'kairon%'"
    )
    await admin.close()
    for accept in ("application/json", "text/csv"):
        answer = await ledger.get("/ledger/account/", headers={"Accept": accept})
        assert answer.status_code == 200
    assert await balance(ledger, account_id) == "0.00"


@pytest.mark.parametrize("accept", ["text/csv", "application/x-ndjson"])
async def test_an_empty_list_streams_as_nothing_but_its_header(
    ledger: httpx.AsyncClient, accept: str
) -> None:
    answer = await ledger.get("/ledger/transactions/", headers={"Accept": accept})
    assert answer.text.count("\n") == (1 if accept == "text/csv" else 0)


@pytest.mark.parametrize("accept", ["text/csv", "application/x-ndjson"])
async def test_a_stream_is_compressed_where_its_reader_asks_for_it(
    ledger: httpx.AsyncClient, accept: str
) -> None:
    source, destination = await open_account(ledger, "internal"), await open_account(ledger)
    await transfer(ledger, source, destination, "1.00")
    answers = [
        await ledger.get("/ledger/events/", headers={"Accept": accept, "Accept-Encoding": coding})
        for coding in ("gzip", "identity", "gzip;q=0")
    ]
    assert [answer.headers.get("Content-Encoding") for answer in answers] == ["gzip", None, None]
    assert {answer.headers["Vary"] for answer in answers} == {"Accept, Accept-Encoding"}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].text.count("1.00") == 4


def _ask_and_never_read(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    reader.connect((host, int(port)))
    reader.sendall(b"GET /ledger/transactions/ HTTP/1.1\r\nHost: x\r\nAccept: text/csv\r\n\r\n")
    return reader


async def _until_streaming(admin: asyncpg.Connection, expected: int) -> None:
    async with asyncio.timeout(15):
        while True:
            streaming = await admin.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name = 'kairon ledger streams'"
            )
            if streaming == expected:
                return
            await asyncio.sleep(0.05)  # only PostgreSQL knows when a backend has ended

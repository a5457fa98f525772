"""Batches: thousands of transfers in a request, each with its verdict, or all or none."""

import asyncio
import json
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from ledger_service.api.batches import OTHER_PROCESS_BYTES_MIN
from ledger_service.main import create_app
from ledger_service.projections.verifier import verify
from ledger_service.settings import LedgerSettings
from ledger_service.tables import MAIN_LEDGER_ID
from tests.conftest import Serve
from tests.integration.ledger.calls import balance, open_account, transfer
from tests.postgres import TestDatabases

NDJSON = "application/x-ndjson"


def an_item(source: str, destination: str, amount: str = "1.00", **facts: Any) -> dict[str, Any]:
    return {
        "source_account_id": source,
        "destination_account_id": destination,
        "amount": amount,
        "currency": "USD",
    } | facts


async def post(
    client: httpx.AsyncClient, items: list[dict[str, Any]], *, key: str | None = None, **body: Any
) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await client.post("/ledger/batch/", json=body | {"transfers": items}, headers=headers)


async def test_each_transfer_has_its_verdict_in_order(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    items = [
        an_item(funding, user, "10.00"),
        an_item(user, funding, "10.01"),
        an_item(user, funding, "4.00", reference="INV-1"),
        an_item(user, user),
    ]
    answer = await post(ledger, items)
    assert answer.status_code == 207, answer.text
    said = answer.json()
    assert (said["mode"], said["posted"], said["refused"]) == ("independent", 2, 2)
    first, short, third, same = said["results"]
    assert [one["index"] for one in said["results"]] == [0, 1, 2, 3]
    assert (first["status"], first["balances"]) == (201, {funding: "-10.00", user: "10.00"})
    assert (short["status"], short["code"], short["shortfall"]) == (
        422,
        "insufficient_funds",
        "0.01",
    )
    assert third["balances"] == {user: "6.00", funding: "-6.00"}
    assert same["code"] == "same_account"
    found = await ledger.get(f"/ledger/transactions/{third['transaction_id']}")
    assert (found.json()["reference"], found.json()["seq"]) == ("INV-1", third["seq"])


async def test_verdicts_that_are_alike_answer_200(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    assert (await post(ledger, [an_item(funding, user)] * 3)).status_code == 200
    refused = await post(ledger, [an_item(user, funding, "99.00")] * 2)
    assert (refused.status_code, refused.json()["refused"]) == (200, 2)


async def test_an_atomic_batch_posts_all(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    items = [an_item(funding, user, "10.00"), an_item(user, funding, "10.00")]
    answer = await post(ledger, items, mode="atomic")
    assert (answer.status_code, answer.json()["posted"]) == (200, 2)
    assert await balance(ledger, user) == "0.00"


async def test_one_refusal_sinks_an_atomic_batch_and_is_named(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    items = [an_item(funding, user, "10.00"), an_item(user, funding, "10.01")]
    answer = await post(ledger, items, mode="atomic", key="batch-1")
    assert (answer.status_code, answer.json()["code"]) == (422, "batch_refused")
    assert answer.json()["index"] == 1
    assert answer.json()["refusal"]["code"] == "insufficient_funds"
    assert answer.json()["refusal"]["shortfall"] == "0.01"
    assert (await ledger.get("/ledger/head")).json()["seq"] == 2
    await transfer(ledger, funding, user, "50.00")
    again = await post(ledger, items, mode="atomic", key="batch-1")
    assert again.json() == answer.json(), "a refusal under a key is kept"


@pytest.mark.parametrize("mode", ["atomic", "independent"])
async def test_a_repeated_batch_posts_nothing_again(ledger: httpx.AsyncClient, mode: str) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    items = [an_item(funding, user) for _ in range(5)]
    first = await post(ledger, items, mode=mode, key="batch-1")
    again = await post(ledger, items, mode=mode, key="batch-1")
    made = [one["transaction_id"] for one in first.json()["results"]]
    assert [one["transaction_id"] for one in again.json()["results"]] == made
    assert all(one["replayed"] for one in again.json()["results"])
    assert await balance(ledger, user) == "5.00"
    other = await post(ledger, items[:4], mode=mode, key="batch-1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_an_items_key_is_the_key_of_a_single_transfer(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    single = await transfer(ledger, funding, user, "1.00", key="pay-1")
    items = [
        an_item(funding, user, idempotency_key="pay-1"),
        an_item(funding, user, idempotency_key="pay-2"),
        an_item(funding, user, idempotency_key="pay-2"),
        an_item(funding, user, "2.00", idempotency_key="pay-1"),
    ]
    results = (await post(ledger, items)).json()["results"]
    assert results[0]["transaction_id"] == single.json()["transaction_id"]
    assert results[0]["replayed"] is True
    assert "replayed" not in results[1]
    assert results[2]["transaction_id"] == results[1]["transaction_id"]
    assert results[3]["code"] == "idempotency_key_reused"
    again = await transfer(ledger, funding, user, "1.00", key="pay-2")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["balances"] == results[1]["balances"]
    assert await balance(ledger, user) == "2.00"


async def test_lines_say_the_same_as_json(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    items = [an_item(funding, user, "3.00"), an_item(user, funding, "9.00")]
    lines = "\n".join(json.dumps(item) for item in items) + "\n\n"
    headers = {"Content-Type": NDJSON, "Accept": NDJSON}
    answer = await ledger.post("/ledger/batch/", content=lines, headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (207, NDJSON)
    verdicts = [json.loads(line) for line in answer.text.splitlines()]
    assert [one["status"] for one in verdicts] == [201, 422]
    headers.pop("Accept")
    atomic = await ledger.post("/ledger/batch/?mode=atomic", content=lines, headers=headers)
    assert (atomic.status_code, atomic.json()["index"]) == (422, 1)
    assert await balance(ledger, user) == "3.00"


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b'{"transfers": []}', 422, "body.transfers"),
        (b'{"transfers": [{}]}', 422, "body.transfers.0"),
        (b'{"transfers": [], "transfers": []}', 400, "twice"),
        (b'{"mode": "both", "transfers": [{}]}', 422, "body.mode"),
        (b"[]", 422, "body"),
    ],
)
async def test_a_body_of_another_form_is_refused_whole(
    ledger: httpx.AsyncClient, content: bytes, status: int, words: str
) -> None:
    answer = await ledger.post(
        "/ledger/batch/", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]
    assert answer.headers["X-Request-ID"]


async def test_a_bad_line_is_named_and_nothing_is_posted(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    good = json.dumps(an_item(funding, user))
    for bad, status, words in (
        ("{", 400, "line 2"),
        ('{"amount":"1","amount":"2"}', 400, "twice"),
        ("{}", 422, "body.transfers.1"),
        (good.replace('"1.00"', "1.0"), 422, "body.transfers.1.amount"),
    ):
        answer = await ledger.post(
            "/ledger/batch/", content=f"{good}\n{bad}", headers={"Content-Type": NDJSON}
        )
        assert answer.status_code == status, answer.text
        assert words in answer.json()["detail"]
    assert await balance(ledger, user) == "0.00"


async def test_more_than_ten_thousand_are_refused(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    answer = await post(ledger, [an_item(funding, user)] * 10_001)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert (await ledger.get("/ledger/head")).json()["seq"] == 2


async def test_thousands_go_in_chunks_between_which_single_transfers_pass(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    items = [an_item(funding, user, "0.01", idempotency_key=f"pay-{n}") for n in range(5_000)]
    batch = asyncio.create_task(post(ledger, items))
    single = asyncio.create_task(transfer(ledger, funding, user, "1.00"))
    done, _ = await asyncio.wait((batch, single), return_when=asyncio.FIRST_COMPLETED)
    assert done == {single}
    assert (await batch).json()["posted"] == 5_000
    seqs = [one["seq"] for one in (await batch).json()["results"]]
    assert seqs == sorted(seqs)
    assert await balance(ledger, user) == "51.00"
    connection = await asyncpg.connect(databases.ledger_url)
    assert (await verify(connection, MAIN_LEDGER_ID)).findings == []
    await connection.close()


@pytest.mark.parametrize("mode", ["atomic", "independent"])
async def test_the_largest_batch_is_found_again_by_its_items_keys(
    ledger: httpx.AsyncClient, mode: str
) -> None:
    """More keys than the service remembers, and no money left for a second time."""
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    await transfer(ledger, funding, user, "100.00")
    items = [
        an_item(user, funding, "0.01", idempotency_key=f"pay-{number}") for number in range(10_000)
    ]
    first = await post(ledger, items, mode=mode)
    again = await post(ledger, items, mode=mode)
    part = await post(ledger, items[:500], mode=mode)
    assert [answer.status_code for answer in (first, again, part)] == [200, 200, 200]
    made = [one["transaction_id"] for one in first.json()["results"]]
    assert [one["transaction_id"] for one in again.json()["results"]] == made
    assert [one["transaction_id"] for one in part.json()["results"]] == made[:500]
    assert await balance(ledger, user) == "0.00"


async def test_an_atomic_batch_is_found_again_by_a_service_that_has_forgotten_it(
    ledger: httpx.AsyncClient, databases: TestDatabases, serve: Serve
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    await transfer(ledger, funding, user, "2.00")
    items = [an_item(user, funding, idempotency_key=f"pay-{number}") for number in range(2)]
    first = await post(ledger, items, mode="atomic")
    fresh = await serve(create_app(LedgerSettings(database_url=databases.ledger_url)))
    again = await post(fresh, items, mode="atomic")
    under_another_key = await post(fresh, items, mode="atomic", key="batch-2")
    assert (first.status_code, again.status_code, under_another_key.status_code) == (200, 200, 200)
    assert all(one["replayed"] for one in again.json()["results"])
    assert await balance(fresh, user) == "0.00"


@pytest.mark.parametrize("mode", ["atomic", "independent"])
async def test_a_batch_key_that_is_an_items_key_too_is_refused(
    ledger: httpx.AsyncClient, mode: str
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    items = [an_item(funding, user, idempotency_key="one-key")]
    for _ in range(2):
        answer = await post(ledger, items, mode=mode, key="one-key")
        assert "idempotency_key_reused" in answer.text
    assert await balance(ledger, user) == "0.00"


async def test_what_was_lost_with_the_database_is_not_answered_from_memory(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    """As after a fail-over to a copy that lacks the last commits."""
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    await transfer(ledger, funding, user, "1.00", key="pay-1")
    admin = await asyncpg.connect(databases.admin_url)
    await admin.execute(
        """
        ALTER TABLE ledger.journal DISABLE TRIGGER ALL;
        ALTER TABLE ledger.events DISABLE TRIGGER ALL;
        ALTER TABLE ledger.idempotency DISABLE TRIGGER ALL;
        DELETE FROM ledger.journal WHERE seq = 3;
        DELETE FROM ledger.events WHERE seq = 3;
        DELETE FROM ledger.idempotency WHERE seq = 3;
        UPDATE ledger.balances SET debits_minor = 0, credits_minor = 0, position = 0;
        UPDATE ledger.ledgers SET (last_seq, last_entry_id, last_recorded_at) =
            (SELECT seq, entry_id, recorded_at FROM ledger.journal WHERE seq = 2);
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE '%committer';
        """
    )
    await admin.close()
    again = await transfer(ledger, funding, user, "1.00", key="pay-1")
    if again.status_code == 503:  # the broken connection is noticed by its first use
        again = await transfer(ledger, funding, user, "1.00", key="pay-1")
    assert again.status_code == 201
    assert "Idempotency-Replayed" not in again.headers
    assert await balance(ledger, user) == "1.00"


async def test_an_account_without_its_balance_is_not_written_past(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    admin = await asyncpg.connect(databases.admin_url)
    await admin.execute("DELETE FROM ledger.balances WHERE account_id = $1", UUID(user))
    assert (await transfer(ledger, funding, user, "1.00")).status_code == 500
    await post(ledger, [an_item(funding, user)] * 300)
    assert await admin.fetchval("SELECT last_seq FROM ledger.ledgers") == 2
    await admin.close()


async def test_a_mode_in_the_query_may_not_contradict_the_body(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    body = {"transfers": [an_item(funding, user)]}
    answer = await ledger.post("/ledger/batch/?mode=atomic", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert await balance(ledger, user) == "0.00"


async def test_lines_are_known_by_their_type_however_it_is_written(
    ledger: httpx.AsyncClient,
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    headers = {"Content-Type": "Application/X-NDJSON; charset=utf-8"}
    line = json.dumps(an_item(funding, user))
    answer = await ledger.post("/ledger/batch/", content=f"{line}\r\n", headers=headers)
    assert (answer.status_code, answer.json()["posted"]) == (200, 1)
    empty = await ledger.post("/ledger/batch/", content="\n", headers=headers)
    assert (empty.status_code, empty.json()["code"]) == (422, "invalid_request")


async def test_a_large_body_is_read_in_another_process_and_answered_alike(
    ledger: httpx.AsyncClient,
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    facts = {
        "reference": "Überweisung",
        "effective_at": "2025-07-13T10:00:00.123456+02:00",
        "metadata": {"z": [1, None, 1.5], "a": "ü"},
    }
    items = [an_item(funding, user, "0.01", **facts)] * 600
    assert len(json.dumps(items)) > OTHER_PROCESS_BYTES_MIN
    elsewhere = await post(ledger, items, key="batch-1")
    here = await post(ledger, items[:1])
    assert (elsewhere.status_code, elsewhere.json()["posted"]) == (200, 600)
    one, other = (answer.json()["results"][0]["transaction_id"] for answer in (elsewhere, here))
    documents = [
        (await ledger.get(f"/ledger/transactions/{transaction_id}")).json()
        for transaction_id in (one, other)
    ]
    for document in documents:
        for name in ("transaction_id", "seq", "recorded_at"):
            del document[name]
    assert documents[0] == documents[1]
    assert documents[0]["metadata"] == facts["metadata"]
    assert documents[0]["effective_at"] == "2025-07-13T08:00:00.123456Z"
    again = await post(ledger, items, key="batch-1")
    assert (
        again.json()["results"][599]["transaction_id"]
        == (elsewhere.json()["results"][599]["transaction_id"])
    )
    wrong = await post(ledger, [*items, an_item(funding, user, amount=1)])  # type: ignore[arg-type]
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_request")
    assert "600" in wrong.json()["detail"]

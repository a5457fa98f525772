"""Ledgers of one service: nothing crosses, and each is chosen by its name or by its accounts."""

import httpx
import pytest

from ledger_service.main import create_app
from ledger_service.settings import LedgerSettings
from tests.conftest import Serve
from tests.integration.ledger.calls import balance, open_account, transfer
from tests.postgres import TestDatabases


async def in_ledger(client: httpx.AsyncClient, name: str, kind: str) -> str:
    body = {"currency": "USD", "type": kind}
    answer = await client.post("/ledger/account/", params={"ledger": name}, json=body)
    assert (answer.status_code, answer.json()["ledger"]) == (201, name)
    return str(answer.json()["account_id"])


@pytest.fixture
async def pair(ledger: httpx.AsyncClient) -> tuple[str, str]:
    """A till and a customer in the ledger `berlin`."""
    assert (await ledger.put("/ledger/ledger/berlin")).status_code == 201
    return await in_ledger(ledger, "berlin", "internal"), await in_ledger(ledger, "berlin", "user")


async def test_a_ledger_is_added_once(ledger: httpx.AsyncClient) -> None:
    first = await ledger.put("/ledger/ledger/berlin")
    again = await ledger.put("/ledger/ledger/berlin")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == {"ledger": "berlin", "seq": 0}
    listed = (await ledger.get("/ledger/ledger/")).json()["ledgers"]
    assert [one["ledger"] for one in listed] == ["main", "berlin"]
    assert (await ledger.get("/ledger/ledger/paris")).status_code == 404


async def test_the_account_chooses_the_ledger(
    ledger: httpx.AsyncClient, pair: tuple[str, str]
) -> None:
    till, user = pair
    posted = await transfer(ledger, till, user, "10.00")
    assert (posted.status_code, posted.json()["seq"]) == (201, 3)
    assert await balance(ledger, user) == "10.00"
    account = (await ledger.get(f"/ledger/account/{user}")).json()
    assert account["ledger"] == "berlin"
    assert (await ledger.get("/ledger/head")).json()["seq"] == 0
    batch = {
        "transfers": [
            {
                "source_account_id": till,
                "destination_account_id": user,
                "amount": "1.00",
                "currency": "USD",
            }
        ]
        * 3
    }
    assert (await ledger.post("/ledger/batch/", json=batch)).json()["posted"] == 3
    named = await ledger.post("/ledger/batch/", params={"ledger": "berlin"}, json=batch)
    assert named.json()["posted"] == 3
    assert await balance(ledger, user) == "16.00"


async def test_nothing_crosses(ledger: httpx.AsyncClient, pair: tuple[str, str]) -> None:
    till, user = pair
    main_till = await open_account(ledger, "internal")
    for source, destination in ((till, main_till), (main_till, user)):
        refused = await transfer(ledger, source, destination, "1.00")
        assert (refused.status_code, refused.json()["code"]) == (422, "unknown_account")
    elsewhere = await ledger.get(f"/ledger/account/{user}", params={"ledger": "main"})
    assert elsewhere.status_code == 404
    mine = (await ledger.get("/ledger/account/", params={"ledger": "berlin"})).json()["accounts"]
    assert {one["account_id"] for one in mine} == {till, user}
    ours = (await ledger.get("/ledger/account/")).json()["accounts"]
    assert {one["account_id"] for one in ours} == {main_till}


async def test_a_key_belongs_to_its_ledger(
    ledger: httpx.AsyncClient, pair: tuple[str, str]
) -> None:
    till, user = pair
    main_till, main_user = await open_account(ledger, "internal"), await open_account(ledger)
    there = await transfer(ledger, till, user, "1.00", key="same")
    here = await transfer(ledger, main_till, main_user, "2.00", key="same")
    assert (there.status_code, here.status_code) == (201, 201)
    again = await transfer(ledger, till, user, "1.00", key="same")
    assert again.content == there.content


async def test_an_unknown_ledger_is_refused_by_name(ledger: httpx.AsyncClient) -> None:
    for call in (
        ledger.get("/ledger/account/", params={"ledger": "paris"}),
        ledger.post(
            "/ledger/account/", params={"ledger": "paris"}, json={"currency": "USD", "type": "user"}
        ),
    ):
        answer = await call
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_ledger")


async def test_a_ledger_that_another_process_added_is_found(
    ledger: httpx.AsyncClient, databases: TestDatabases, serve: Serve
) -> None:
    other = await serve(create_app(LedgerSettings(database_url=databases.ledger_url)))
    assert (await other.put("/ledger/ledger/berlin")).status_code == 201
    till, user = [await in_ledger(other, "berlin", kind) for kind in ("internal", "user")]
    posted = await ledger.post(
        "/ledger/transfer/",
        params={"ledger": "berlin"},
        json={
            "source_account_id": till,
            "destination_account_id": user,
            "amount": "5.00",
            "currency": "USD",
        },
    )
    assert posted.status_code == 201
    assert await balance(other, user) == "5.00"


async def test_a_dry_run_answers_like_the_real_one_and_writes_nothing(
    ledger: httpx.AsyncClient, pair: tuple[str, str]
) -> None:
    till, user = pair
    body = {
        "source_account_id": till,
        "destination_account_id": user,
        "amount": "5.00",
        "currency": "USD",
    }
    dry = {"dry_run": "true"}
    tried = await ledger.post("/ledger/transfer/", params=dry, json=body)
    assert (tried.status_code, tried.json()["balances"][user]) == (200, "5.00")
    back = body | {"source_account_id": user, "destination_account_id": till}
    refused = await ledger.post("/ledger/transfer/", params=dry, json=back)
    assert (refused.status_code, refused.json()["shortfall"]) == (422, "5.00")
    batch = {"mode": "independent", "transfers": [body, back, back]}
    verdicts = (await ledger.post("/ledger/batch/", params=dry, json=batch)).json()
    assert [one["status"] for one in verdicts["results"]] == [201, 201, 422]
    head = (await ledger.get("/ledger/ledger/berlin")).json()
    assert head["seq"] == 2
    real = await ledger.post("/ledger/transfer/", json=body)
    assert real.json()["balances"] == tried.json()["balances"]
    assert real.json()["seq"] == tried.json()["seq"]


async def test_of_many_accounts_the_first_chooses_the_ledger(
    ledger: httpx.AsyncClient, pair: tuple[str, str]
) -> None:
    ours = await open_account(ledger)
    for asked, ledgers_own in (([ours, pair[0]], [ours]), ([*pair, ours], [*pair])):
        found = (await ledger.get("/ledger/balances", params={"account_id": asked})).json()
        assert [one["account_id"] for one in found["balances"]] == ledgers_own


async def test_what_has_no_dry_run_is_refused_rather_than_done(ledger: httpx.AsyncClient) -> None:
    url = {"url": "https://hooks.example/ledger"}
    hook = (await ledger.post("/ledger/webhook/", json=url)).json()["webhook_id"]
    dry = {"dry_run": "true"}
    refused = [
        await ledger.put("/ledger/ledger/paris", params=dry),
        await ledger.post("/ledger/webhook/", params=dry, json=url),
        await ledger.patch(f"/ledger/webhook/{hook}", params=dry, json={"status": "paused"}),
        await ledger.delete(f"/ledger/webhook/{hook}", params=dry),
    ]
    assert {(one.status_code, one.json()["code"]) for one in refused} == {(422, "invalid_request")}
    assert (await ledger.get("/ledger/ledger/paris")).status_code == 404
    listed = (await ledger.get("/ledger/webhook/")).json()["webhooks"]
    assert [(one["webhook_id"], one["status"]) for one in listed] == [(hook, "active")]

"""A key makes a retry safe: one effect, one answer, whoever asks and however often."""

import asyncio

import httpx

from ledger_service.main import create_app
from ledger_service.settings import LedgerSettings
from tests.conftest import Serve
from tests.integration.ledger.calls import balance, open_account, transfer
from tests.postgres import TestDatabases


async def test_a_retry_gets_the_first_answer_byte_for_byte(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    first = await transfer(ledger, funding, user, "10.00", key="pay-1")
    again = await transfer(ledger, funding, user, "10.00", key="pay-1")
    quoted = await transfer(ledger, funding, user, "10.00", key='"pay-1"')
    assert first.content == again.content == quoted.content
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == quoted.headers["Idempotency-Replayed"] == "true"
    assert await balance(ledger, user) == "10.00"


async def test_a_refusal_is_kept_under_its_key_with_its_numbers(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    refused = await transfer(ledger, user, funding, "10.00", key="pay-1")
    assert refused.status_code == 422
    await transfer(ledger, funding, user, "50.00")
    again = await transfer(ledger, user, funding, "10.00", key="pay-1")
    assert (again.status_code, again.content) == (422, refused.content)
    assert await balance(ledger, user) == "50.00"


async def test_a_key_belongs_to_one_request(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    await transfer(ledger, funding, user, "10.00", key="pay-1")
    other = await transfer(ledger, funding, user, "11.00", key="pay-1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    account = await ledger.post(
        "/ledger/account/",
        json={"currency": "USD", "type": "user"},
        headers={"Idempotency-Key": "pay-1"},
    )
    assert account.json()["code"] == "idempotency_key_reused"
    assert await balance(ledger, user) == "10.00"


async def test_an_account_is_opened_once_under_a_key(ledger: httpx.AsyncClient) -> None:
    body, headers = {"currency": "USD", "type": "user"}, {"Idempotency-Key": "open-1"}
    answers = [await ledger.post("/ledger/account/", json=body, headers=headers) for _ in range(3)]
    assert len({answer.json()["account_id"] for answer in answers}) == 1
    assert len((await ledger.get("/ledger/account/")).json()["accounts"]) == 1


async def test_an_ill_formed_key_is_refused(ledger: httpx.AsyncClient) -> None:
    user, other = await open_account(ledger), await open_account(ledger)
    for key in ("", '""', "x" * 256, "tab\tin"):
        answer = await transfer(ledger, user, other, "1.00", key=key)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_twins_at_the_same_moment_in_two_processes_post_once(
    ledger: httpx.AsyncClient, databases: TestDatabases, serve: Serve
) -> None:
    second = await serve(create_app(LedgerSettings(database_url=databases.ledger_url)))
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    answers = await asyncio.gather(
        *(transfer(client, funding, user, "10.00", key="pay-1") for client in (ledger, second) * 50)
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert await balance(ledger, user) == "10.00"

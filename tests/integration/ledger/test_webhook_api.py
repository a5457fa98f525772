"""Webhooks over HTTP: created, shown without their secret, changed, tested, measured, refused."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from ledger_service.main import create_app
from ledger_service.repositories.webhooks import WEBHOOKS_MAX
from ledger_service.settings import LedgerSettings
from tests.conftest import Serve
from tests.integration.ledger.calls import open_account
from tests.integration.ledger.receiver import Receiver, receiving
from tests.postgres import TestDatabases

PATH = "/ledger/webhook/"
NOWHERE = "https://hooks.example/ledger"
UNKNOWN = "01980b5c-7101-7b2c-8e3d-0d4f4d1f2a13"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
async def private(databases: TestDatabases, serve: Serve) -> httpx.AsyncClient:
    """A service that may send to this machine."""
    settings = LedgerSettings(database_url=databases.ledger_url, webhook_private=True)
    return await serve(create_app(settings), base_url="http://ledger")


async def create(client: httpx.AsyncClient, url: str = NOWHERE, **facts: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json={"url": url} | facts)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_what_is_committed_is_sent_at_once_by_the_service_itself(
    private: httpx.AsyncClient, receiver: Receiver
) -> None:
    hook = await create(private, receiver.url)
    for number in range(1, 4):
        await open_account(private)
        arrived = await receiver.arrived.get()
        assert arrived.message_id == f"main/{number}"
        assert arrived.is_signed_with(hook["secret"])


async def test_two_services_share_the_work_and_send_each_entry_once(
    databases: TestDatabases, serve: Serve, receiver: Receiver
) -> None:
    settings = LedgerSettings(database_url=databases.ledger_url, webhook_private=True)
    one, two = [await serve(create_app(settings), base_url="http://ledger") for _ in range(2)]
    await create(one, receiver.url)
    for number in range(1, 11):
        await open_account(two if number % 2 else one)
        assert (await receiver.arrived.get()).message_id == f"main/{number}"
    assert len(receiver.received) == 10
    assert receiver.at_once_most == 1


async def test_the_secret_is_shown_once(ledger: httpx.AsyncClient) -> None:
    created = await create(ledger, kinds=["transfer", "reversal"], from_seq=7)
    secret = created.pop("secret")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    assert created["kinds"] == ["transfer", "reversal"]
    assert (created["status"], created["next_seq"], created["ledger"]) == ("active", 7, "main")
    path = f"{PATH}{created['webhook_id']}"
    assert (await ledger.get(path)).json() == created
    assert (await ledger.get(PATH)).json() == {"webhooks": [created]}
    changed = await ledger.patch(path, json={"status": "paused"})
    assert changed.json() == created | {"status": "paused"}
    for answer in (await ledger.get("/metrics"), await ledger.get(f"{path}/deliveries"), changed):
        assert secret not in answer.text


async def test_a_webhook_without_from_seq_begins_behind_the_last_entry(
    ledger: httpx.AsyncClient,
) -> None:
    await open_account(ledger)
    assert (await create(ledger))["next_seq"] == 2


async def test_a_test_is_sent_signed_and_logged_though_the_webhook_is_paused(
    private: httpx.AsyncClient, receiver: Receiver
) -> None:
    hook = await create(private, receiver.url)
    path = f"{PATH}{hook['webhook_id']}"
    await private.patch(path, json={"status": "paused"})
    receiver.answers = [200, 500]
    done = [(await private.post(f"{path}/test")).json() for _ in range(2)]
    assert [(one["is_delivered"], one["status_code"]) for one in done] == [
        (True, 200),
        (False, 500),
    ]
    assert all(one.is_signed_with(hook["secret"]) for one in receiver.received)
    assert receiver.received[0].document["type"] == "test"
    assert len(set(receiver.ids)) == 2
    log = (await private.get(f"{path}/deliveries")).json()["deliveries"]
    assert [(one["seq"], one["status_code"]) for one in log] == [(None, 500), (None, 200)]
    assert (await private.get(path)).json()["status"] == "paused"


async def test_the_log_of_attempts_comes_in_pages(
    private: httpx.AsyncClient, receiver: Receiver
) -> None:
    hook = await create(private, receiver.url)
    path = f"{PATH}{hook['webhook_id']}/deliveries"
    receiver.answers = [200, 201, 202, 203, 204]
    for _ in range(5):
        await private.post(f"{PATH}{hook['webhook_id']}/test")
    found, following = [], f"{path}?limit=2"
    while following:
        page = (await private.get(following)).json()
        found += [one["status_code"] for one in page["deliveries"]]
        following = page["next"]
    assert found == [204, 203, 202, 201, 200]
    other = await create(private, receiver.url)
    cursor = (await private.get(f"{path}?limit=2")).json()["next_cursor"]
    answer = await private.get(f"{PATH}{other['webhook_id']}/deliveries", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_the_metrics_tell_how_far_each_webhook_is_behind(
    private: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.answers = [500] * 10
    hook = await create(private, receiver.url)
    await open_account(private)
    await receiver.arrived.get()
    text = ""
    async with asyncio.timeout(30):
        while 'status="failing"' not in text:
            await open_account(private)  # the service looks again at each commit
            text = (await private.get("/metrics")).text
    lag = re.search(r'ledger_webhook_lag_seq\{[^}]*status="failing"[^}]*\} (\d+)', text)
    assert lag is not None
    assert int(lag[1]) >= 1
    assert f'webhook_id="{hook["webhook_id"]}"' in lag[0]
    assert re.search(r'ledger_webhook_attempts_total\{[^}]*outcome="failed"[^}]*\} 1\.0', text)


async def test_what_is_no_webhook_is_refused(ledger: httpx.AsyncClient) -> None:
    bodies: list[dict[str, Any]] = [
        {},
        {"url": "ftp://hooks.example/"},
        {"url": "https://user:password@hooks.example/"},
        {"url": "https://hooks.example/#part"},
        {"url": "https://hooks.example:65536/"},
        {"url": "https://hooks.example/ a"},
        {"url": "https://bücher.example/"},
        {"url": "https://[:::]/"},
        {"url": "https://1.2.3.999/"},
        {"url": "https://" + "a" * 64 + ".example/"},
        {"url": "https://hooks.example/" + "a" * 1_000},
        {"url": NOWHERE, "kinds": []},
        {"url": NOWHERE, "kinds": ["theft"]},
        {"url": NOWHERE, "from_seq": 0},
        {"url": NOWHERE, "from_seq": 2**63},
        {"url": NOWHERE, "secret": "mine"},
    ]
    for body in bodies:
        answer = await ledger.post(PATH, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), body
    assert (await ledger.get(PATH)).json() == {"webhooks": []}


async def test_a_host_that_is_not_public_is_refused_at_once(ledger: httpx.AsyncClient) -> None:
    hook = await create(ledger)
    for host in ("127.0.0.1", "localhost", "LOCALHOST", "10.0.0.1", "[fe80::1]", "169.254.169.254"):
        for answer in (
            await ledger.post(PATH, json={"url": f"http://{host}/"}),
            await ledger.patch(f"{PATH}{hook['webhook_id']}", json={"url": f"http://{host}/"}),
        ):
            found = answer.status_code, answer.json()["code"]
            assert found == (422, "webhook_target_refused"), host
    assert (await ledger.get(f"{PATH}{hook['webhook_id']}")).json()["url"] == NOWHERE


async def test_a_webhook_that_there_is_not_is_404(ledger: httpx.AsyncClient) -> None:
    path = f"{PATH}{UNKNOWN}"
    for answer in (
        await ledger.get(path),
        await ledger.patch(path, json={"status": "paused"}),
        await ledger.delete(path),
        await ledger.post(f"{path}/replay", json={"from_seq": 1}),
        await ledger.get(f"{path}/deliveries"),
        await ledger.post(f"{path}/test"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_change_that_is_none_is_refused(ledger: httpx.AsyncClient) -> None:
    hook = await create(ledger)
    for body in ({}, {"status": "failing"}, {"status": None}, {"next_seq": 1}):
        answer = await ledger.patch(f"{PATH}{hook['webhook_id']}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), body


async def test_a_ledger_has_so_many_webhooks_and_no_more(ledger: httpx.AsyncClient) -> None:
    for _ in range(WEBHOOKS_MAX):
        await create(ledger)
    answer = await ledger.post(PATH, json={"url": NOWHERE})
    assert answer.status_code == 422
    assert (answer.json()["code"], answer.json()["webhooks_max"]) == ("too_many_webhooks", 100)
    assert len((await ledger.get(PATH)).json()["webhooks"]) == WEBHOOKS_MAX

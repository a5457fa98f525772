"""Webhooks: every entry is sent, in order, signed, at least once, by one sender at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from ledger_service.api.answers import posted_text
from ledger_service.domain.entries import MOVING_KINDS, EntryKind
from ledger_service.main import create_app
from ledger_service.settings import LedgerSettings
from ledger_service.webhooks.sender import LEASE_SECONDS_MORE, WebhookSender
from ledger_service.webhooks.targets import REFUSED, Targets
from shared.database import open_database
from tests.conftest import Serve
from tests.integration.ledger.calls import open_account, transfer
from tests.integration.ledger.histories import write_history
from tests.integration.ledger.receiver import HANG_UP, Receiver, receiving
from tests.postgres import TestDatabases

NOON = datetime(2025, 7, 13, 12, tzinfo=UTC)
SECONDS_MAX = 5.0
BACKOFF_MAX = 3_600


@dataclass
class Time:
    """A clock that stands until a test moves it."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
async def ledger(databases: TestDatabases, serve: Serve) -> httpx.AsyncClient:
    """The service without a sender of its own at work: the tests move theirs by hand."""
    app = create_app(LedgerSettings(database_url=databases.ledger_url, webhook_private=True))
    client = await serve(app, base_url="http://ledger")
    await app.state.resources.webhooks.stop()
    return client


@pytest.fixture
async def sender_of(databases: TestDatabases, time: Time) -> AsyncIterator[Callable[..., Any]]:
    """Make senders, as many processes would have them."""
    made: list[WebhookSender] = []

    def make(
        *, is_private_allowed: bool = True, seconds_max: float = SECONDS_MAX, **facts: Any
    ) -> WebhookSender:
        targets = Targets(seconds_max=seconds_max, is_private_allowed=is_private_allowed, **facts)
        database = open_database(databases.ledger_url, application_name="test", pool_size=4)
        sender = WebhookSender(
            database,
            targets,
            posted_text,
            backoff_seconds_max=BACKOFF_MAX,
            clock=time,
            chance=lambda: 1.0,
        )
        made.append(sender)
        return sender

    yield make
    for sender in made:
        await sender.stop()


async def webhook(ledger: httpx.AsyncClient, receiver: Receiver, **facts: Any) -> dict[str, Any]:
    answer = await ledger.post("/ledger/webhook/", json={"url": receiver.url} | facts)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def shown(ledger: httpx.AsyncClient, hook: dict[str, Any]) -> dict[str, Any]:
    answer = await ledger.get(f"/ledger/webhook/{hook['webhook_id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def some_transfers(ledger: httpx.AsyncClient, count: int = 3) -> list[str]:
    """Open two accounts (entries 1 and 2) and transfer; return the ids of all messages."""
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    for number in range(count):
        done = await transfer(ledger, funding, user, "1.00", reference=f"R{number}")
        assert done.status_code == 201, done.text
    return [f"main/{seq}" for seq in range(1, 3 + count)]


async def test_every_entry_is_sent_in_order_signed_and_as_its_command_was_answered(
    ledger: httpx.AsyncClient, receiver: Receiver, sender_of: Callable[..., WebhookSender]
) -> None:
    hook = await webhook(ledger, receiver)
    ids = await some_transfers(ledger)
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    answer = await transfer(ledger, funding, user, "7.50", reference="über")
    await sender_of().deliver_due()
    assert receiver.ids == [*ids, "main/6", "main/7", "main/8"]
    assert all(one.is_signed_with(hook["secret"]) for one in receiver.received)
    assert not receiver.received[0].is_signed_with("whsec_" + "A" * 44)
    assert {one.headers["webhook-timestamp"] for one in receiver.received} == {
        str(int(NOON.timestamp()))
    }
    last = receiver.received[-1].document
    assert last["type"] == last["data"]["kind"] == "transfer"
    assert last["timestamp"] == last["data"]["recorded_at"]
    assert last["data"]["entry"] == answer.json()
    assert last["data"]["entry_id"] == answer.json()["transaction_id"]
    events = await ledger.get("/ledger/events/", params={"after_seq": 7})
    assert last["data"]["events"] == events.json()["events"]
    opened = receiver.received[0].document
    assert (opened["type"], opened["data"]["events"]) == ("account_opened", [])
    assert (await shown(ledger, hook))["lag"] == 0


async def test_entries_of_every_kind_are_sent(
    databases: TestDatabases,
    ledger: httpx.AsyncClient,
    receiver: Receiver,
    sender_of: Callable[..., WebhookSender],
) -> None:
    connection = await asyncpg.connect(databases.ledger_url)
    count = await write_history(connection, seed=5, steps=400)
    await webhook(ledger, receiver, from_seq=1)
    await sender_of().deliver_due()
    assert receiver.ids == [f"main/{seq}" for seq in range(1, len(receiver.ids) + 1)]
    assert len(receiver.ids) >= count  # the service expires holds meanwhile
    journal = "SELECT kind FROM ledger.journal WHERE seq <= $1 ORDER BY seq"
    kinds = await connection.fetch(journal, len(receiver.ids))
    await connection.close()
    sent = [one.document["data"] for one in receiver.received]
    assert [one["kind"] for one in sent] == [row["kind"] for row in kinds]
    assert {one["kind"] for one in sent} == set(EntryKind)
    assert all(one["entry"] for one in sent)
    moving = [one for one in sent if one["events"]]
    assert {one["kind"] for one in moving} == set(MOVING_KINDS)
    assert all({event["seq"] for event in one["events"]} == {one["seq"]} for one in moving)


async def test_an_answer_of_500_is_tried_again_later_and_later_until_the_receiver_is_back(
    ledger: httpx.AsyncClient,
    receiver: Receiver,
    sender_of: Callable[..., WebhookSender],
    time: Time,
) -> None:
    hook = await webhook(ledger, receiver)
    ids = await some_transfers(ledger, 1)
    receiver.answers = [200, 500, HANG_UP, 302]
    sender = sender_of()
    await sender.deliver_due()
    for number, pause in enumerate((5, 10, 20), start=1):
        state = await shown(ledger, hook)
        assert (state["status"], state["attempts"], state["next_seq"]) == ("failing", number, 2)
        assert datetime.fromisoformat(state["next_attempt_at"]) == time.now + timedelta(
            seconds=pause
        )
        before = len(receiver.received)
        time.pass_by(pause - 0.001)
        await sender.deliver_due()
        assert len(receiver.received) == before
        time.pass_by(0.001)
        await sender.deliver_due()
    assert receiver.ids == [ids[0], *[ids[1]] * 4, ids[2]]
    assert (await shown(ledger, hook))["status"] == "active"
    log = await ledger.get(f"/ledger/webhook/{hook['webhook_id']}/deliveries")
    attempts = [
        (one["seq"], one["attempt"], one["status_code"]) for one in log.json()["deliveries"]
    ]
    assert attempts == [
        (3, 1, 200),
        (2, 4, 200),
        (2, 3, 302),
        (2, 2, None),
        (2, 1, 500),
        (1, 1, 200),
    ]
    assert "Server disconnected" in log.json()["deliveries"][3]["error"]


async def test_a_sender_killed_after_the_request_repeats_the_entry_and_skips_none(
    ledger: httpx.AsyncClient, receiver: Receiver, sender_of: Callable[..., WebhookSender]
) -> None:
    hook = await webhook(ledger, receiver)
    ids = await some_transfers(ledger, 2)
    for _ in range(3):
        await receiver.gate.wait()
        receiver.gate.clear()
        killed = asyncio.create_task(sender_of().deliver_due())
        await receiver.arrived.get()  # sent, and the place not moved
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
        receiver.gate.set()
    assert (await shown(ledger, hook))["next_seq"] == 1
    await sender_of().deliver_due()
    assert receiver.ids == [ids[0]] * 3 + ids


async def test_what_a_dead_process_had_taken_is_taken_over_and_its_late_word_moves_nothing(
    ledger: httpx.AsyncClient,
    receiver: Receiver,
    sender_of: Callable[..., WebhookSender],
    time: Time,
) -> None:
    """The first sender hangs for longer than its lease, as one in a stopped process would."""
    hook = await webhook(ledger, receiver)
    ids = await some_transfers(ledger, 1)
    receiver.gate.clear()
    silent = asyncio.create_task(sender_of().deliver_due())
    await receiver.arrived.get()
    second = sender_of()
    time.pass_by(SECONDS_MAX + LEASE_SECONDS_MORE - 0.001)
    await second.deliver_due()
    assert receiver.ids == ids[:1]
    time.pass_by(0.001)
    taking_over = asyncio.create_task(second.deliver_due())
    await receiver.arrived.get()
    receiver.gate.set()
    await asyncio.gather(silent, taking_over)
    assert receiver.ids[:2] == [ids[0], ids[0]]
    assert receiver.ids[2:] == ids[1:]
    assert (await shown(ledger, hook))["next_seq"] == 4


async def test_senders_of_many_processes_never_send_to_one_webhook_at_the_same_time(
    ledger: httpx.AsyncClient, receiver: Receiver, sender_of: Callable[..., WebhookSender]
) -> None:
    await webhook(ledger, receiver)
    ids = await some_transfers(ledger, 60)  # more than one page
    senders = [sender_of() for _ in range(3)]
    rounds = 0
    while len(receiver.ids) < len(ids):
        await asyncio.gather(*(sender.deliver_due() for sender in senders))
        rounds += 1
        assert rounds <= 10
    assert receiver.ids == ids
    assert receiver.at_once_most == 1


async def test_replay_sends_again_from_any_entry_under_the_same_ids(
    ledger: httpx.AsyncClient, receiver: Receiver, sender_of: Callable[..., WebhookSender]
) -> None:
    hook = await webhook(ledger, receiver)
    ids = await some_transfers(ledger, 2)
    sender = sender_of()
    await sender.deliver_due()
    path = f"/ledger/webhook/{hook['webhook_id']}/replay"
    answer = await ledger.post(path, json={"from_seq": 2})
    assert (answer.status_code, answer.json()["next_seq"], answer.json()["lag"]) == (200, 2, 3)
    await sender.deliver_due()
    assert receiver.ids == ids + ids[1:]
    assert receiver.received[1].body == receiver.received[4].body
    refused = await ledger.post(path, json={"from_seq": 6})
    assert refused.status_code == 422
    assert (refused.json()["code"], refused.json()["last_seq"]) == ("seq_beyond_end", 4)
    assert (await shown(ledger, hook))["next_seq"] == 5


async def test_a_replay_while_an_entry_is_under_way_is_not_undone_by_its_answer(
    ledger: httpx.AsyncClient, receiver: Receiver, sender_of: Callable[..., WebhookSender]
) -> None:
    hook = await webhook(ledger, receiver)
    ids = await some_transfers(ledger, 1)
    sender = sender_of()
    await sender.deliver_due()
    funding = await open_account(ledger, "internal")
    receiver.gate.clear()
    sending = asyncio.create_task(sender.deliver_due())
    for _ in range(4):
        await receiver.arrived.get()
    path = f"/ledger/webhook/{hook['webhook_id']}"
    assert (await ledger.post(f"{path}/replay", json={"from_seq": 1})).status_code == 200
    receiver.gate.set()
    await sending
    assert funding
    assert receiver.ids == [*ids, "main/4", *ids, "main/4"]


async def test_only_the_kinds_that_were_asked_for_are_sent_from_where_they_were_asked_for(
    ledger: httpx.AsyncClient, receiver: Receiver, sender_of: Callable[..., WebhookSender]
) -> None:
    ids = await some_transfers(ledger, 3)
    hook = await webhook(ledger, receiver, kinds=["transfer"], from_seq=1)
    sender = sender_of()
    await sender.deliver_due()
    assert receiver.ids == ids[2:]
    await open_account(ledger)
    await sender.deliver_due()
    assert receiver.ids == ids[2:]
    assert (await shown(ledger, hook))["lag"] == 0
    await ledger.patch(f"/ledger/webhook/{hook['webhook_id']}", json={"kinds": None})
    await open_account(ledger)
    await sender.deliver_due()
    assert receiver.ids == [*ids[2:], "main/7"]


async def test_410_pauses_until_it_is_resumed_and_what_came_meanwhile_is_sent_then(
    ledger: httpx.AsyncClient,
    receiver: Receiver,
    sender_of: Callable[..., WebhookSender],
    time: Time,
) -> None:
    hook = await webhook(ledger, receiver)
    ids = await some_transfers(ledger, 1)
    receiver.answers = [410]
    sender = sender_of()
    await sender.deliver_due()
    assert (await shown(ledger, hook))["status"] == "paused"
    time.pass_by(10 * BACKOFF_MAX)
    await sender.deliver_due()
    assert receiver.ids == ids[:1]
    path = f"/ledger/webhook/{hook['webhook_id']}"
    assert (await ledger.patch(path, json={"status": "active"})).json()["attempts"] == 0
    await sender.deliver_due()
    assert receiver.ids == ids[:1] + ids


async def test_a_webhook_that_is_paused_or_deleted_meanwhile_gets_nothing_more(
    ledger: httpx.AsyncClient, receiver: Receiver, sender_of: Callable[..., WebhookSender]
) -> None:
    sender = sender_of()
    for end in ("PATCH", "DELETE"):
        hook = await webhook(ledger, receiver)
        await some_transfers(ledger, 1)
        before = len(receiver.ids)
        receiver.gate.clear()
        sending = asyncio.create_task(sender.deliver_due())
        await receiver.arrived.get()
        path = f"/ledger/webhook/{hook['webhook_id']}"
        body = {"status": "paused"} if end == "PATCH" else None
        assert (await ledger.request(end, path, json=body)).status_code in (200, 204)
        receiver.gate.set()
        await sending
        assert len(receiver.ids) == before + 1
    assert (await ledger.get(path)).status_code == 404


async def test_of_a_long_answer_only_the_status_counts(
    ledger: httpx.AsyncClient, receiver: Receiver, sender_of: Callable[..., WebhookSender]
) -> None:
    await webhook(ledger, receiver)
    ids = await some_transfers(ledger, 1)
    receiver.answer_body = b"x" * 5_000_000
    await sender_of().deliver_due()
    assert receiver.ids == ids


async def test_an_answer_that_never_comes_is_waited_for_a_bounded_time(
    ledger: httpx.AsyncClient, receiver: Receiver, sender_of: Callable[..., WebhookSender]
) -> None:
    hook = await webhook(ledger, receiver)
    ids = await some_transfers(ledger, 1)
    receiver.gate.clear()
    await sender_of(seconds_max=0.2).deliver_due()
    log = await ledger.get(f"/ledger/webhook/{hook['webhook_id']}/deliveries")
    (delivery,) = log.json()["deliveries"]
    assert (delivery["status_code"], delivery["error"]) == (None, "timeout: no answer within 0.2 s")
    assert 200 <= delivery["milliseconds"] < 5_000
    assert receiver.ids == ids[:1]


async def test_senders_leave_the_other_ledgers_entries_alone(
    ledger: httpx.AsyncClient, receiver: Receiver, sender_of: Callable[..., WebhookSender]
) -> None:
    await ledger.put("/ledger/ledger/berlin")
    hook = await ledger.post("/ledger/webhook/?ledger=berlin", json={"url": receiver.url})
    await some_transfers(ledger, 1)
    body = {"currency": "EUR", "type": "user"}
    opened = await ledger.post("/ledger/account/?ledger=berlin", json=body)
    await sender_of().deliver_due()
    assert receiver.ids == ["berlin/1"]
    data = receiver.received[0].document["data"]
    assert (data["ledger"], data["entry"]) == ("berlin", opened.json())
    path = f"/ledger/webhook/{hook.json()['webhook_id']}"
    assert (await ledger.get(path)).status_code == 404
    assert (await ledger.get(f"{path}?ledger=berlin")).json()["ledger"] == "berlin"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"],
)
async def test_nothing_is_sent_to_a_host_of_any_address_that_is_not_public(
    ledger: httpx.AsyncClient,
    receiver: Receiver,
    sender_of: Callable[..., WebhookSender],
    address: str,
) -> None:
    async def resolve(host: str, _port: int) -> list[str]:
        assert host == "hooks.example"
        return ["93.184.215.14", address]

    url = f"http://hooks.example:{receiver.port}/hook"
    answer = await ledger.post("/ledger/webhook/", json={"url": url})
    hook = answer.json()
    await open_account(ledger)
    await sender_of(is_private_allowed=False, resolve=resolve).deliver_due()
    log = await ledger.get(f"/ledger/webhook/{hook['webhook_id']}/deliveries")
    assert [one["error"] for one in log.json()["deliveries"]] == [REFUSED]
    assert (await shown(ledger, hook))["status"] == "failing"
    assert receiver.ids == []


async def test_a_name_is_looked_up_once_for_each_request_and_that_address_is_used(
    ledger: httpx.AsyncClient, receiver: Receiver, sender_of: Callable[..., WebhookSender]
) -> None:
    looked_up: list[str] = []

    async def resolve(host: str, _port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"]

    url = f"http://hooks.example:{receiver.port}/path?a=b"
    assert (await ledger.post("/ledger/webhook/", json={"url": url})).status_code == 201
    await some_transfers(ledger, 1)
    await sender_of(resolve=resolve).deliver_due()
    assert looked_up == ["hooks.example"] * 3
    assert {one.path for one in receiver.received} == {"/path?a=b"}
    assert {one.headers["host"] for one in receiver.received} == {f"hooks.example:{receiver.port}"}

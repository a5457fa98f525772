"""Accounts under control: types, codes, limits, freezing, closing, versions, conditions."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from ledger_service.main import create_app
from ledger_service.projections.verifier import verify
from ledger_service.settings import LedgerSettings
from ledger_service.tables import MAIN_LEDGER_ID
from tests.conftest import Serve
from tests.integration.ledger.calls import balance, open_account, transfer
from tests.postgres import TestDatabases


async def change(
    client: httpx.AsyncClient,
    account_id: str,
    *,
    key: str | None = None,
    seen: str | None = None,
    query: str = "",
    **facts: Any,
) -> httpx.Response:
    """Change an account, under `key` and if it is at the version `seen`."""
    headers = {"Idempotency-Key": key, "If-Match": seen}
    return await client.patch(
        f"/ledger/account/{account_id}{query}",
        json=facts,
        headers={name: value for name, value in headers.items() if value is not None},
    )


async def changed(client: httpx.AsyncClient, account_id: str, **facts: Any) -> dict[str, Any]:
    answer = await change(client, account_id, **facts)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def agrees_with_its_log(databases: TestDatabases) -> None:
    connection = await asyncpg.connect(databases.ledger_url)
    report = await verify(connection, MAIN_LEDGER_ID)
    await connection.close()
    assert report.findings == []


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_types_have_their_normal_side(ledger: httpx.AsyncClient) -> None:
    sides = {}
    for kind in ("asset", "liability", "equity", "income", "expense", "internal", "user"):
        answer = await ledger.post("/ledger/account/", json={"currency": "USD", "type": kind})
        sides[kind] = answer.json()["normal_side"]
    assert {kind for kind, side in sides.items() if side == "debit"} == {"asset", "expense"}
    answer = await ledger.post("/ledger/account/", json={"currency": "USD", "type": "merchant"})
    assert problem(answer) == (422, "unknown_account_type")
    assert answer.json()["account_type"] == "merchant"


async def test_declared_types_have_the_side_that_the_settings_say(
    databases: TestDatabases, serve: Serve
) -> None:
    settings = LedgerSettings(
        database_url=databases.ledger_url,
        account_types={"merchant": "credit", "till": "debit"},
        overdraft={"till": "20.00"},
    )
    client = await serve(create_app(settings))
    merchant, till = [
        (await client.post("/ledger/account/", json={"currency": "USD", "type": kind})).json()
        for kind in ("merchant", "till")
    ]
    assert (merchant["normal_side"], merchant["overdraft"]["policy"]) == ("credit", "refused")
    assert (till["normal_side"], till["overdraft"]["floor"]) == ("debit", "-20.00")


async def test_a_debit_normal_account_is_bounded_on_its_own_side(
    ledger: httpx.AsyncClient,
) -> None:
    cash = await open_account(
        ledger, "asset", overdraft={"policy": "refused"}, ceiling="100.00", code="assets:cash"
    )
    owner = await open_account(ledger, "equity")
    short = await transfer(ledger, owner, cash, "5.00")
    assert problem(short) == (422, "insufficient_funds")
    assert short.json()["account_id"] == cash
    assert {name: short.json()[name] for name in ("floor", "available", "shortfall", "posted")} == {
        "floor": "0.00",
        "available": "0.00",
        "shortfall": "5.00",
        "posted": "0.00",
    }
    assert (await transfer(ledger, cash, owner, "70.00")).status_code == 201
    full = await transfer(ledger, cash, owner, "40.00")
    assert problem(full) == (422, "above_ceiling")
    assert {name: full.json()[name] for name in ("ceiling", "room", "excess", "posted")} == {
        "ceiling": "100.00",
        "room": "30.00",
        "excess": "10.00",
        "posted": "70.00",
    }
    assert (await transfer(ledger, owner, cash, "70.00")).status_code == 201


async def test_codes_are_paths_of_one_account_each(ledger: httpx.AsyncClient) -> None:
    first = await open_account(ledger, "asset", code="assets:bank:main")
    taken = await ledger.post(
        "/ledger/account/", json={"currency": "USD", "type": "asset", "code": "assets:bank:main"}
    )
    assert problem(taken) == (422, "code_in_use")
    assert taken.json()["account_id"] == first
    other = await open_account(ledger)
    assert problem(await change(ledger, other, code="assets:bank:main")) == (422, "code_in_use")
    assert (await changed(ledger, other, code="users:anna"))["code"] == "users:anna"
    assert (await changed(ledger, other, code="users:anna"))["version"] == 3
    assert problem(await change(ledger, other, code="users:bob")) == (422, "code_fixed")
    for code in ("", ":", "a:", ":a", "a::b", "a b", "ä", "a" * 256):
        answer = await change(ledger, first, code=code)
        assert problem(answer) == (422, "invalid_request"), code


async def test_codes_belong_to_their_ledger(ledger: httpx.AsyncClient) -> None:
    assert (await ledger.put("/ledger/ledger/other")).status_code == 201
    await open_account(ledger, "asset", code="assets:bank")
    body = {"currency": "USD", "type": "asset", "code": "assets:bank"}
    assert (await ledger.post("/ledger/account/?ledger=other", json=body)).status_code == 201


async def test_one_of_many_openings_at_once_gets_the_code(ledger: httpx.AsyncClient) -> None:
    body = {"currency": "USD", "type": "asset", "code": "assets:bank"}
    answers = await asyncio.gather(*(ledger.post("/ledger/account/", json=body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 19


@pytest.mark.parametrize(
    ("frozen", "can_pay", "can_be_paid"),
    [
        ("none", True, True),
        ("debits", False, True),
        ("credits", True, False),
        ("all", False, False),
    ],
)
async def test_a_frozen_account_takes_what_it_may(
    ledger: httpx.AsyncClient, frozen: str, can_pay: bool, can_be_paid: bool
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    await transfer(ledger, funding, user, "50.00")
    assert (await changed(ledger, user, frozen=frozen))["frozen"] == frozen
    paid, got = (
        await transfer(ledger, user, funding, "1.00"),
        await transfer(ledger, funding, user, "1.00"),
    )
    for answer, may in ((paid, can_pay), (got, can_be_paid)):
        assert answer.status_code == (201 if may else 422)
        if not may:
            assert answer.json()["code"] == "account_frozen"
            assert (answer.json()["account_id"], answer.json()["frozen"]) == (user, frozen)
    await changed(ledger, user, frozen="none")
    assert (await transfer(ledger, user, funding, "1.00")).status_code == 201


async def test_an_account_is_closed_at_zero_and_opened_again(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    await transfer(ledger, funding, user, "50.00")
    refused = await change(ledger, user, status="closed")
    assert problem(refused) == (422, "account_not_empty")
    assert {name: refused.json()[name] for name in ("balance", "held_debits", "held_credits")} == {
        "balance": "50.00",
        "held_debits": "0.00",
        "held_credits": "0.00",
    }
    await transfer(ledger, user, funding, "50.00")
    assert (await changed(ledger, user, status="closed"))["status"] == "closed"
    answer = await transfer(ledger, funding, user, "1.00")
    assert problem(answer) == (422, "account_closed")
    assert (await changed(ledger, user, status="open"))["status"] == "open"
    assert (await transfer(ledger, funding, user, "1.00")).status_code == 201
    await agrees_with_its_log(databases)


async def test_limits_bound_what_comes_after_them(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    await transfer(ledger, funding, user, "50.00")
    shown = await changed(
        ledger, user, limits={"floor": "80.00", "ceiling": "100.00", "on": "posted"}
    )
    assert (shown["overdraft"], shown["ceiling"], shown["limits_on"]) == (
        {"policy": "floor", "floor": "80.00"},
        "100.00",
        "posted",
    )
    assert problem(await transfer(ledger, user, funding, "0.01")) == (422, "insufficient_funds")
    assert (await transfer(ledger, funding, user, "10.00")).status_code == 201, "towards the floor"
    assert problem(await transfer(ledger, funding, user, "40.01")) == (422, "above_ceiling")
    await changed(ledger, user, limits={"floor": None, "ceiling": None})
    assert (await transfer(ledger, user, funding, "500.00")).status_code == 201
    crossed = await change(ledger, user, limits={"floor": "2", "ceiling": "1"})
    assert problem(crossed) == (422, "limits_crossed")
    assert (crossed.json()["floor"], crossed.json()["ceiling"]) == ("2.00", "1.00")
    half = await change(ledger, user, limits={"floor": "2"})
    assert problem(half) == (422, "invalid_request"), "a bound that is left out is no bound"


async def test_a_change_may_ask_for_the_version_that_was_seen(ledger: httpx.AsyncClient) -> None:
    user = await open_account(ledger)
    seen = (await ledger.get(f"/ledger/account/{user}")).headers["etag"]
    assert seen == '"1"'
    first = await change(ledger, user, seen=seen, frozen="debits")
    assert (first.status_code, first.json()["version"]) == (200, 2)
    late = await change(ledger, user, seen=seen, frozen="none")
    assert problem(late) == (412, "version_mismatch")
    assert (late.json()["expected_version"], late.json()["version"]) == (1, 2)
    account = await ledger.get(f"/ledger/account/{user}")
    assert (account.json()["frozen"], account.headers["etag"]) == ("debits", '"2"')
    assert (await change(ledger, user, seen="*", frozen="none")).status_code == 200
    for text in ('W/"1"', "one", '"1", "2"', ""):
        answer = await change(ledger, user, seen=text, frozen="all")
        assert problem(answer) == (422, "invalid_request"), text


async def test_of_many_changes_to_one_version_one_is_made(ledger: httpx.AsyncClient) -> None:
    user = await open_account(ledger)
    answers = await asyncio.gather(
        *(change(ledger, user, seen='"1"', metadata={"by": place}) for place in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19


async def test_a_change_under_a_key_is_made_once(ledger: httpx.AsyncClient) -> None:
    user = await open_account(ledger)
    first = await change(ledger, user, key="k1", metadata={"a": 1})
    again = await change(ledger, user, key="k1", metadata={"a": 1})
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    for other in (
        await change(ledger, user, key="k1", metadata={"a": 2}),
        await change(ledger, user, key="k1", seen='"1"', metadata={"a": 1}),
        await change(ledger, await open_account(ledger), key="k1", metadata={"a": 1}),
    ):
        assert problem(other)[1] == "idempotency_key_reused"
    assert (await ledger.get(f"/ledger/account/{user}")).json()["version"] == 2


async def test_a_dry_change_and_a_dry_opening_change_nothing(ledger: httpx.AsyncClient) -> None:
    user = await open_account(ledger)
    dry = await change(ledger, user, query="?dry_run=true", frozen="all")
    assert (dry.status_code, dry.json()["frozen"], dry.json()["version"]) == (200, "all", 2)
    body = {"currency": "USD", "type": "asset", "code": "assets"}
    opened = await ledger.post("/ledger/account/?dry_run=true", json=body)
    assert (opened.status_code, opened.json()["code"]) == (200, "assets")
    assert (await ledger.get(f"/ledger/account/{user}")).json()["version"] == 1
    assert len((await ledger.get("/ledger/account/")).json()["accounts"]) == 1


async def test_the_history_of_an_account_has_each_change(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    user, other = await open_account(ledger, metadata={"name": "Anna"}), await open_account(ledger)
    made = [
        await changed(ledger, user, metadata={"name": "Anna", "country": "DE"}),
        await changed(ledger, user, frozen="debits"),
        await changed(ledger, other, frozen="all"),
        await changed(ledger, user, metadata={}),
    ]
    shown: list[dict[str, Any]] = []
    following: str | None = f"/ledger/account/{user}/history?limit=1"
    while following is not None:
        page = (await ledger.get(following)).json()
        shown += page["changes"]
        following = page["next"]
    assert [one["version"] for one in shown] == [1, 2, 3, 4]
    assert [one["kind"] for one in shown] == ["account_opened"] + ["account_changed"] * 3
    assert [one["metadata"] for one in shown] == [
        {"name": "Anna"},
        {"name": "Anna", "country": "DE"},
        None,
        {},
    ]
    assert shown[1:] == [made[0], made[1], made[3]]
    whole = (await ledger.get(f"/ledger/account/{user}/history")).json()
    assert (whole["changes"], whole["next"]) == (shown, None)
    account = (await ledger.get(f"/ledger/account/{user}")).json()
    assert (account["metadata"], account["frozen"], account["version"]) == ({}, "debits", 4)
    await agrees_with_its_log(databases)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"frozen": None},
        {"metadata": None},
        {"limits": None},
        {"status": "gone"},
        {"frozen": "some"},
        {"type": "asset"},
        {"limits": {"floor": 1, "ceiling": None}},
        {"limits": {"floor": "x", "ceiling": None}},
        {"limits": {"floor": "--1", "ceiling": None}},
        {"limits": {"floor": "0.001", "ceiling": None}},
        {"limits": {"floor": None, "ceiling": "9" * 19}},
    ],
)
async def test_what_is_no_change_is_refused_and_changes_nothing(
    ledger: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    user = await open_account(ledger)
    answer = await ledger.patch(f"/ledger/account/{user}", json=body)
    assert answer.status_code == 422, answer.text
    assert (await ledger.get(f"/ledger/account/{user}")).json()["version"] == 1


async def test_an_unknown_account_has_neither_changes_nor_history(
    ledger: httpx.AsyncClient,
) -> None:
    nobody = "01980b5c-6f5e-7c3a-9d55-0d4f4d1f2a99"
    assert problem(await change(ledger, nobody, frozen="all")) == (404, "not_found")
    answer = await ledger.get(f"/ledger/account/{nobody}/history")
    assert problem(answer) == (404, "not_found")


async def test_conditions_hold_a_transfer_to_what_was_seen(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    await transfer(ledger, funding, user, "50.00")
    at_one = [{"account_id": user, "expected_position": 1}]
    first = await transfer(ledger, user, funding, "5.00", conditions=at_one)
    assert first.status_code == 201
    late = await transfer(ledger, user, funding, "5.00", conditions=at_one)
    assert problem(late) == (422, "condition_failed")
    assert (late.json()["expected_position"], late.json()["position"]) == (1, 2)
    enough = [{"account_id": user, "min_balance_after": "40.00"}]
    short = await transfer(ledger, user, funding, "5.01", conditions=enough)
    assert problem(short) == (422, "condition_failed")
    assert (short.json()["balance_after"], short.json()["shortfall"]) == ("39.99", "0.01")
    assert (await transfer(ledger, user, funding, "5.00", conditions=enough)).status_code == 201
    assert await balance(ledger, user) == "40.00"


async def test_conditions_of_a_batch_are_those_of_each_item(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    item = {
        "source_account_id": funding,
        "destination_account_id": user,
        "amount": "1.00",
        "currency": "USD",
        "conditions": [{"account_id": user, "expected_position": 0}],
    }
    answer = await ledger.post("/ledger/batch/", json={"transfers": [item, item]})
    assert [one["status"] for one in answer.json()["results"]] == [201, 422]
    assert answer.json()["results"][1]["code"] == "condition_failed"


async def test_a_key_covers_the_conditions(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    asked = [{"account_id": user, "expected_position": 0}]
    first = await transfer(ledger, funding, user, "1.00", key="k", conditions=asked)
    again = await transfer(ledger, funding, user, "1.00", key="k", conditions=asked)
    other = await transfer(ledger, funding, user, "1.00", key="k")
    assert (first.status_code, again.content) == (201, first.content)
    assert problem(other)[1] == "idempotency_key_reused"


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"expected_position": -1},
        {"expected_position": 1.0},
        {"expected_position": True},
        {"min_balance_after": 1},
        {"expected_position": 2**63},
    ],
)
async def test_conditions_of_no_form_are_refused(
    ledger: httpx.AsyncClient, condition: dict[str, Any]
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    asked = [{"account_id": user} | condition]
    answer = await transfer(ledger, funding, user, "1.00", conditions=asked)
    assert problem(answer) == (422, "invalid_request")


async def test_a_condition_that_cannot_be_read_or_met_is_refused_by_name(
    ledger: httpx.AsyncClient,
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    for condition, code in (
        ({"account_id": user, "min_balance_after": "x"}, "amount_malformed"),
        ({"account_id": user, "min_balance_after": "0.001"}, "amount_scale"),
        (
            {"account_id": "01980b5c-6f5e-7c3a-9d55-0d4f4d1f2a99", "expected_position": 0},
            "unknown_account",
        ),
    ):
        answer = await transfer(ledger, funding, user, "1.00", conditions=[condition])
        assert problem(answer) == (422, code)
    assert await balance(ledger, user) == "0.00"

"""Holds over HTTP: what is kept, captured and given back, and what each answer and list shows."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import asyncpg as dialect

from ledger_service.domain.model import HoldStatus
from ledger_service.main import create_app
from ledger_service.repositories.holds import history_statement, page_statement
from ledger_service.settings import LedgerSettings
from ledger_service.tables import MAIN_LEDGER_ID
from tests.conftest import Serve
from tests.integration.ledger.calls import balance, open_account, transfer
from tests.integration.ledger.hold_calls import (
    Pair,
    ask,
    found_wrong,
    guest_and_hotel,
    head,
    place,
    placed,
    shown,
)
from tests.postgres import TestDatabases

BUFFERS_MAX = 100
MANY_HOLDS = """
WITH numbers AS (SELECT n FROM generate_series(1, 10000) n), placed AS (
    INSERT INTO ledger.journal (ledger_id, seq, entry_id, kind, effective_at, recorded_at, payload)
    SELECT 1, 1000 + n, lpad(to_hex(n), 32, '0')::uuid, 'hold_placed', now(), now(),
           json_build_object('metadata', '{}'::json,
                             'hold', json_build_object('hold_id', lpad(to_hex(n), 32, '0')::uuid))
    FROM numbers
)
INSERT INTO ledger.holds SELECT 1, lpad(to_hex(n), 32, '0')::uuid, $1, $2, 'USD', 2, 100, 0, 0, 0,
    CASE WHEN n % 3 = 0 THEN now() + interval '1 day' END,
    CASE n % 1000 WHEN 0 THEN 'open' WHEN 1 THEN 'expired' WHEN 2 THEN 'captured' ELSE 'voided' END
FROM numbers
"""


@pytest.fixture
async def pair(ledger: httpx.AsyncClient) -> Pair:
    return await guest_and_hotel(ledger)


async def test_a_hold_keeps_money_that_only_its_captures_move(
    ledger: httpx.AsyncClient, pair: Pair
) -> None:
    guest, hotel = pair
    answer = (await place(ledger, pair, reference="R-12", metadata={"room": 12})).json()
    hold_id = answer["hold_id"]
    assert answer["change"]["kind"] == "hold_placed"
    assert answer["change"]["entry_id"] == hold_id
    assert (answer["status"], answer["remaining"], answer["expires_at"]) == ("open", "60.00", None)
    assert (await balance(ledger, guest), await balance(ledger, hotel)) == ("100.00", "0.00")
    refused = (await transfer(ledger, guest, hotel, "40.01")).json()
    assert (refused["code"], refused["available"], refused["held"]) == (
        "insufficient_funds",
        "40.00",
        "60.00",
    )
    captured = (await ask(ledger, hold_id, "capture", amount="25.00", reference="F-1")).json()
    assert (captured["kind"], captured["hold_id"]) == ("hold_captured", hold_id)
    assert captured["amounts"] == [{"currency": "USD", "amount": "25.00"}]
    assert captured["balances"] == {guest: "75.00", hotel: "25.00"}
    assert captured["hold"]["remaining"] == "35.00"
    found = await shown(ledger, hold_id)
    assert (found["reference"], found["metadata"]) == ("R-12", {"room": 12})
    assert [change["kind"] for change in found["history"]] == ["hold_placed", "hold_captured"]
    assert [change["remaining"] for change in found["history"]] == ["60.00", "35.00"]
    assert found["history"][1]["entry_id"] == captured["transaction_id"]
    rows = (await ledger.get("/ledger/transactions/", params={"reference": "F-1"})).json()
    assert rows["transactions"][0]["transaction_id"] == captured["transaction_id"]


async def test_each_operation_says_what_it_left_and_the_verifier_agrees(
    ledger: httpx.AsyncClient, databases: TestDatabases, pair: Pair
) -> None:
    hold_id = await placed(ledger, pair, over_capture={"percent": "15"})
    ends_at = "2099-01-01T00:00:00Z"
    increased = (await ask(ledger, hold_id, "increase", amount="20.00")).json()
    assert (increased["amount"], increased["remaining"]) == ("80.00", "80.00")
    assert (increased["over_capture"], increased["change"]["amount"]) == ("9.00", "20.00")
    released = (await ask(ledger, hold_id, "release", amount="5.00")).json()
    assert (released["status"], released["released"], released["remaining"]) == (
        "open",
        "5.00",
        "75.00",
    )
    captured = (await ask(ledger, hold_id, "capture", amount="30.00")).json()
    assert (captured["hold"]["captured"], captured["hold"]["remaining"]) == ("30.00", "45.00")
    rest = (await ask(ledger, hold_id, "capture", amount="40.00", final=True)).json()["hold"]
    assert (rest["status"], rest["captured"], rest["released"]) == ("captured", "70.00", "10.00")
    other = await placed(ledger, pair, "10.00", expires_at=ends_at)
    voided = (await ask(ledger, other, "void")).json()
    assert (voided["status"], voided["released"], voided["expires_at"]) == (
        "voided",
        "10.00",
        "2099-01-01T00:00:00.000000Z",
    )
    assert [one["kind"] for one in (await shown(ledger, hold_id))["history"]] == [
        "hold_placed",
        "hold_increased",
        "hold_released",
        "hold_captured",
        "hold_captured",
    ]
    assert (await transfer(ledger, *pair, "30.00")).status_code == 201, "nothing is held any more"
    assert await balance(ledger, pair[0]) == "0.00"
    assert await found_wrong(databases) == []


async def test_captures_go_beyond_the_hold_by_so_much_and_need_funds_for_that(
    ledger: httpx.AsyncClient, pair: Pair
) -> None:
    hold_id = await placed(ledger, pair, over_capture={"amount": "9.00"})
    assert (await transfer(ledger, *pair, "35.00")).status_code == 201
    refused = (await ask(ledger, hold_id, "capture", amount="69.01")).json()
    assert (refused["code"], refused["largest"], refused["excess"]) == (
        "hold_exceeded",
        "69.00",
        "0.01",
    )
    unfunded = (await ask(ledger, hold_id, "capture", amount="66.00")).json()
    assert (unfunded["code"], unfunded["available"], unfunded["shortfall"]) == (
        "insufficient_funds",
        "5.00",
        "1.00",
    )
    captured = (await ask(ledger, hold_id, "capture", amount="65.00")).json()
    assert captured["hold"]["status"] == "captured"
    assert captured["balances"] == {pair[0]: "0.00", pair[1]: "100.00"}


async def test_a_share_of_the_amount_is_rounded_down(ledger: httpx.AsyncClient, pair: Pair) -> None:
    for percent, amount, over in (
        ("15", "60.00", "9.00"),
        ("0", "30.00", "0.00"),
        ("33.3333", "0.10", "0.03"),
        ("999.9999", "1.00", "9.99"),
    ):
        answer = await place(ledger, pair, amount, over_capture={"percent": percent})
        assert answer.json()["over_capture"] == over


async def test_a_key_gets_its_first_answer_again(ledger: httpx.AsyncClient, pair: Pair) -> None:
    facts: dict[str, Any] = {
        "key": "p",
        "expires_in_seconds": 3600,
        "over_capture": {"amount": "5"},
    }
    answers = [await place(ledger, pair, **facts) for _ in range(2)]
    hold_id = answers[0].json()["hold_id"]
    asked: list[tuple[str, dict[str, Any]]] = [
        ("increase", {"amount": "1.00", "expires_in_seconds": 7200}),
        ("release", {"amount": "1.00"}),
        ("capture", {"amount": "10.00"}),
        ("void", {}),
    ]
    for operation, body in asked:
        answers += [await ask(ledger, hold_id, operation, f"k-{operation}", **body) for _ in "ab"]
    seq = await head(ledger)
    answers += [await place(ledger, pair, **facts) for _ in range(2)]
    for first, again in zip(answers[::2], answers[1::2], strict=True):
        assert (first.status_code, again.status_code) == (201, 201), first.text
        assert first.content == again.content
        assert again.headers["Idempotency-Replayed"] == "true"
    assert answers[-1].content == answers[0].content
    assert await head(ledger) == seq
    for operation, body in asked:
        other = await ask(ledger, hold_id, operation, f"k-{operation}", **body, metadata={"a": 1})
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_refusal_is_kept_under_its_key(ledger: httpx.AsyncClient, pair: Pair) -> None:
    first = await place(ledger, pair, "100.01", key="much")
    assert (first.status_code, first.json()["shortfall"]) == (422, "0.01")
    hold_id = await placed(ledger, pair, "100.00")
    refused = await ask(ledger, hold_id, "release", "r", amount="100.01")
    assert refused.json()["code"] == "hold_exceeded"
    await ask(ledger, hold_id, "void")
    again = await ask(ledger, hold_id, "release", "r", amount="100.01")
    assert again.content == refused.content
    assert (await place(ledger, pair, "100.01", key="much")).content == first.content


async def test_a_dry_run_tells_and_writes_nothing(ledger: httpx.AsyncClient, pair: Pair) -> None:
    hold_id = await placed(ledger, pair)
    seq = await head(ledger)
    dry = {"dry_run": "true"}
    path = f"/ledger/hold/{hold_id}"
    would = await place(ledger, pair, "40.00", dry_run=True)
    assert (would.status_code, would.json()["remaining"]) == (200, "40.00")
    assert would.json()["balances"] == {
        pair[0]: {
            "balance": "100.00",
            "pending_debits": "100.00",
            "pending_credits": "0.00",
            "available": "0.00",
        },
        pair[1]: {
            "balance": "0.00",
            "pending_debits": "0.00",
            "pending_credits": "100.00",
            "available": "0.00",
        },
    }
    for operation, body in (
        ("increase", {"amount": "40.00"}),
        ("capture", {}),
        ("release", {"amount": "1.00"}),
        ("void", {}),
    ):
        answer = await ledger.post(f"{path}/{operation}", params=dry, json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["seq" if operation == "capture" else "change"]
    too_much = await ledger.post(f"{path}/increase", params=dry, json={"amount": "40.01"})
    assert (too_much.status_code, too_much.json()["shortfall"]) == (422, "0.01")
    assert await head(ledger) == seq
    assert (await shown(ledger, hold_id))["remaining"] == "60.00"


NO_HOLDS: list[dict[str, Any]] = [
    {"over_capture": {}},
    {"over_capture": {"amount": "1.00", "percent": "1"}},
    {"over_capture": {"percent": "-1"}},
    {"over_capture": {"percent": "1e2"}},
    {"over_capture": {"percent": "١٥"}},
    {"over_capture": {"amount": "-1.00"}},
    {"over_capture": {"amount": "0.001"}},
    {"over_capture": {"amount": "9" * 19}},
    {"amount": "0.00"},
    {"amount": "60.001", "over_capture": {"percent": "10"}},
    {"amount": "sixty", "over_capture": {"percent": "10"}},
    {"amount": 60.0},
    {"currency": "XQX", "over_capture": {"percent": "10"}},
    {"currency": "EUR"},
    {"expires_in_seconds": 0},
    {"expires_in_seconds": 10**9},
    {"expires_in_seconds": "60"},
    {"expires_in_seconds": 60, "expires_at": "2099-01-01T00:00:00Z"},
    {"expires_at": "2020-01-01T00:00:00Z"},
    {"expires_at": "2099-01-01"},
    {"expires_at": 4_000_000_000},
    {"reference": ""},
    {"reference": "\0"},
    {"surprise": 1},
    {"conditions": [{"account_id": "00000000-0000-7000-8000-000000000000"}]},
]


async def test_what_makes_no_hold_is_refused_and_writes_nothing(
    ledger: httpx.AsyncClient, pair: Pair
) -> None:
    seq = await head(ledger)
    for facts in NO_HOLDS:
        answer = await place(ledger, pair, **facts)
        assert (answer.status_code, bool(answer.json()["code"])) == (422, True), (facts, answer)
    assert await head(ledger) == seq


async def test_what_cannot_be_done_to_a_hold_is_refused_by_name(
    ledger: httpx.AsyncClient, pair: Pair
) -> None:
    hold_id, nobody = await placed(ledger, pair), "01980b5c-7002-7c3d-9f4e-00000000dead"
    seq = await head(ledger)
    for target, operation, body, code in (
        (nobody, "void", {}, "unknown_hold"),
        (hold_id, "capture", {"amount": "60.01"}, "hold_exceeded"),
        (hold_id, "release", {"amount": "60.01"}, "hold_exceeded"),
        (hold_id, "capture", {"amount": "0.00"}, "amount_not_positive"),
        (hold_id, "increase", {"amount": "40.01"}, "insufficient_funds"),
        (hold_id, "increase", {"amount": "1", "expires_in_seconds": 9}, "expiry_earlier"),
        (hold_id, "capture", {"effective_at": "2099-01-01T00:00:00Z"}, "effective_at_in_future"),
        (hold_id, "release", {}, "invalid_request"),
        ("what", "void", {}, "invalid_request"),
    ):
        answer = await ask(ledger, target, operation, **body)
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert await head(ledger) == seq
    assert (await ask(ledger, hold_id, "void")).status_code == 201
    for operation, more in (("void", {}), ("capture", {}), ("increase", {"amount": "1"})):
        ended = (await ask(ledger, hold_id, operation, **more)).json()
        assert (ended["code"], ended["status"]) == ("hold_not_open", 422)
        assert (ended["remaining"], ended["released"]) == ("0.00", "60.00")
    assert (await ledger.get(f"/ledger/hold/{nobody}")).status_code == 404


async def test_bodies_may_be_left_out_where_nothing_needs_to_be_said(
    ledger: httpx.AsyncClient, pair: Pair
) -> None:
    first, second = await placed(ledger, pair, "1.00"), await placed(ledger, pair, "2.00")
    captured = await ledger.post(f"/ledger/hold/{first}/capture")
    assert captured.json()["hold"]["captured"] == "1.00"
    assert (await ledger.post(f"/ledger/hold/{second}/void")).json()["status"] == "voided"


async def test_a_capture_may_be_backdated(ledger: httpx.AsyncClient, pair: Pair) -> None:
    hold_id = await placed(ledger, pair)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    captured = (await ask(ledger, hold_id, "capture", effective_at=yesterday)).json()
    assert captured["late"] is True
    assert captured["effective_at"] < captured["recorded_at"]
    change = (await shown(ledger, hold_id))["history"][-1]
    assert (change["late"], change["effective_at"]) == (True, captured["effective_at"])


async def test_a_capture_is_reversed_like_any_transaction(
    ledger: httpx.AsyncClient, databases: TestDatabases, pair: Pair
) -> None:
    hold_id = await placed(ledger, pair)
    captured = (await ask(ledger, hold_id, "capture", amount="25.00")).json()
    path = f"/ledger/transaction/{captured['transaction_id']}"
    assert (await ledger.post(f"{path}/reverse", json={})).status_code == 201
    again = (await ledger.post(f"{path}/reverse", json={})).json()
    assert again["code"] == "reversal_exceeds_original"
    assert await balance(ledger, pair[0]) == "100.00"
    found = await shown(ledger, hold_id)
    assert (found["captured"], found["remaining"]) == ("25.00", "35.00")
    read = (await ledger.get(path)).json()
    assert (read["kind"], read["hold_id"]) == ("hold_captured", hold_id)
    assert [line["left_to_reverse"] for line in read["lines"]] == ["0.00", "0.00"]
    assert await found_wrong(databases) == []


async def test_lists_show_each_hold_once_by_side_and_by_status(
    ledger: httpx.AsyncClient, pair: Pair
) -> None:
    guest, hotel = pair
    bar = await open_account(ledger)
    kept = [await placed(ledger, pair, "1.00", metadata={"n": n}) for n in range(7)]
    voided = await placed(ledger, (guest, bar), "2.00", reference="BAR")
    await ask(ledger, voided, "void")
    await ask(ledger, kept[0], "capture")

    async def listed(**params: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        link = "/ledger/hold/"
        while link:
            page = (await ledger.get(link, params=None if rows else params)).json()
            rows += page["holds"]
            link = page["next"]
        return rows

    async def ids(**params: Any) -> list[str]:
        return [row["hold_id"] for row in await listed(**params)]

    assert await ids(limit=2) == [*kept, voided]
    assert await ids(limit=1, account_id=hotel) == kept
    assert await ids(account_id=guest, limit=3) == [*kept, voided]
    assert await ids(account_id=bar) == [voided]
    assert await ids(status="open", limit=2) == kept[1:]
    assert await ids(status="captured", account_id=hotel) == kept[:1]
    assert await ids(status="voided") == [voided]
    assert await ids(status="expired") == []
    (row,) = await listed(account_id=bar)
    assert (row["reference"], row["status"], row["remaining"]) == ("BAR", "voided", "0.00")
    assert (await listed(status="captured"))[0]["metadata"] == {"n": 0}
    assert (await ledger.get("/ledger/hold/", params={"status": "lost"})).status_code == 422
    foreign = (await ledger.get("/ledger/account/", params={"limit": 1})).json()["next_cursor"]
    wrong = await ledger.get("/ledger/hold/", params={"cursor": foreign})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_cursor")


async def test_holds_belong_to_their_ledger(ledger: httpx.AsyncClient, pair: Pair) -> None:
    assert (await ledger.put("/ledger/ledger/berlin")).status_code == 201
    berlin = {"ledger": "berlin"}
    body = {"currency": "USD", "type": "internal"}
    till, safe = [
        (await ledger.post("/ledger/account/", params=berlin, json=body)).json()["account_id"]
        for _ in range(2)
    ]
    hold_id = await placed(ledger, (till, safe), "5.00")
    path = f"/ledger/hold/{hold_id}"
    assert (await ledger.get(path)).status_code == 404
    assert (await ledger.post(f"{path}/void")).json()["code"] == "unknown_hold"
    assert (await ledger.post(f"{path}/void", params=berlin)).status_code == 201
    assert (await ledger.get(path, params=berlin)).json()["status"] == "voided"
    across = await place(ledger, (till, pair[1]), "1.00")
    assert across.json()["code"] == "unknown_account"


async def test_two_services_capture_no_more_than_is_held(
    ledger: httpx.AsyncClient, databases: TestDatabases, serve: Serve, pair: Pair
) -> None:
    second = await serve(create_app(LedgerSettings(database_url=databases.ledger_url)))
    hold_id = await placed(ledger, pair, "30.00")
    clients = (ledger, second) * 25
    answers = await asyncio.gather(
        *(ask(client, hold_id, "capture", amount="1.00") for client in clients)
    )
    assert Counter(answer.status_code for answer in answers) == {201: 30, 422: 20}
    refusals = {answer.json()["code"] for answer in answers if answer.status_code == 422}
    assert refusals == {"hold_not_open"}
    voids = await asyncio.gather(*(ask(client, hold_id, "void") for client in clients))
    assert {answer.json()["code"] for answer in voids} == {"hold_not_open"}
    assert await balance(ledger, pair[1]) == "30.00"
    assert await found_wrong(databases) == []


async def test_two_services_void_once(
    ledger: httpx.AsyncClient, databases: TestDatabases, serve: Serve, pair: Pair
) -> None:
    second = await serve(create_app(LedgerSettings(database_url=databases.ledger_url)))
    hold_id = await placed(ledger, pair, "100.00")
    clients = (ledger, second) * 10
    voids = await asyncio.gather(*(ask(client, hold_id, "void") for client in clients))
    assert Counter(answer.status_code for answer in voids) == {201: 1, 422: 19}
    again = await asyncio.gather(*(place(client, pair, "60.00") for client in clients))
    assert Counter(answer.status_code for answer in again) == {201: 1, 422: 19}


async def test_the_examples_of_the_document_work_on_the_last_open_hold(
    ledger: httpx.AsyncClient,
) -> None:
    await open_account(ledger, "internal")
    await open_account(ledger)
    document = (await ledger.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    example = schemas["PlaceHoldBody"]["examples"][0]
    hold_id = (await ledger.post("/ledger/hold/", json=example)).json()["hold_id"]
    document = (await ledger.get("/openapi.json")).json()
    for operation, body, status in (
        ("increase", "IncreaseHoldBody", 201),
        ("capture", "CaptureHoldBody", 201),
        ("release", "ReleaseHoldBody", 201),
        ("void", "VoidHoldBody", 201),
    ):
        path = document["paths"][f"/ledger/hold/{{hold_id}}/{operation}"]["post"]
        (parameter,) = [one for one in path["parameters"] if one["in"] == "path"]
        assert parameter["examples"]["a hold"]["value"] == hold_id
        example = document["components"]["schemas"][body]["examples"][0]
        assert (await ask(ledger, hold_id, operation, **example)).status_code == status


async def test_no_list_reads_more_than_its_page(
    ledger: httpx.AsyncClient, databases: TestDatabases, pair: Pair
) -> None:
    """Ten thousand holds that have ended, and some that are open."""
    hold_id = UUID(await placed(ledger, pair))
    admin = await asyncpg.connect(databases.admin_url)
    await admin.execute(MANY_HOLDS, *map(UUID, pair))
    await admin.execute("ANALYZE ledger.holds; ANALYZE ledger.journal")
    now, plans = datetime.now(UTC), []
    for account_id in (None, UUID(pair[0]), UUID(pair[1])):
        for status in (None, *HoldStatus):
            for after in (None, UUID(int=5_000)):
                statement = page_statement(
                    MAIN_LEDGER_ID,
                    now=now,
                    account_id=account_id,
                    status=status,
                    after=after,
                    limit=10,
                )
                plans.append(await _explain(admin, statement))
    plans.append(await _explain(admin, history_statement(MAIN_LEDGER_ID, hold_id)))
    await admin.close()
    for plan, buffers in plans:
        assert "Seq Scan" not in plan
        assert buffers <= BUFFERS_MAX, plan
    assert "ix_journal__holds" in plans[-1][0]


async def _explain(admin: asyncpg.Connection, statement: Select[Any]) -> tuple[str, int]:
    compiled = statement.compile(dialect=dialect.dialect())  # type: ignore[no-untyped-call]
    values = [compiled.params[name] for name in compiled.positiontup or ()]
    text = await admin.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {compiled}", *values)
    plan = json.loads(text)[0]["Plan"]
    return text, plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]

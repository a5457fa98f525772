"""Every kind that moves money, as lists, streams, pages and single answers show it."""

import asyncio
import csv
import io
import json
from typing import Any

import asyncpg
import httpx
import pytest

from ledger_service.projections.verifier import verify
from ledger_service.tables import MAIN_LEDGER_ID
from migrations.index_metadata import index_metadata
from tests.integration.ledger.calls import open_account, transfer
from tests.integration.ledger.postings import (
    an_exchange,
    open_bureau,
    post,
    posted,
    refused,
    split,
)
from tests.postgres import TestDatabases


@pytest.fixture
async def all_kinds(ledger: httpx.AsyncClient) -> list[dict[str, Any]]:
    """One posting of each kind, all under one reference, behind the one that funded Anna.

    Between them is what moves nothing: a hold that is placed, an account that is opened.
    """
    bureau = await open_bureau(ledger)
    facts: dict[str, Any] = {"reference": "R-1", "metadata": {"description": "=1+1", "order": 7}}
    parties = {
        "source_account_id": bureau["anna"],
        "destination_account_id": bureau["till"],
        "currency": "USD",
    }
    held = posted(await post(ledger, "hold/", parties | facts | {"amount": "8.00"}))
    paid = (await transfer(ledger, bureau["anna"], bureau["till"], "7.00", **facts)).json()
    many = await split(ledger, bureau["till"], bureau["anna"], bureau["exchange_dollars"], **facts)
    fx = posted(await post(ledger, "exchange/", an_exchange(bureau, bought="9.22") | facts))
    back = posted(await post(ledger, f"transaction/{fx['transaction_id']}/reverse", facts))
    await open_account(ledger)
    capture = posted(await post(ledger, f"hold/{held['hold_id']}/capture", facts))
    return [paid, many, fx, back, capture]


async def test_lists_show_every_kind_with_its_amounts_by_currency(
    ledger: httpx.AsyncClient, all_kinds: list[dict[str, Any]]
) -> None:
    rows = (await ledger.get("/ledger/transactions/", params={"limit": 500})).json()["transactions"]
    assert [row["seq"] for row in rows][1:] == [one["seq"] for one in all_kinds]
    dollars, euros = {"amount": "10.00", "currency": "USD"}, {"amount": "9.22", "currency": "EUR"}
    assert [row["amounts"] for row in rows][1:] == [
        [{"amount": "7.00", "currency": "USD"}],
        [dollars],
        [dollars, euros],
        [dollars, euros],
        [{"amount": "8.00", "currency": "USD"}],
    ]
    streamed = await ledger.get("/ledger/transactions/", headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line) for line in streamed.text.splitlines()] == rows
    table = await ledger.get("/ledger/transactions/", headers={"Accept": "text/csv"})
    cells = list(csv.DictReader(io.StringIO(table.text)))
    assert [(row["seq"], row["amount"], row["currency"]) for row in cells] == [
        (str(row["seq"]), amount["amount"], amount["currency"])
        for row in rows
        for amount in row["amounts"]
    ]
    assert {row["description"] for row in cells[1:]} == {"'=1+1"}


@pytest.mark.parametrize("by_time", [False, True])
async def test_pages_find_every_kind_by_reference_and_time(
    ledger: httpx.AsyncClient, all_kinds: list[dict[str, Any]], by_time: bool
) -> None:
    params: dict[str, Any] = {"limit": 1}
    if by_time:
        params["effective_from"] = all_kinds[0]["effective_at"]
    else:
        params["reference"] = "R-1"
    found = []
    while True:
        page = (await ledger.get("/ledger/transactions/", params=params)).json()
        found += [row["seq"] for row in page["transactions"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert found == [one["seq"] for one in all_kinds]


@pytest.mark.usefixtures("all_kinds")
async def test_the_log_replays_to_the_same_books(databases: TestDatabases) -> None:
    connection = await asyncpg.connect(databases.ledger_url)
    report = await verify(connection, MAIN_LEDGER_ID)
    await connection.close()
    assert report.findings == []
    assert report.events == 2 + 2 + 3 + 5 + 5 + 2


async def test_what_each_kind_shows_is_what_it_was_answered(
    ledger: httpx.AsyncClient, all_kinds: list[dict[str, Any]]
) -> None:
    for one in all_kinds:
        shown = (await ledger.get(f"/ledger/transaction/{one['transaction_id']}")).json()
        for line in shown.get("lines", ()):
            line.pop("left_to_reverse")
        for member in ("kind", "lines", "amounts", "exchange", "reverses", "effective_at"):
            assert shown.get(member) == one.get(member)
    held = shown["hold_id"]
    assert (await ledger.get(f"/ledger/transactions/{held}")).status_code == 404


async def test_a_captured_hold_is_reversed_like_a_transfer(
    ledger: httpx.AsyncClient, all_kinds: list[dict[str, Any]]
) -> None:
    capture = all_kinds[-1]["transaction_id"]
    path = f"transaction/{capture}/reverse"
    assert posted(await post(ledger, path, {"amount": "3.00"}))["kind"] == "reversal"
    found = refused(await post(ledger, path, {"amount": "5.01"}), "reversal_exceeds_original")
    assert found["left"] == "5.00"
    shown = (await ledger.get(f"/ledger/transaction/{capture}")).json()
    assert [line["left_to_reverse"] for line in shown["lines"]] == ["5.00", "5.00"]


async def test_closed_periods_move_refuse_or_warn(ledger: httpx.AsyncClient) -> None:
    bureau = await open_bureau(ledger)
    june = {
        "name": "June 2025",
        "starts_at": "2025-06-01T00:00:00Z",
        "ends_at": "2025-07-01T00:00:00Z",
    }
    period = posted(await post(ledger, "period/", june))["period_id"]
    asked = {"effective_at": "2025-06-30T12:00:00.000000Z"}
    posted(await post(ledger, f"period/{period}/close", {"status": "soft"}))
    warned = posted(await post(ledger, "exchange/", an_exchange(bureau) | asked))
    assert warned["dating"] == {"period_id": period, "status": "soft", "asked_at": None}
    adjusting = await split(ledger, bureau["till"], bureau["anna"], adjusting=True, **asked)
    assert ("dating" in adjusting, adjusting["late"]) == (False, True)
    moving = {"status": "hard", "late": "next_open_day"}
    posted(await post(ledger, f"period/{period}/close", moving))
    moved = await split(ledger, bureau["till"], bureau["anna"], **asked)
    assert moved["effective_at"] == "2025-07-01T00:00:00.000000Z"
    assert moved["dating"] == {
        "period_id": period,
        "status": "hard",
        "asked_at": "2025-06-30T12:00:00.000000Z",
    }
    back = f"transaction/{warned['transaction_id']}/reverse"
    assert posted(await post(ledger, back, asked))["effective_at"] == moved["effective_at"]
    paid = await transfer(ledger, bureau["till"], bureau["anna"], "1.00", **asked)
    assert paid.json()["dating"] == moved["dating"]


FILTERS: list[tuple[dict[str, str], list[int]]] = [
    ({"kind": "exchange"}, [2]),
    ({"kind": "hold_captured"}, [4]),
    ({"currency": "EUR"}, [2, 3]),
    ({"amount_from": "8", "amount_to": "8.00"}, [4]),
    ({"amount_from": "8.01", "reference": "R-1"}, [1, 2, 3]),
    ({"amount_to": "9.22", "currency": "EUR", "kind": "reversal"}, [3]),
    ({"amount_from": "10.01", "currency": "EUR"}, []),
    ({"account_id": "exchange_euros"}, [2, 3]),
    ({"account_id": "exchange_dollars"}, [1, 2, 3]),
    ({"account_id": "anna", "kind": "transaction"}, [1]),
    ({"metadata": "order=7", "amount_to": "9"}, [0, 4]),
    ({"metadata": "order=7", "kind": "exchange"}, [2]),
    ({"metadata": "order=8"}, []),
]


async def test_filters_find_exactly_what_fits_them_all(
    ledger: httpx.AsyncClient, databases: TestDatabases, all_kinds: list[dict[str, Any]]
) -> None:
    await asyncio.to_thread(index_metadata, databases.admin_url, "transactions", "order")
    many, fx = all_kinds[1]["lines"], all_kinds[2]["lines"]
    accounts = {"anna": many[1], "exchange_dollars": many[2], "exchange_euros": fx[2]}
    for params, places in FILTERS:
        wanted = dict(params)
        if "account_id" in wanted:
            wanted["account_id"] = accounts[wanted["account_id"]]["account_id"]
        seqs = [all_kinds[place]["seq"] for place in places]
        for accept in ("application/json", "application/x-ndjson", "text/csv"):
            answer = await ledger.get(
                "/ledger/transactions/", params=wanted, headers={"Accept": accept}
            )
            assert _seqs(answer) == seqs, (params, accept)


def _seqs(answer: httpx.Response) -> list[int]:
    """Return the transactions that a page or a stream shows, each once."""
    assert answer.status_code == 200, answer.text
    media_type = answer.headers["content-type"].partition(";")[0]
    if media_type == "application/json":
        return [row["seq"] for row in answer.json()["transactions"]]
    if media_type == "text/csv":
        cells = csv.DictReader(io.StringIO(answer.text))
        return list(dict.fromkeys(int(row["seq"]) for row in cells))
    return [json.loads(line)["seq"] for line in answer.text.splitlines()]


async def test_filters_that_ask_nothing_are_refused(ledger: httpx.AsyncClient) -> None:
    for name, value, code in (
        ("metadata", "colour=red", "metadata_key_not_indexed"),
        ("metadata", "colour", "invalid_request"),
        ("kind", "hold_placed", "invalid_request"),
        ("amount_from", "-1", "invalid_request"),
        ("amount_to", "1e3", "invalid_request"),
        ("currency", "usd", "invalid_request"),
    ):
        refused(await ledger.get("/ledger/transactions/", params={name: value}), code)

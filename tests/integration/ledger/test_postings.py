"""Transactions of many legs, exchanges and reversals over HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.integration.ledger.calls import balance, open_account, transfer
from tests.integration.ledger.postings import (
    an_exchange,
    open_bureau,
    post,
    posted,
    refused,
    split,
)

UNKNOWN = "01890000-0000-7000-8000-000000000000"


@pytest.fixture
async def bureau(ledger: httpx.AsyncClient) -> dict[str, str]:
    return await open_bureau(ledger)


async def test_shares_divide_what_the_amounts_leave(ledger: httpx.AsyncClient) -> None:
    till, shop, fee, tax = [await open_account(ledger, "internal") for _ in range(4)]
    body = {
        "debits": [{"account_id": till, "amount": "10.00"}],
        "credits": [
            {"account_id": fee, "amount": "0.99"},
            {"account_id": shop, "share": 2},
            {"account_id": tax, "share": 1},
        ],
        "reference": "ORDER-7",
    }
    document = posted(await post(ledger, "transaction/", body, key="split"))
    assert document["kind"] == "transaction"
    assert [(line["line"], line["direction"], line["amount"]) for line in document["lines"]] == [
        (1, "debit", "10.00"),
        (2, "credit", "0.99"),
        (3, "credit", "6.01"),
        (4, "credit", "3.00"),
    ]
    assert document["amounts"] == [{"currency": "USD", "amount": "10.00"}]
    assert document["balances"] == {till: "-10.00", fee: "0.99", shop: "6.01", tax: "3.00"}
    again = await post(ledger, "transaction/", body, key="split")
    assert again.json() == document
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await balance(ledger, shop) == "6.01"


async def test_what_does_not_balance_is_refused_by_currency(
    ledger: httpx.AsyncClient, bureau: dict[str, str]
) -> None:
    body = {
        "debits": [
            {"account_id": bureau["till"], "amount": "5.00"},
            {"account_id": bureau["exchange_euros"], "amount": "3.00"},
        ],
        "credits": [
            {"account_id": bureau["exchange_dollars"], "amount": "5.00"},
            {"account_id": bureau["rounding"], "amount": "2.50"},
        ],
    }
    found = refused(await post(ledger, "transaction/", body), "unbalanced_transaction")
    assert found["currencies"] == [
        {"currency": "EUR", "debits": "3.00", "credits": "2.50", "difference": "0.50"}
    ]
    body["credits"][1]["amount"] = "3.00"
    document = posted(await post(ledger, "transaction/", body))
    assert document["amounts"] == [
        {"currency": "USD", "amount": "5.00"},
        {"currency": "EUR", "amount": "3.00"},
    ]
    assert await balance(ledger, bureau["rounding"]) == "3.00"


async def test_floors_bound_the_net_effect_of_all_legs(
    ledger: httpx.AsyncClient, bureau: dict[str, str]
) -> None:
    anna, till = bureau["anna"], bureau["till"]
    body = {
        "debits": [{"account_id": anna, "amount": "150.00"}],
        "credits": [
            {"account_id": anna, "amount": "50.00"},
            {"account_id": till, "amount": "100.00"},
        ],
    }
    assert posted(await post(ledger, "transaction/", body))["balances"][anna] == "0.00"
    body["credits"] = [{"account_id": till, "amount": "150.00"}]
    found = refused(await post(ledger, "transaction/", body), "insufficient_funds")
    assert (found["account_id"], found["shortfall"]) == (anna, "150.00")


async def test_conditions_hold_for_all_legs_or_nothing_is_posted(
    ledger: httpx.AsyncClient, bureau: dict[str, str]
) -> None:
    anna, till = bureau["anna"], bureau["till"]
    body: dict[str, Any] = {
        "debits": [{"account_id": anna, "amount": "30.00"}],
        "credits": [{"account_id": till, "amount": "30.00"}],
        "conditions": [{"account_id": anna, "min_balance_after": "70.01"}],
    }
    found = refused(await post(ledger, "transaction/", body), "condition_failed")
    assert (found["balance_after"], found["shortfall"]) == ("70.00", "0.01")
    body["conditions"] = [{"account_id": anna, "expected_position": 1}]
    posted(await post(ledger, "transaction/", body))
    found = refused(await post(ledger, "transaction/", body), "condition_failed")
    assert (found["expected_position"], found["position"]) == (1, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"debits": []},
        {"credits": [{"account_id": UNKNOWN}]},
        {"credits": [{"account_id": UNKNOWN, "amount": "1.00", "share": 1}]},
        {"credits": [{"account_id": UNKNOWN, "share": 0}]},
        {"credits": [{"account_id": UNKNOWN, "share": 1}] * 500},
        {"credits": [{"account_id": UNKNOWN, "share": 1.5}]},
        {"conditions": [{"account_id": UNKNOWN}]},
    ],
)
async def test_what_is_no_transaction_is_an_invalid_request(
    ledger: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    body = {
        "debits": [{"account_id": UNKNOWN, "amount": "1.00"}],
        "credits": [{"account_id": UNKNOWN, "amount": "1.00"}],
    }
    refused(await post(ledger, "transaction/", body | change), "invalid_request")


async def test_five_hundred_legs_are_posted_at_once(ledger: httpx.AsyncClient) -> None:
    till, shop = await open_account(ledger, "internal"), await open_account(ledger)
    document = await split(ledger, till, *[shop] * 499)
    assert len(document["lines"]) == 500
    amounts = [line["amount"] for line in document["lines"][1:]]
    assert amounts == ["0.03"] * 2 + ["0.02"] * 497
    assert document["balances"][shop] == "10.00"


async def test_an_exchange_records_rate_amounts_and_rounding(
    ledger: httpx.AsyncClient, bureau: dict[str, str]
) -> None:
    document = posted(await post(ledger, "exchange/", an_exchange(bureau, bought="9.22"), "fx"))
    assert document["kind"] == "exchange"
    assert document["exchange"] == {
        "rate": "0.92135",
        "rate_source": "test",
        "sold": {"currency": "USD", "amount": "10.00"},
        "bought": {"currency": "EUR", "amount": "9.22"},
        "rounding": "0.01",
    }
    assert document["balances"] == {
        bureau["anna"]: "90.00",
        bureau["exchange_dollars"]: "10.00",
        bureau["exchange_euros"]: "-9.21",
        bureau["anna_euros"]: "9.22",
        bureau["rounding"]: "-0.01",
    }
    again = await post(ledger, "exchange/", an_exchange(bureau, bought="9.22"), "fx")
    assert again.json() == document
    plain = posted(await post(ledger, "exchange/", an_exchange(bureau)))
    assert plain["exchange"]["rounding"] == "0.00"
    assert len(plain["lines"]) == 4


async def test_an_exchange_far_from_its_rate_is_refused_with_all_numbers(
    ledger: httpx.AsyncClient, bureau: dict[str, str]
) -> None:
    found = refused(
        await post(ledger, "exchange/", an_exchange(bureau, bought="9.23")), "rate_mismatch"
    )
    assert (found["product"], found["bought"], found["difference"]) == ("9.21", "9.23", "0.02")
    unnamed = an_exchange(bureau, bought="9.22", rounding_account_id=None)
    found = refused(await post(ledger, "exchange/", unnamed), "rate_mismatch")
    assert "rounding account" in found["detail"]
    assert await balance(ledger, bureau["anna"]) == "100.00"


async def test_refunds_never_exceed_and_are_linked_both_ways(
    ledger: httpx.AsyncClient, bureau: dict[str, str]
) -> None:
    anna, till = bureau["anna"], bureau["till"]
    paid = (await transfer(ledger, anna, till, "30.00", reference="INV-1")).json()
    path = f"transaction/{paid['transaction_id']}/reverse"
    first = posted(await post(ledger, path, {"amount": "10.00", "reference": "INV-1"}, "refund-1"))
    assert first["reverses"] == {
        "transaction_id": paid["transaction_id"],
        "lines": [{"line": 1, "amount": "10.00"}, {"line": 2, "amount": "10.00"}],
    }
    assert first["balances"] == {anna: "80.00", till: "-80.00"}
    found = refused(await post(ledger, path, {"amount": "20.01"}), "reversal_exceeds_original")
    assert {name: found[name] for name in ("original", "reversed", "left", "excess")} == {
        "original": "30.00",
        "reversed": "10.00",
        "left": "20.00",
        "excess": "0.01",
    }
    rest = posted(await post(ledger, path, {}))
    assert rest["amounts"] == [{"currency": "USD", "amount": "20.00"}]
    refused(await post(ledger, path, {}), "reversal_exceeds_original")
    shown = (await ledger.get(f"/ledger/transactions/{paid['transaction_id']}")).json()
    assert shown.pop("left_to_reverse") == "0.00"
    assert shown.pop("reversed_by") == [
        {"transaction_id": one["transaction_id"], "seq": one["seq"]} for one in (first, rest)
    ]
    assert shown == {name: value for name, value in paid.items() if name != "balances"}
    again = f"transaction/{first['transaction_id']}/reverse"
    assert refused(await post(ledger, again, {}), "not_reversible")["kind"] == "reversal"
    unknown = await post(ledger, f"transaction/{UNKNOWN}/reverse", {})
    assert refused(unknown, "unknown_transaction")["transaction_id"] == UNKNOWN
    assert await balance(ledger, anna) == "100.00"


async def test_refunds_at_once_never_exceed_together(ledger: httpx.AsyncClient) -> None:
    till, anna = await open_account(ledger, "internal"), await open_account(ledger)
    paid = (await transfer(ledger, till, anna, "30.00")).json()
    await transfer(ledger, till, anna, "100.00")
    path = f"transaction/{paid['transaction_id']}/reverse"
    answers = await asyncio.gather(*(post(ledger, path, {"amount": "9.00"}) for _ in range(12)))
    codes = [answer.json().get("code") for answer in answers]
    assert sorted(codes, key=str) == [None] * 3 + ["reversal_exceeds_original"] * 9
    assert await balance(ledger, anna) == "103.00"
    shown = (await ledger.get(f"/ledger/transaction/{paid['transaction_id']}")).json()
    assert (shown["left_to_reverse"], len(shown["reversed_by"])) == ("3.00", 3)


async def test_transactions_belong_to_one_ledger(ledger: httpx.AsyncClient) -> None:
    assert (await ledger.put("/ledger/ledger/berlin")).status_code == 201
    there = {"ledger": "berlin"}
    accounts = []
    for kind in ("internal", "user"):
        body = {"currency": "USD", "type": kind}
        opened = await ledger.post("/ledger/account/", json=body, params=there)
        accounts.append(opened.json()["account_id"])
    paid = await split(ledger, accounts[0], accounts[1])
    path = f"transaction/{paid['transaction_id']}"
    refused(await post(ledger, f"{path}/reverse", {}), "unknown_transaction")
    assert (await ledger.get(f"/ledger/{path}")).status_code == 404
    posted(await post(ledger, f"{path}/reverse?ledger=berlin", {}))
    assert (await ledger.get(f"/ledger/{path}", params=there)).status_code == 200
    here = await open_account(ledger, "internal")
    mixed = {
        "debits": [{"account_id": here, "amount": "1.00"}],
        "credits": [{"account_id": accounts[1], "amount": "1.00"}],
    }
    found = refused(await post(ledger, "transaction/", mixed), "unknown_account")
    assert found["account_ids"] == [accounts[1]]


async def test_lines_of_many_are_reversed_as_asked(ledger: httpx.AsyncClient) -> None:
    till, shop, fee = [await open_account(ledger, "internal") for _ in range(3)]
    paid = await split(ledger, till, shop, fee)
    path = f"transaction/{paid['transaction_id']}/reverse"
    found = refused(await post(ledger, path, {"amount": "1.00"}), "reversal_needs_lines")
    assert found["lines"] == 3
    uneven = {"lines": [{"line": 1, "amount": "2.00"}, {"line": 2, "amount": "1.00"}]}
    refused(await post(ledger, path, uneven), "unbalanced_transaction")
    even = {"lines": [{"line": 1, "amount": "2.00"}, {"line": 2, "amount": "2.00"}]}
    assert posted(await post(ledger, path, even))["balances"] == {till: "-8.00", shop: "3.00"}
    beyond = {"lines": [{"line": 1, "amount": "4.00"}, {"line": 2, "amount": "4.00"}]}
    found = refused(await post(ledger, path, beyond), "reversal_exceeds_original")
    assert (found["line"], found["left"]) == (2, "3.00")
    refused(await post(ledger, path, even | {"amount": "1.00"}), "invalid_request")
    for plural in ("transaction", "transactions"):
        shown = (await ledger.get(f"/ledger/{plural}/{paid['transaction_id']}")).json()
        assert [line["left_to_reverse"] for line in shown["lines"]] == ["8.00", "3.00", "5.00"]
    assert posted(await post(ledger, path, {}))["balances"] == {
        till: "0.00",
        shop: "0.00",
        fee: "0.00",
    }


async def test_money_that_is_spent_is_not_taken_back(ledger: httpx.AsyncClient) -> None:
    till, anna = await open_account(ledger, "internal"), await open_account(ledger)
    paid = (await transfer(ledger, till, anna, "5.00")).json()
    await transfer(ledger, anna, till, "4.00")
    path = f"transaction/{paid['transaction_id']}/reverse"
    found = refused(await post(ledger, path, {}), "insufficient_funds")
    assert (found["account_id"], found["available"], found["shortfall"]) == (anna, "1.00", "4.00")


async def test_a_dry_run_answers_and_leaves_everything_as_it_was(
    ledger: httpx.AsyncClient, bureau: dict[str, str]
) -> None:
    paid = (await transfer(ledger, bureau["anna"], bureau["till"], "30.00")).json()
    before = (await ledger.get("/ledger/head")).json()
    for path, body in (
        ("exchange/?dry_run=true", an_exchange(bureau)),
        (f"transaction/{paid['transaction_id']}/reverse?dry_run=true", {}),
    ):
        answer = await post(ledger, path, body, "not-kept")
        assert answer.status_code == 200
        assert answer.json()["balances"][bureau["anna"]] in {"60.00", "100.00"}
    assert (await ledger.get("/ledger/head")).json() == before


async def test_late_postings_say_so(ledger: httpx.AsyncClient) -> None:
    till, anna = await open_account(ledger, "internal"), await open_account(ledger)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    document = await split(ledger, till, anna, effective_at=yesterday, adjusting=True)
    assert (document["late"], document["adjusting"]) == (True, True)
    late = (await transfer(ledger, till, anna, "1.00", effective_at=yesterday)).json()
    assert late["late"] is True
    assert list(late)[-4:] == ["recorded_at", "late", "metadata", "balances"]
    prompt = (await transfer(ledger, till, anna, "1.00")).json()
    assert "late" not in prompt
    path = f"transaction/{late['transaction_id']}/reverse"
    two_days_ago = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    refused(await post(ledger, path, {"effective_at": two_days_ago}), "not_reversible")
    assert posted(await post(ledger, path, {"effective_at": late["effective_at"]}))["late"] is True

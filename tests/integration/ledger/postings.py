"""Calls that post by many legs, exchange and reverse, and what their answers hold."""

from typing import Any

import httpx

from tests.integration.ledger.calls import open_account, transfer


async def post(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], key: str | None = None
) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await client.post(f"/ledger/{path}", json=body, headers=headers)


def posted(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


def refused(answer: httpx.Response, code: str) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["code"]) == (422, code), answer.text
    return document


async def split(client: httpx.AsyncClient, payer: str, *payees: str, **facts: Any) -> Any:
    """Post 10.00 dollars in equal shares."""
    body = {
        "debits": [{"account_id": payer, "amount": "10.00"}],
        "credits": [{"account_id": payee, "share": 1} for payee in payees],
    }
    return posted(await post(client, "transaction/", body | facts))


async def open_bureau(ledger: httpx.AsyncClient) -> dict[str, str]:
    """Open accounts with which dollars are exchanged for euros; Anna has 100.00 dollars."""
    names = {
        "till": ("internal", "USD"),
        "anna": ("user", "USD"),
        "anna_euros": ("user", "EUR"),
        "exchange_dollars": ("internal", "USD"),
        "exchange_euros": ("internal", "EUR"),
        "rounding": ("internal", "EUR"),
    }
    accounts = {
        name: await open_account(ledger, kind, currency=currency)
        for name, (kind, currency) in names.items()
    }
    await transfer(ledger, accounts["till"], accounts["anna"], "100.00")
    return accounts


def an_exchange(bureau: dict[str, str], **facts: Any) -> dict[str, Any]:
    return {
        "source_account_id": bureau["anna"],
        "destination_account_id": bureau["anna_euros"],
        "sold_exchange_account_id": bureau["exchange_dollars"],
        "bought_exchange_account_id": bureau["exchange_euros"],
        "rounding_account_id": bureau["rounding"],
        "sold": "10.00",
        "rate": "0.92135",
        "rate_source": "test",
    } | facts

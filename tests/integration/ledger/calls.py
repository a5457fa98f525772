"""The calls that most tests of the ledger make."""

from typing import Any

import httpx


async def open_account(client: httpx.AsyncClient, kind: str = "user", **facts: Any) -> str:
    """Open an account (dollars unless `facts` say otherwise) and return its id."""
    answer = await client.post("/ledger/account/", json={"currency": "USD", "type": kind} | facts)
    assert answer.status_code == 201, answer.text
    account_id: str = answer.json()["account_id"]
    return account_id


async def transfer(
    client: httpx.AsyncClient,
    source: str,
    destination: str,
    amount: str,
    *,
    key: str | None = None,
    **facts: Any,
) -> httpx.Response:
    """Ask for a transfer in dollars, under `key` if there is one."""
    body = {
        "source_account_id": source,
        "destination_account_id": destination,
        "amount": amount,
        "currency": "USD",
    }
    headers = {} if key is None else {"Idempotency-Key": key}
    return await client.post("/ledger/transfer/", json=body | facts, headers=headers)


async def balance(client: httpx.AsyncClient, account_id: str) -> str:
    answer = await client.get(f"/ledger/account/{account_id}/balance")
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["balance"]
    return found

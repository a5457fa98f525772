"""Periods over HTTP: opened, closed and opened again, and what they make of late postings."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.integration.ledger.calls import open_account, transfer

MAY, JUNE, JULY = (f"2025-{month}-01T00:00:00Z" for month in ("05", "06", "07"))
IN_MAY, IN_JUNE = "2025-05-15T10:00:00.000000Z", "2025-06-15T10:00:00.000000Z"


async def open_period(
    client: httpx.AsyncClient, starts_at: str = MAY, ends_at: str = JUNE, **facts: Any
) -> dict[str, Any]:
    body = {"name": starts_at[:7], "starts_at": starts_at, "ends_at": ends_at} | facts
    answer = await client.post("/ledger/period/", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def close(client: httpx.AsyncClient, period_id: str, **how: Any) -> httpx.Response:
    return await client.post(f"/ledger/period/{period_id}/close", json=how)


@pytest.fixture
async def accounts(ledger: httpx.AsyncClient) -> tuple[str, str]:
    return await open_account(ledger, "internal"), await open_account(ledger)


async def test_a_period_is_opened_listed_and_shown(ledger: httpx.AsyncClient) -> None:
    june = await open_period(ledger, JUNE, JULY)
    may = await open_period(ledger)
    assert may["kind"] == "period_opened"
    assert (may["status"], may["late"], may["ledger"]) == ("open", "refuse", "main")
    shown = (await ledger.get(f"/ledger/period/{may['period_id']}")).json()
    assert shown == {name: may[name] for name in shown}
    first = (await ledger.get("/ledger/period/", params={"limit": 1})).json()
    assert [one["period_id"] for one in first["periods"]] == [may["period_id"]]
    second = (await ledger.get(first["next"])).json()
    assert [one["period_id"] for one in second["periods"]] == [june["period_id"]]
    assert second["next"] is None
    missing = await ledger.get("/ledger/period/01980b5c-6f63-7e77-8d54-0d4f4d1f2a16")
    assert missing.status_code == 404
    garbled = await ledger.get("/ledger/period/", params={"cursor": "WyJwZXJpb2RzIiwieCIsInkiXQ"})
    assert (garbled.status_code, garbled.json()["code"]) == (422, "invalid_cursor")


async def test_refused_periods_leave_nothing(ledger: httpx.AsyncClient) -> None:
    await open_period(ledger)
    head = (await ledger.get("/ledger/head")).json()["seq"]
    for facts, code in (
        ({"starts_at": MAY, "ends_at": JULY}, "period_overlaps"),
        ({"starts_at": JULY, "ends_at": JUNE}, "period_empty"),
        ({"starts_at": "2025-07-01", "ends_at": JULY}, "invalid_request"),
        ({"starts_at": JUNE, "ends_at": JULY, "name": ""}, "invalid_request"),
    ):
        answer = await ledger.post("/ledger/period/", json={"name": "x"} | facts)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    later = datetime.now(UTC) + timedelta(days=30)
    running = await open_period(ledger, JULY, later.isoformat())
    for how, code in (
        ({"status": "soft"}, "period_not_over"),
        ({"status": "open"}, "invalid_request"),
        ({"status": "soft", "late": "refuse"}, "invalid_request"),
    ):
        answer = await close(ledger, running["period_id"], **how)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    answer = await close(ledger, "01980b5c-6f63-7e77-8d54-0d4f4d1f2a16", status="hard")
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_period")
    assert (await ledger.get("/ledger/head")).json()["seq"] == head + 1


async def test_the_same_key_gets_the_same_answer(ledger: httpx.AsyncClient) -> None:
    period = await open_period(ledger)
    headers = {"Idempotency-Key": "close-may"}
    path = f"/ledger/period/{period['period_id']}/close"
    first = await ledger.post(path, json={"status": "hard"}, headers=headers)
    again = await ledger.post(path, json={"status": "hard"}, headers=headers)
    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    dry = await ledger.post(path, json={"status": "hard"}, params={"dry_run": True})
    assert (dry.status_code, dry.json()["code"]) == (422, "period_closed")


async def test_a_soft_close_warns_and_can_be_taken_back(
    ledger: httpx.AsyncClient, accounts: tuple[str, str]
) -> None:
    period_id = (await open_period(ledger))["period_id"]
    closed = (await close(ledger, period_id, status="soft")).json()
    assert (closed["kind"], closed["status"]) == ("period_closed", "soft")
    warned = (await transfer(ledger, *accounts, "1.00", effective_at=IN_MAY)).json()
    assert warned["effective_at"] == IN_MAY
    assert warned["late"] is True
    assert warned["dating"] == {"period_id": period_id, "status": "soft", "asked_at": None}
    reopened = await ledger.post(f"/ledger/period/{period_id}/reopen", json={})
    assert (reopened.status_code, reopened.json()["status"]) == (201, "open")
    quiet = (await transfer(ledger, *accounts, "1.00", effective_at=IN_MAY)).json()
    assert "dating" not in quiet
    twice = await ledger.post(f"/ledger/period/{period_id}/reopen", json={})
    assert (twice.status_code, twice.json()["code"]) == (422, "period_not_closed")


async def test_a_hard_close_refuses_or_moves_to_the_next_open_day(
    ledger: httpx.AsyncClient, accounts: tuple[str, str]
) -> None:
    may = (await open_period(ledger))["period_id"]
    june = (await open_period(ledger, JUNE, JULY))["period_id"]
    await close(ledger, may, status="hard", late="next_open_day")
    moved = (await transfer(ledger, *accounts, "1.00", effective_at=IN_MAY)).json()
    assert moved["effective_at"] == "2025-06-01T00:00:00.000000Z"
    assert moved["dating"] == {"period_id": may, "status": "hard", "asked_at": IN_MAY}
    shown = (await ledger.get(f"/ledger/transactions/{moved['transaction_id']}")).json()
    assert shown["dating"] == moved["dating"]
    await close(ledger, june, status="hard")
    refused = await transfer(ledger, *accounts, "1.00", effective_at=IN_JUNE)
    assert refused.status_code == 422
    assert refused.json()["code"] == "period_closed"
    assert refused.json()["period_id"] == june
    final = await ledger.post(f"/ledger/period/{june}/reopen", json={})
    assert (final.status_code, final.json()["code"]) == (422, "period_closed")


async def test_late_postings_of_a_period_are_listed(
    ledger: httpx.AsyncClient, accounts: tuple[str, str]
) -> None:
    may = (await open_period(ledger))["period_id"]
    late = [
        (await transfer(ledger, *accounts, f"{n}.00", effective_at=IN_MAY)).json()["seq"]
        for n in range(1, 4)
    ]
    await transfer(ledger, *accounts, "9.00", effective_at=IN_JUNE)
    await transfer(ledger, *accounts, "9.00", effective_at=JUNE)
    await transfer(ledger, *accounts, "9.00")
    await close(ledger, may, status="soft")
    source, destination = accounts
    adjusting = await ledger.post(
        "/ledger/transaction/",
        json={
            "debits": [{"account_id": source, "amount": "4.00"}],
            "credits": [{"account_id": destination, "amount": "4.00"}],
            "effective_at": IN_MAY,
            "adjusting": True,
        },
    )
    assert adjusting.status_code == 201, adjusting.text
    assert "dating" not in adjusting.json()
    late.append(adjusting.json()["seq"])
    found, link = [], f"/ledger/period/{may}/late?limit=3"
    while link:
        page = (await ledger.get(link)).json()
        found += page["late"]
        link = page["next"]
    assert [one["seq"] for one in found] == late
    assert [one["adjusting"] for one in found] == [False, False, False, True]
    assert found[1]["amounts"] == [{"currency": "USD", "amount": "2.00"}]

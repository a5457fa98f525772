"""Balances of now, with what holds keep, and of any cut through the history."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest

from tests.integration.ledger.calls import open_account, transfer
from tests.postgres import TestDatabases

MOVEMENTS = 60
CUTS = 60


class Posted(NamedTuple):
    """An event with the two times at which it may be asked about."""

    seq: int
    account_id: str
    signed_minor: int
    effective_at: datetime
    recorded_at: datetime


async def balances(client: httpx.AsyncClient, **params: Any) -> dict[str, Any]:
    answer = await client.get("/ledger/balances", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def busy_books(client: httpx.AsyncClient, luck: random.Random) -> list[str]:
    """Several accounts, of which every other one is debit-normal, and postings of mixed dates."""
    kinds = ("internal", "asset", "internal", "expense")
    accounts = [await open_account(client, kind, overdraft={"policy": "allowed"}) for kind in kinds]
    begin = datetime.now(UTC) - timedelta(days=10)
    for _ in range(MOVEMENTS):
        source, destination = luck.sample(accounts, 2)
        facts = {}
        if luck.random() < 0.6:
            facts["effective_at"] = (begin + timedelta(hours=luck.randrange(220))).isoformat()
        amount = f"{luck.randrange(1, 100)}.00"
        answer = await transfer(client, source, destination, amount, **facts)
        assert answer.status_code == 201, answer.text
    return accounts


async def posted_events(client: httpx.AsyncClient) -> list[Posted]:
    page = (await client.get("/ledger/events/", params={"limit": 500})).json()
    assert page["next"] is None
    return [
        Posted(
            one["seq"],
            one["account_id"],
            int(one["amount"].replace(".", "")) * (1 if one["direction"] == "credit" else -1),
            datetime.fromisoformat(one["effective_at"]),
            datetime.fromisoformat(one["recorded_at"]),
        )
        for one in page["events"]
    ]


@pytest.mark.parametrize("seed", [1, 2])
async def test_any_cut_is_the_plain_sum_of_its_events(ledger: httpx.AsyncClient, seed: int) -> None:
    luck = random.Random(seed)
    accounts = await busy_books(ledger, luck)
    events = await posted_events(ledger)
    last = max(event.seq for event in events)
    instants = [event.effective_at for event in events] + [event.recorded_at for event in events]
    instants += [one + timedelta(microseconds=shift) for one in instants[:10] for shift in (-1, 1)]
    for number in range(CUTS):
        at_seq = None if number % 4 == 0 else luck.randrange(len(accounts), last + 1)
        as_of = None if number % 4 == 1 else luck.choice(instants)
        params = {"at_seq": at_seq} if at_seq is not None else {}
        asked = params | ({"as_of": as_of.isoformat()} if as_of is not None else {})
        found = await balances(ledger, **asked)
        assert found["seq"] == (last if at_seq is None else at_seq)
        for row in found["balances"]:
            expected = sum(
                event.signed_minor
                for event in events
                if event.account_id == row["account_id"]
                and (at_seq is None or event.seq <= at_seq)
                and (as_of is None or event.effective_at <= as_of)
            )
            sign = -1 if row["normal_side"] == "debit" else 1
            assert int(row["balance"].replace(".", "")) == sign * expected, (asked, row)
        assert len(found["balances"]) == len(accounts)


async def test_pages_agree_whatever_is_posted_meanwhile(ledger: httpx.AsyncClient) -> None:
    funding = await open_account(ledger, "internal")
    users = [await open_account(ledger) for _ in range(4)]
    for user in users:
        await transfer(ledger, funding, user, "10.00")
    page = await balances(ledger, limit=2)
    rows, seq = page["balances"], page["seq"]
    while page["next"]:
        await transfer(ledger, funding, users[-1], "5.00")
        late = {"effective_at": (datetime.now(UTC) - timedelta(days=3)).isoformat()}
        await transfer(ledger, funding, users[-2], "5.00", **late)
        await open_account(ledger)
        page = (await ledger.get(page["next"])).json()
        assert page["seq"] == seq
        rows += page["balances"]
    assert [row["balance"] for row in rows] == ["-40.00", "10.00", "10.00", "10.00", "10.00"]
    some = await balances(ledger, account_id=[users[0], users[3]], at_seq=seq)
    assert [row["account_id"] for row in some["balances"]] == [users[0], users[3]]


async def test_one_account_is_shown_as_it_was(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    first = (await transfer(ledger, funding, user, "10.00")).json()
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    backdated = await transfer(ledger, funding, user, "2.00", effective_at=yesterday)
    assert backdated.json()["late"] is True

    async def then(**params: Any) -> Any:
        answer = await ledger.get(f"/ledger/account/{user}/balance", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert (await then())["balance"] == "12.00"
    assert (await then(at_seq=first["seq"]))["balance"] == "10.00"
    assert (await then(as_of=yesterday))["balance"] == "2.00"
    assert (await then(as_of=yesterday, at_seq=first["seq"]))["balance"] == "0.00"
    assert await then(as_of=first["recorded_at"]) == {
        "account_id": user,
        "currency": "USD",
        "normal_side": "credit",
        "balance": "12.00",
        "seq": first["seq"] + 1,
        "as_of": first["recorded_at"],
    }


async def test_cuts_that_cannot_be_made_are_refused(ledger: httpx.AsyncClient) -> None:
    user = await open_account(ledger)
    path = f"/ledger/account/{user}/balance"
    ahead = await ledger.get(path, params={"at_seq": 2})
    assert (ahead.status_code, ahead.json()["code"]) == (422, "seq_not_reached")
    assert ahead.json()["last_seq"] == 1
    assert (await ledger.get(path, params={"at_seq": 0})).status_code == 404
    for params in ({"at_seq": -1}, {"as_of": "2025-07-01"}, {"as_of": "yesterday"}):
        bad = await ledger.get(path, params=params)
        assert (bad.status_code, bad.json()["code"]) == (422, "invalid_request")
    end = await ledger.get(path, params={"as_of": "9999-12-31T23:59:59.999999Z"})
    assert end.json()["balance"] == "0.00"
    other = await balances(ledger, limit=1, as_of="2025-07-01T00:00:00Z")
    assert other["next"] is None
    cursor = "WyJldmVudHMiLDEsMV0"
    wrong = await ledger.get("/ledger/balances", params={"cursor": cursor})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_cursor")


async def test_what_holds_keep_is_not_available(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    bank, user = await open_account(ledger, "asset"), await open_account(ledger)
    await transfer(ledger, bank, user, "100.00")

    async def hold(source: str, destination: str, amount: str, **facts: Any) -> None:
        body = {
            "source_account_id": source,
            "destination_account_id": destination,
            "amount": amount,
            "currency": "USD",
        }
        answer = await ledger.post("/ledger/hold/", json=body | facts)
        assert answer.status_code == 201, answer.text

    async def now(account_id: str) -> tuple[str, ...]:
        found = (await ledger.get(f"/ledger/account/{account_id}/balance")).json()
        names = ("balance", "pending_debits", "pending_credits", "available")
        return tuple(found[name] for name in names)

    await hold(user, bank, "30.00")
    expires_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await hold(user, bank, "5.00", expires_at=expires_at)
    assert await now(user) == ("100.00", "35.00", "0.00", "65.00")
    assert await now(bank) == ("100.00", "0.00", "35.00", "65.00")
    admin = await asyncpg.connect(databases.admin_url)  # stands for the hour that passes
    await admin.execute("UPDATE ledger.holds SET expires_at = now() WHERE expires_at IS NOT NULL")
    await admin.close()
    assert await now(user) == ("100.00", "30.00", "0.00", "70.00")
    assert await now(bank) == ("100.00", "0.00", "30.00", "70.00")

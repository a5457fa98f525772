"""The trial balance over HTTP: its columns are equal, and agree with balances and events."""

import csv
import io
import random
from datetime import datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest

from ledger_service.api import trial_balance
from tests.integration.ledger.calls import open_account, transfer
from tests.integration.ledger.test_balances import busy_books, posted_events
from tests.integration.ledger.test_periods import IN_JUNE, IN_MAY, JUNE, close, open_period

EMPTY = {"debit": "0.00", "credit": "0.00"}


async def trial(client: httpx.AsyncClient, **params: Any) -> dict[str, Any]:
    answer = await client.get("/ledger/trial-balance", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def debit(amount: str) -> dict[str, str]:
    return {"debit": amount, "credit": "0.00"}


def credit(amount: str) -> dict[str, str]:
    return {"debit": "0.00", "credit": amount}


def net(columns: dict[str, str]) -> int:
    return int(columns["credit"].replace(".", "")) - int(columns["debit"].replace(".", ""))


@pytest.fixture
async def chart(ledger: httpx.AsyncClient) -> dict[str, str]:
    """A small firm: a bank, a loan, sales and rent, opened in no particular order."""
    kinds = {
        "4000:rent": "expense",
        "1000:bank:main": "asset",
        "3000:sales": "income",
        "1000:bank:savings": "asset",
        "2000:loan": "liability",
    }
    return {
        code: await open_account(
            ledger, kind, code=code, overdraft={"policy": "allowed"}, metadata={"name": code[5:]}
        )
        for code, kind in kinds.items()
    }


async def test_it_reads_as_an_accountant_expects(
    ledger: httpx.AsyncClient, chart: dict[str, str]
) -> None:
    bank, savings = chart["1000:bank:main"], chart["1000:bank:savings"]
    await transfer(ledger, bank, chart["2000:loan"], "1000.00")
    await transfer(ledger, bank, chart["3000:sales"], "250.00")
    await transfer(ledger, chart["4000:rent"], bank, "400.00")
    await transfer(ledger, savings, bank, "100.00")
    found = await trial(ledger)
    assert [(line["code"], line["type"], line["closing"]) for line in found["lines"]] == [
        ("1000:bank:main", "asset", debit("750.00")),
        ("1000:bank:savings", "asset", debit("100.00")),
        ("2000:loan", "liability", credit("1000.00")),
        ("3000:sales", "income", credit("250.00")),
        ("4000:rent", "expense", debit("400.00")),
    ]
    assert found["lines"][0]["name"] == "bank:main"
    sums = {"debit": "1250.00", "credit": "1250.00"}
    assert found["totals"] == [{"currency": "USD", "closing": sums}]
    assert found["balanced"] is True
    rolled = await trial(ledger, depth=1)
    assert [(line["code"], line["accounts"], line["closing"]) for line in rolled["lines"]] == [
        ("1000", 2, debit("850.00")),
        ("2000", 1, credit("1000.00")),
        ("3000", 1, credit("250.00")),
        ("4000", 1, debit("400.00")),
    ]
    assert rolled["totals"] == found["totals"]


async def test_a_period_has_an_opening_movements_adjustments_and_a_closing(
    ledger: httpx.AsyncClient, chart: dict[str, str]
) -> None:
    bank, sales, rent = chart["1000:bank:main"], chart["3000:sales"], chart["4000:rent"]
    may = (await open_period(ledger))["period_id"]
    june = (await open_period(ledger, JUNE, "2025-07-01T00:00:00Z"))["period_id"]
    await transfer(ledger, bank, sales, "100.00", effective_at=IN_MAY)
    await transfer(ledger, bank, sales, "30.00", effective_at=IN_JUNE)
    await transfer(ledger, sales, bank, "10.00", effective_at=JUNE)
    await transfer(ledger, bank, sales, "9.00")
    await close(ledger, june, status="soft")
    adjusting = {
        "debits": [{"account_id": rent, "amount": "5.00"}],
        "credits": [{"account_id": sales, "amount": "5.00"}],
        "effective_at": IN_JUNE,
        "adjusting": True,
    }
    answer = await ledger.post("/ledger/transaction/", json=adjusting)
    assert answer.status_code == 201, answer.text
    found = await trial(ledger, period_id=june)
    assert found["period"]["status"] == "soft"
    shown = {line["code"]: line for line in found["lines"]}
    assert {name: shown["3000:sales"][name] for name in ("opening", "movements")} == {
        "opening": credit("100.00"),
        "movements": {"debit": "10.00", "credit": "30.00"},
    }
    assert shown["3000:sales"]["adjustments"] == credit("5.00")
    assert shown["3000:sales"]["closing"] == credit("125.00")
    assert shown["4000:rent"] == shown["4000:rent"] | {
        "opening": EMPTY,
        "movements": EMPTY,
        "adjustments": debit("5.00"),
        "closing": debit("5.00"),
    }
    assert found["totals"] == [
        {
            "currency": "USD",
            "opening": {"debit": "100.00", "credit": "100.00"},
            "movements": {"debit": "40.00", "credit": "40.00"},
            "adjustments": {"debit": "5.00", "credit": "5.00"},
            "closing": {"debit": "125.00", "credit": "125.00"},
        }
    ]
    before = await trial(ledger, period_id=may)
    assert before["totals"][0]["closing"] == found["totals"][0]["opening"]


async def test_it_agrees_with_balances_and_events_at_any_cut(ledger: httpx.AsyncClient) -> None:
    luck = random.Random(9)
    await busy_books(ledger, luck)
    events = await posted_events(ledger)
    bounds = sorted(luck.sample([event.effective_at for event in events], 4))
    periods = [
        await open_period(ledger, begin.isoformat(), end.isoformat(), name=str(place))
        for place, (begin, end) in enumerate(pairwise(bounds))
    ]
    for at_seq in (None, *(luck.choice(events).seq for _ in range(5))):
        cut = {} if at_seq is None else {"at_seq": at_seq}
        known = [event for event in events if at_seq is None or event.seq <= at_seq]
        for as_of in (None, *bounds):
            asked = cut | ({} if as_of is None else {"as_of": as_of.isoformat()})
            found = await trial(ledger, zeros=True, **asked)
            assert found["balanced"] is True
            balances = (await ledger.get("/ledger/balances", params=asked)).json()["balances"]
            expected = {
                row["account_id"]: int(row["balance"].replace(".", ""))
                * (-1 if row["normal_side"] == "debit" else 1)
                for row in balances
            }
            lines = {line["account_id"]: net(line["closing"]) for line in found["lines"]}
            assert lines == expected
        for period in periods:
            found = await trial(ledger, period_id=period["period_id"], zeros=True, **cut)
            assert found["balanced"] is True
            begin, end = (datetime.fromisoformat(period[it]) for it in ("starts_at", "ends_at"))
            for line in found["lines"]:
                own = [event for event in known if event.account_id == line["account_id"]]
                opening = sum(one.signed_minor for one in own if one.effective_at < begin)
                moved = sum(one.signed_minor for one in own if begin <= one.effective_at < end)
                assert net(line["opening"]) == opening
                assert net(line["movements"]) == moved
                assert net(line["closing"]) == opening + moved


async def test_csv_has_a_sum_below_each_currency(ledger: httpx.AsyncClient) -> None:
    for currency in ("USD", "JPY"):
        source = await open_account(ledger, "internal", currency=currency)
        destination = await open_account(ledger, currency=currency, metadata={"name": "=A1"})
        await transfer(ledger, source, destination, "7", currency=currency)
    answer = await ledger.get("/ledger/trial-balance", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["row"], row["currency"], row["debit"], row["credit"]) for row in rows] == [
        ("line", "JPY", "7", "0"),
        ("line", "JPY", "0", "7"),
        ("total", "JPY", "7", "7"),
        ("line", "USD", "7.00", "0.00"),
        ("line", "USD", "0.00", "7.00"),
        ("total", "USD", "7.00", "7.00"),
    ]
    assert rows[1]["name"] == "'=A1"


async def test_accounts_without_a_code_are_summed_up_by_type(ledger: httpx.AsyncClient) -> None:
    bank = await open_account(ledger, "internal")
    for _ in range(3):
        await transfer(ledger, bank, await open_account(ledger), "2.00")
    await open_account(ledger)
    found = await trial(ledger, depth=1)
    assert [(line["type"], line["accounts"], line["closing"]) for line in found["lines"]] == [
        ("internal", 1, debit("6.00")),
        ("user", 3, credit("6.00")),
    ]
    with_zeros = await trial(ledger, depth=1, zeros=True)
    assert [line["accounts"] for line in with_zeros["lines"]] == [1, 4]


async def test_what_cannot_be_shown_is_refused(
    ledger: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = await open_account(ledger, "internal")
    await transfer(ledger, bank, await open_account(ledger), "2.00")
    may = (await open_period(ledger))["period_id"]
    missing = "01980b5c-6f63-7e77-8d54-0d4f4d1f2a16"
    for params, status, code in (
        ({"period_id": may, "as_of": IN_MAY}, 422, "invalid_request"),
        ({"period_id": missing}, 404, "not_found"),
        ({"at_seq": 99}, 422, "seq_not_reached"),
        ({"depth": 0}, 422, "invalid_request"),
        ({"format": "pdf"}, 422, "invalid_request"),
    ):
        answer = await ledger.get("/ledger/trial-balance", params=params)
        assert (answer.status_code, answer.json()["code"]) == (status, code), params
    monkeypatch.setattr(trial_balance, "LINES_MAX", 1)
    long = await ledger.get("/ledger/trial-balance")
    assert (long.status_code, long.json()["code"]) == (422, "trial_balance_too_long")

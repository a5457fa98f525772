"""The chart of accounts: what each place has, with all below it, at one moment."""

import asyncio
from decimal import Decimal
from typing import Any

import httpx
import pytest

from ledger_service.repositories import charts
from tests.integration.ledger.calls import open_account, transfer


async def chart(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get("/ledger/accounts/tree", params=query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def totals(document: dict[str, Any]) -> dict[str, dict[str, tuple[str | None, str]]]:
    """Return own and total of each currency by place."""
    return {
        place["code"]: {one["currency"]: (one["own"], one["total"]) for one in place["balances"]}
        for place in document["places"]
    }


@pytest.fixture
async def bank(ledger: httpx.AsyncClient) -> dict[str, str]:
    """Accounts of a small bank by code, with money in them; one more has no code."""
    accounts = {
        code: await open_account(ledger, kind, code=code, currency=currency)
        for code, kind, currency in (
            ("assets:bank", "asset", "USD"),
            ("assets:bank:main", "asset", "USD"),
            ("assets:bank:euro", "asset", "EUR"),
            ("assets:bank-2", "asset", "USD"),
            ("assets:provision", "liability", "USD"),
            ("equity", "equity", "USD"),
            ("equity:euro", "equity", "EUR"),
            ("assets2", "asset", "USD"),
        )
    }
    await open_account(ledger, "asset")
    for code, amount in (
        ("assets:bank", "1.00"),
        ("assets:bank:main", "20.00"),
        ("assets:bank-2", "300.00"),
        ("assets2", "4000.00"),
    ):
        answer = await transfer(ledger, accounts[code], accounts["equity"], amount)
        assert answer.status_code == 201
    paid = await transfer(
        ledger, accounts["assets:bank:euro"], accounts["equity:euro"], "7.00", currency="EUR"
    )
    assert paid.status_code == 201
    await transfer(ledger, accounts["assets2"], accounts["assets:provision"], "5.00")
    return accounts


async def test_each_place_has_its_own_balance_and_that_of_all_below(
    ledger: httpx.AsyncClient, bank: dict[str, str]
) -> None:
    found = await chart(ledger, under="assets")
    assert totals(found) == {
        "assets": {"USD": (None, "316.00"), "EUR": (None, "7.00")},
        "assets:bank": {"USD": ("1.00", "21.00"), "EUR": (None, "7.00")},
        "assets:bank:euro": {"EUR": ("7.00", "7.00")},
        "assets:bank:main": {"USD": ("20.00", "20.00")},
        "assets:bank-2": {"USD": ("300.00", "300.00")},
        "assets:provision": {"USD": ("5.00", "5.00")},
    }
    by_code = {place["code"]: place for place in found["places"]}
    assert [place["code"] for place in found["places"]][:2] == ["assets", "assets:bank"]
    assert by_code["assets"]["account_id"] is None
    assert by_code["assets:bank"]["account_id"] == bank["assets:bank"]
    assert (by_code["assets"]["parent"], by_code["assets:bank"]["parent"]) == (None, "assets")
    assert (by_code["assets"]["accounts"], by_code["assets:bank"]["accounts"]) == (5, 3)
    head = (await ledger.get("/ledger/head")).json()
    assert found["seq"] == head["seq"]


@pytest.mark.usefixtures("bank")
async def test_the_whole_chart_balances(ledger: httpx.AsyncClient) -> None:
    found = await chart(ledger, depth=1)
    assert totals(found) == {
        "assets": {"USD": (None, "316.00"), "EUR": (None, "7.00")},
        "assets2": {"USD": ("4005.00", "4005.00")},
        "equity": {"USD": ("4321.00", "4321.00"), "EUR": (None, "7.00")},
    }
    owned, owed = 316 + 4005, 4321
    assert owned == owed


@pytest.mark.usefixtures("bank")
@pytest.mark.parametrize(
    ("under", "depth", "places"),
    [
        ("assets", 0, ["assets"]),
        ("assets", 1, ["assets", "assets:bank", "assets:bank-2", "assets:provision"]),
        ("assets:bank", 0, ["assets:bank"]),
        ("assets:bank", 1, ["assets:bank", "assets:bank:euro", "assets:bank:main"]),
        ("assets:bank:main", 5, ["assets:bank:main"]),
        ("nothing", 5, []),
        ("asset", 5, []),
    ],
)
async def test_deeper_places_are_summed_up_in_those_shown(
    ledger: httpx.AsyncClient, under: str, depth: int, places: list[str]
) -> None:
    found = await chart(ledger, under=under, depth=depth)
    assert [place["code"] for place in found["places"]] == places
    if under == "assets:bank":
        assert totals(found)["assets:bank"] == {"USD": ("1.00", "21.00"), "EUR": (None, "7.00")}


@pytest.mark.usefixtures("bank")
async def test_a_chart_of_too_many_places_says_so(
    ledger: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts, "SHARES_MAX", 3)
    answer = await ledger.get("/ledger/accounts/tree")
    assert (answer.status_code, answer.json()["code"]) == (422, "chart_too_large")
    assert (await ledger.get("/ledger/accounts/tree?under=assets:bank")).status_code == 200


@pytest.mark.usefixtures("bank")
async def test_other_ledgers_have_charts_of_their_own(ledger: httpx.AsyncClient) -> None:
    await ledger.put("/ledger/ledger/other")
    found = await chart(ledger, ledger="other")
    assert (found["ledger"], found["places"]) == ("other", [])


async def test_a_chart_is_of_one_moment_while_money_moves(ledger: httpx.AsyncClient) -> None:
    left = await open_account(ledger, "asset", code="assets:left")
    right = await open_account(ledger, "asset", code="assets:right")

    async def move() -> None:
        for place in range(20):
            source, destination = (left, right) if place % 2 else (right, left)
            assert (await transfer(ledger, source, destination, "3.00")).status_code == 201

    async def look() -> list[dict[str, Any]]:
        return [await chart(ledger) for _ in range(20)]

    seen = (await asyncio.gather(move(), move(), look()))[2]
    assert len({document["seq"] for document in seen}) > 1
    for document in seen:
        assert totals(document)["assets"]["USD"] == (None, "0.00")


@pytest.mark.usefixtures("bank")
async def test_lists_show_a_part_of_the_chart_in_the_order_of_codes(
    ledger: httpx.AsyncClient,
) -> None:
    for under, codes in (
        ("assets", ["bank", "bank-2", "bank:euro", "bank:main", "provision"]),
        ("assets:bank", ["bank", "bank:euro", "bank:main"]),
        ("equity", None),
    ):
        shown: list[str] = []
        following: str | None = f"/ledger/account/?under={under}&limit=2"
        while following is not None:
            page = (await ledger.get(following)).json()
            shown += [one["code"] for one in page["accounts"]]
            following = page["next"]
        wanted = ["equity", "equity:euro"] if codes is None else [f"assets:{one}" for one in codes]
        assert shown == wanted
    filtered = await ledger.get("/ledger/account/?under=assets&currency=EUR")
    assert [one["code"] for one in filtered.json()["accounts"]] == ["assets:bank:euro"]
    assert Decimal(filtered.json()["accounts"][0]["scale"]) == 2


@pytest.mark.parametrize("under", ["", ":", "assets:", "a b", "a" * 256, "%", "assets;"])
async def test_a_place_of_no_form_is_refused(ledger: httpx.AsyncClient, under: str) -> None:
    for path in ("/ledger/accounts/tree", "/ledger/account/"):
        answer = await ledger.get(path, params={"under": under})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")

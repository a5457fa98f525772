"""Statements of account over HTTP: they add up, join, and say the same in every format."""

import csv
import io
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from ledger_service.api import statements
from tests.integration.ledger.calls import open_account, transfer
from tests.integration.ledger.test_balances import busy_books, posted_events

JULY, AUGUST = "2025-07-01T00:00:00Z", "2025-08-01T00:00:00Z"


async def statement(client: httpx.AsyncClient, account_id: str, **params: Any) -> dict[str, Any]:
    answer = await client.get(f"/ledger/account/{account_id}/statement", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def minor(amount: str | None) -> int:
    return int((amount or "0").replace(".", ""))


async def test_statements_add_up_and_join_whatever_was_backdated(ledger: httpx.AsyncClient) -> None:
    luck = random.Random(5)
    accounts = await busy_books(ledger, luck)
    events = await posted_events(ledger)
    bounds = sorted(luck.sample([event.effective_at for event in events], 5))
    for account_id in accounts:
        seq = None
        closing = None
        seen = []
        for from_at, to_at in zip([None, *bounds], [*bounds, None], strict=True):
            params = {"at_seq": seq, "from": from_at, "to": to_at}
            asked = {
                name: one.isoformat() if isinstance(one, datetime) else one
                for name, one in params.items()
                if one is not None
            }
            found = await statement(ledger, account_id, **asked)
            seq = found["seq"]
            sign = 1 if found["normal_side"] == "credit" else -1
            balance_minor = minor(found["opening_balance"])
            assert closing is None or found["opening_balance"] == closing
            for one in found["movements"]:
                balance_minor += sign * (minor(one["credit"]) - minor(one["debit"]))
                assert minor(one["balance"]) == balance_minor
            closing = found["closing_balance"]
            assert minor(closing) == balance_minor
            difference = minor(found["credits"]) - minor(found["debits"])
            assert minor(found["opening_balance"]) + sign * difference == balance_minor
            order = [(one["effective_at"], one["seq"]) for one in found["movements"]]
            assert order == sorted(order)
            seen += [one["seq"] for one in found["movements"]]
        now = (await ledger.get(f"/ledger/account/{account_id}/balance")).json()
        assert now["balance"] == closing
        assert sorted(seen) == [one.seq for one in events if one.account_id == account_id]


async def test_a_movement_says_what_an_accountant_asks(ledger: httpx.AsyncClient) -> None:
    shop = await open_account(ledger, "internal", metadata={"name": "Bäckerei Öz"})
    user = await open_account(ledger, metadata={"name": "Zoë"})
    first = (await transfer(ledger, shop, user, "10.00", reference="INV-1")).json()
    metadata = {"description": "Miete", "counterparty": "Łukasz"}
    late_at = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    await transfer(ledger, user, shop, "4.00", metadata=metadata, effective_at=late_at)
    found = await statement(ledger, user)
    assert (found["name"], found["opening_balance"], found["closing_balance"]) == (
        "Zoë",
        "0.00",
        "6.00",
    )
    late, posted = found["movements"]
    assert (late["late"], late["debit"], late["balance"]) == (True, "4.00", "-4.00")
    assert (late["description"], late["counterparty"]) == ("Miete", "Łukasz")
    assert (posted["late"], posted["credit"], posted["balance"]) == (False, "10.00", "6.00")
    assert (posted["counterparty"], posted["counter_account_id"]) == ("Bäckerei Öz", shop)
    assert posted["reference"] == "INV-1"
    before = await statement(ledger, user, at_seq=first["seq"])
    assert [one["seq"] for one in before["movements"]] == [first["seq"]]


async def test_csv_has_the_same_rows_and_no_formulas(ledger: httpx.AsyncClient) -> None:
    bank, user = await open_account(ledger, "internal"), await open_account(ledger)
    await transfer(ledger, bank, user, "10.00", metadata={"description": "=HYPERLINK(1)"})
    path = f"/ledger/account/{user}/statement"
    answer = await ledger.get(path, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].endswith(f'"statement-{user}.csv"')
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["row"] for row in rows] == ["opening", "movement", "closing"]
    assert [row["balance"] for row in rows] == ["0.00", "10.00", "10.00"]
    assert rows[1]["description"] == "'=HYPERLINK(1)"
    assert rows[2]["credit"] == "10.00"


async def test_pdf_comes_from_another_process_and_is_the_same_again(
    ledger: httpx.AsyncClient,
) -> None:
    bank, user = await open_account(ledger, "internal"), await open_account(ledger)
    for number in range(40):
        metadata = {"description": f"Zahlung {number} – Ąę Ωμέγα Привет"}
        await transfer(ledger, bank, user, "10.00", metadata=metadata)
    path = f"/ledger/account/{user}/statement"
    seq = (await ledger.get("/ledger/head")).json()["seq"]
    answer = await ledger.get(path, params={"format": "pdf", "at_seq": seq})
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    assert answer.content.count(b"/Type /Page\n") == 2
    again = await ledger.get(f"{path}?at_seq={seq}", headers={"Accept": "application/pdf"})
    assert again.content == answer.content


async def test_statements_that_cannot_be_made_are_refused(
    ledger: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, user = await open_account(ledger, "internal"), await open_account(ledger)
    for _ in range(3):
        await transfer(ledger, bank, user, "1.00")
    path = f"/ledger/account/{user}/statement"
    for params, status, code in (
        ({"from": AUGUST, "to": JULY}, 422, "invalid_request"),
        ({"from": "2025-07-01"}, 422, "invalid_request"),
        ({"format": "xml"}, 422, "invalid_request"),
        ({"at_seq": 99}, 422, "seq_not_reached"),
        ({"at_seq": 1}, 404, "not_found"),
    ):
        answer = await ledger.get(path, params=params)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    monkeypatch.setattr(statements, "LINES_MAX", 2)
    long = await ledger.get(path)
    assert (long.status_code, long.json()["code"]) == (422, "statement_too_long")
    assert long.json()["lines_max"] == 2
    empty = await statement(ledger, user, **{"from": JULY, "to": JULY})
    assert (empty["movements"], empty["closing_balance"]) == ([], "0.00")

"""Why a record stayed alone: the first gate of each near item, and the change that would match."""

from pathlib import Path
from typing import Any
from uuid import uuid4

from recon_service.main import create_app
from tests.conftest import Serve
from tests.integration.recon.books import Books, july, line, recon_settings


async def why_not(books: Books, record_id: str, **query: str) -> dict[str, Any]:
    answer = await books.recon.get(f"/recon/records/{record_id}/why-unmatched", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def the_one(books: Books, **query: Any) -> dict[str, Any]:
    """Explain the only record that the day's run left without a match."""
    [entry] = await books.logs(matched="false", **query)
    assert entry["decision"] == "unmatched", entry["reason"]
    return await why_not(books, entry["record_id"])


async def proven(books: Books, found: dict[str, Any]) -> dict[str, Any]:
    """Try the change as the answer says, on the whole statement; return what it decides."""
    request = found["change"]["dry_run"]
    asked = await books.recon.request(request["method"], request["path"], json=request["body"])
    assert asked.status_code == 202, asked.text
    run = await books.wait(asked.json()["run_id"])
    logs = await books.logs(run_id=run["run_id"])
    [entry] = [one for one in logs if one["record_id"] == found["record_id"]]
    assert entry["internal_id"] == found["change"]["internal_id"]
    assert entry["decision"] == found["change"]["decision"]
    return entry


async def test_outside_the_window_by_days(books: Books) -> None:
    await books.post("TXN-1", "100.50", july(8))
    await books.run(books.statement("bank.csv", line("TXN-1", "100.50")))
    found = await the_one(books)
    [candidate] = found["candidates"]
    assert candidate["gate"] == "out_of_window"
    assert candidate["finding"] == (
        "The record is 5 days after the ledger: 3 days outside the window"
    )
    assert found["change"]["policy"] == {"window": {"after_days": 5}}
    assert found["verdict"] == (
        "A window of 5 days after the ledger would match it automatically (tried)."
    )
    assert (await proven(books, found))["match_type"] == "exact"


async def test_beyond_the_tolerance_by_an_amount(books: Books) -> None:
    await books.post("TXN-1", "100.50")
    await books.run(books.statement("bank.csv", line("TXN-1", "100.80")))
    found = await the_one(books)
    [candidate] = found["candidates"]
    assert candidate["gate"] == "amount_difference"
    assert "differ by 0.30: 0.30 beyond the tolerance of 0.00" in candidate["finding"]
    assert found["change"]["policy"] == {"amount_tolerance": {"absolute": "0.30"}}
    assert (await proven(books, found))["score"] == 1


async def test_two_gates_need_two_changes(books: Books) -> None:
    await books.post("TXN-1", "100.50", july(9))
    await books.run(books.statement("bank.csv", line("TXN-1", "100.80")))
    found = await the_one(books)
    assert found["candidates"][0]["gate"] == "amount_difference"
    assert found["change"]["policy"] == {
        "amount_tolerance": {"absolute": "0.30"},
        "window": {"after_days": 4},
    }
    await proven(books, found)


async def test_another_currency_is_beyond_any_policy(books: Books) -> None:
    await books.post("TXN-1", "100.50")
    await books.run(books.statement("bank.csv", line("TXN-1", "100.50", currency="EUR")))
    found = await the_one(books)
    assert [one["gate"] for one in found["candidates"]] == ["other_currency"]
    assert found["candidates"][0]["finding"] == "It is in USD, the record in EUR"
    assert found["change"] is None
    assert "no policy accepts" in found["verdict"]


async def test_the_opposite_direction_is_beyond_any_policy(books: Books) -> None:
    await books.post("OPENING", "1.00", july(1))
    config = (await books.recon.get("/recon/sources/bank_csv")).json()["config"]
    config |= {"nightly": False, "ledger_account_id": books.accounts[1]}
    made = await books.recon.post("/recon/sources", json={"name": "account_csv", "config": config})
    assert made.status_code == 201, made.text
    await books.post("TXN-1", "100.50")
    name = books.statement("bank.csv", line("TXN-1", "-100.50"))
    await books.run(name, source="account_csv")
    found = await the_one(books)
    assert [one["gate"] for one in found["candidates"]] == ["reversed_sign"]
    assert found["candidates"][0]["finding"].endswith("100.50 against -100.50")
    assert found["change"] is None


async def test_taken_by_another_record(books: Books) -> None:
    await books.post("TXN-1", "100.50")
    name = books.statement("a.csv", line("TXN-1", "100.50", july(12)))
    await books.run(name, july(12))
    [first] = await books.logs(july(12))
    assert first["decision"] == "auto"
    await books.run(books.statement("b.csv", line("TXN-1", "100.50")))
    found = await the_one(books)
    [candidate] = found["candidates"]
    assert candidate["gate"] == "taken"
    assert candidate["taken_by"]["record_id"] == first["record_id"]
    assert candidate["taken_by"]["run_id"] == first["run_id"]
    assert found["change"] is None
    assert "matched already" in found["verdict"]


async def test_equals_are_not_told_apart_by_a_policy(books: Books) -> None:
    for reference in ("A-100", "B-200", "C-300"):
        await books.post(reference, "100.50", description="Rent")
    await books.run(books.statement("bank.csv", line("X1", "100.50", description="Rent")))
    found = await the_one(books)
    assert [one["gate"] for one in found["candidates"]] == ["rival_better"] * 3
    assert "is as good" in found["candidates"][0]["finding"]
    assert found["change"] is None
    assert "pick among equals" in found["verdict"]


async def test_below_the_threshold_by_a_little(books: Books) -> None:
    await books.post("A-100", "100.50", july(11), description="Zebra consulting")
    name = books.statement("bank.csv", line("X1", "100.50", description="Quarterly rent Miller"))
    await books.run(name)
    found = await the_one(books)
    [candidate] = found["candidates"]
    assert candidate["gate"] == "below_threshold"
    assert candidate["score"] < 0.5
    threshold = found["change"]["policy"]["suggest_threshold"]
    assert 0 <= candidate["score"] - threshold < 0.01
    assert found["change"]["decision"] == "suggested"
    await proven(books, found)


async def test_an_item_that_came_later_needs_another_run_only(books: Books) -> None:
    name = books.statement("bank.csv", line("TXN-1", "100.50"))
    run = await books.run(name)
    await books.post("TXN-1", "100.50")
    found = await the_one(books)
    assert [one["gate"] for one in found["candidates"]] == ["recorded_later"]
    assert found["change"]["policy"] == {}
    assert found["change"]["dry_run"] is None
    assert found["verdict"] == "No change is needed: the next run will match it."
    await books.run(name)
    [entry] = await books.logs()
    assert entry["decision"] == "auto"
    after = await why_not(books, entry["record_id"])
    assert after["decision"] == "auto"
    assert after["candidates"] == []
    assert f"/recon/logs/{entry['log_id']}/why" in after["verdict"]
    before = await why_not(books, entry["record_id"], run_id=run["run_id"])
    assert before["decision"] == "unmatched"
    assert before["attempt"] == 1


async def test_a_closed_period_is_told(books: Books) -> None:
    await books.post("TXN-1", "100.50")
    await books.recon.patch(
        "/recon/sources/bank_csv", json={"policy": {"closed_through": "2025-07-13"}}
    )
    await books.run(books.statement("bank.csv", line("TXN-1", "100.50")))
    found = await the_one(books)
    assert [one["gate"] for one in found["candidates"]] == ["closed_period"]
    assert found["change"] is None


async def test_nothing_near_and_unknown_records(books: Books) -> None:
    await books.post("OTHER", "7.00")
    await books.run(books.statement("bank.csv", line("TXN-9", "3333.33")))
    found = await the_one(books)
    assert found["candidates"] == []
    assert found["verdict"].startswith("Nothing near is in the ledger")
    assert found["looked_at"]["items"] == 1
    assert found["looked_at"]["complete"] is True
    for path, detail in (
        (f"{uuid4()}/why-unmatched", "is known"),
        (f"{found['record_id']}/why-unmatched?run_id={uuid4()}", "has not decided"),
    ):
        answer = await books.recon.get(f"/recon/records/{path}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "unknown_record"
        assert detail in answer.json()["detail"]
    assert (await books.recon.get("/recon/records/nope/why-unmatched")).status_code == 422


async def test_a_run_that_is_superseded_answers_for_its_own_time(books: Books) -> None:
    await books.post("TXN-1", "100.50", july(8))
    name = books.statement("bank.csv", line("TXN-1", "100.50"), line("TXN-1", "100.50", july(9)))
    first = await books.run(name)
    [held] = await books.logs(matched="true")
    late = {"policy": {"window": {"after_days": 5}}}
    assert (await books.recon.patch("/recon/sources/bank_csv", json=late)).status_code == 200
    await books.run(books.statement("bank.csv", line("TXN-1", "100.50")))
    [now] = await books.logs()
    assert now["decision"] == "auto"
    then = await why_not(books, now["record_id"], run_id=first["run_id"])
    [candidate] = then["candidates"]
    assert candidate["gate"] == "out_of_window"
    assert candidate["taken_by"] == {
        "record_id": held["record_id"],
        "run_id": first["run_id"],
        "log_id": held["log_id"],
    }
    assert then["policy"]["window"]["after_days"] == 2
    assert then["change"] is None


async def test_a_dry_run_is_explained_by_its_own_policy(books: Books) -> None:
    await books.post("TXN-1", "100.50", july(8))
    name = books.statement("bank.csv", line("TXN-1", "100.50"))
    patch = {"window": {"after_days": 4}}
    run = await books.run(name, dry_run=True, policy=patch)
    [entry] = await books.logs(run_id=run["run_id"])
    found = await why_not(books, entry["record_id"], run_id=run["run_id"])
    assert found["dry_run"] is True
    assert found["candidates"][0]["days_beyond"] == 1
    assert found["change"]["policy"] == {"window": {"after_days": 5}}
    unknown = await books.recon.get(f"/recon/records/{entry['record_id']}/why-unmatched")
    assert unknown.status_code == 404
    assert "no run in force" in unknown.json()["detail"]


async def test_a_ledger_that_is_away_is_told(books: Books, serve: Serve, tmp_path: Path) -> None:
    await books.run(books.statement("bank.csv", line("TXN-9", "3.33")))
    [entry] = await books.logs()
    settings = recon_settings(books.databases, tmp_path, ledger_url="http://127.0.0.1:9")
    alone = await serve(create_app(settings), base_url="http://alone")
    answer = await alone.get(f"/recon/records/{entry['record_id']}/why-unmatched")
    assert answer.status_code == 503
    assert answer.json()["code"] == "ledger_unavailable"
    assert answer.json()["reason"] == "ledger-unreachable"
    assert answer.headers["content-type"] == "application/problem+json"

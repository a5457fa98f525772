"""Decisions are explained over HTTP: as numbers that add up, as a page, and as a picture."""

import xml.etree.ElementTree as ET
from html import unescape
from typing import Any

import pytest

from tests.integration.recon.books import Books, july, line

HOSTILE = "<script>alert(1)</script> & \"quoted\" 'x'"


async def why(books: Books, log_id: int) -> dict[str, Any]:
    answer = await books.recon.get(f"/recon/logs/{log_id}/why")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def shown(books: Books, log_id: int, accept: str) -> str:
    answer = await books.recon.get(f"/recon/logs/{log_id}/why", headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(accept.split(",")[0])
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["vary"] == "Accept"
    return answer.text


async def test_an_exact_match_shows_the_conditions_that_held(books: Books) -> None:
    posted = await books.post("TXN-1", "100.50", july(12))
    await books.run(books.statement("bank.csv", line("TXN-1", "100.50")))
    [entry] = await books.logs()
    found = await why(books, entry["log_id"])
    assert [one["condition"] for one in found["conditions"]] == [
        "Transaction id",
        "Currency",
        "Amount",
        "Date",
        "Only answer",
    ]
    assert found["conditions"][0]["record"] == found["conditions"][0]["ledger"] == "TXN-1"
    assert found["conditions"][3]["finding"] == "lag +1 calendar days, allowed -1 to +2"
    assert found["weighing"] is found["group"] is found["netted"] is None
    assert [one["id"] for one in found["items"]] == [posted["transaction_id"]]
    assert "TXN-1 · 100.50 USD · matched exactly" in await shown(
        books, entry["log_id"], "text/html"
    )


async def test_evidence_adds_up_to_the_probability(books: Books) -> None:
    await books.post("INV-2025-77", "42.00", july(12), description="Office chairs Meyer")
    await books.post("INV-2025-78", "42.00", july(11), description="Coffee")
    name = books.statement("bank.csv", line("X1", "42.00", description="office chairs meyer"))
    await books.run(name)
    [entry] = await books.logs()
    assert entry["match_type"] == "fuzzy"
    weighing = (await why(books, entry["log_id"]))["weighing"]
    running = 0.0
    for step in weighing["steps"]:
        running += step["bits"]
        assert step["running"] == pytest.approx(running, abs=1e-3)
    rivals = (1 + weighing["record_rivals"]) * (1 + weighing["item_rivals"])
    probability = weighing["odds"] / (weighing["odds"] + rivals)
    assert probability == pytest.approx(entry["score"], abs=1e-3)
    assert 1 / (1 + 2**-running) == pytest.approx(entry["score"], abs=1e-3)
    assert weighing["total_bits"] == pytest.approx(entry["evidence"]["total_bits"], abs=1e-3)
    page = await shown(books, entry["log_id"], "text/html,application/xml;q=0.9,*/*;q=0.8")
    for step in weighing["steps"]:
        assert f"{step['bits']:+.2f}" in page
    picture = ET.fromstring(await shown(books, entry["log_id"], "image/svg+xml"))  # noqa: S314
    bars = [one for one in picture.iter() if one.get("rx") == "2"]
    assert len(bars) == len(weighing["steps"]) + 1


async def test_what_a_bank_wrote_never_becomes_markup(books: Books) -> None:
    await books.post("INV-1", "42.00", description=HOSTILE)
    quoted = HOSTILE.replace('"', '""')
    name = books.statement("bank.csv", line("<b>X1</b>", "42.00", description=f'"{quoted}"'))
    await books.run(name)
    [entry] = await books.logs()
    assert entry["external_text"] == HOSTILE
    page = await shown(books, entry["log_id"], "text/html")
    picture = await shown(books, entry["log_id"], "image/svg+xml")
    for text in (page, picture):
        assert "<script" not in text
        assert "<b>X1" not in text
    assert HOSTILE in unescape(page)
    assert "<b>X1</b> · 42.00 USD" in "".join(
        ET.fromstring(picture).itertext()  # noqa: S314 (our own, which is what is tested)
    )


async def test_a_group_shows_its_members_and_their_sum(books: Books) -> None:
    for number in range(3):
        await books.post(
            f"BATCH-7741-{number}", f"{10 + number}.25", july(12), description="Payout BATCH-7741"
        )
    await books.run(books.statement("bank.csv", line("BATCH-7741", "33.75")))
    [entry] = await books.logs()
    assert entry["match_type"] == "group", entry
    found = await why(books, entry["log_id"])
    assert found["group"]["sum"] == "33.75"
    assert found["group"]["residual"] == "0.00"
    assert found["group"]["solutions"] == 1
    assert found["items_count"] == len(found["items"]) == 3
    picture = ET.fromstring(await shown(books, entry["log_id"], "image/svg+xml"))  # noqa: S314
    assert len([one for one in picture.iter() if one.get("rx") == "2"]) == 4


async def test_an_unmatched_record_and_an_unknown_entry(books: Books) -> None:
    await books.run(books.statement("bank.csv", line("TXN-9", "3.33")))
    [entry] = await books.logs()
    found = await why(books, entry["log_id"])
    assert found["decision"] == "unmatched"
    assert found["weighing"] is None
    assert found["alternatives"] == found["items"] == []
    assert "unmatched" in await shown(books, entry["log_id"], "image/svg+xml")
    unknown = await books.recon.get("/recon/logs/99999999/why")
    assert unknown.status_code == 404
    assert unknown.json()["code"] == "unknown_log_entry"
    assert unknown.headers["content-type"] == "application/problem+json"

"""A statement is reconciled with the ledger: from the request to the proven summary."""

from tests.integration.recon.books import Books, july, line


async def test_exact_and_missing_lines_are_told_apart(books: Books) -> None:
    posted = await books.post("TXN-1", "100.50", description="Payment")
    await books.post("TXN-2", "7.00", july(11))
    name = books.statement("bank.csv", line("TXN-1", "100.50"), line("TXN-9", "3.33"), "broken")
    run = await books.run(name)
    assert run["attempt"] == 1
    assert [event["kind"] for event in run["events"]] == ["queued", "started", "finished"]
    summary = await books.summary()
    counted = ("lines", "accepted", "rejected", "exact", "fuzzy", "suggested", "unmatched")
    assert [summary[name] for name in counted] == [3, 2, 1, 1, 0, 0, 1]
    assert summary["ledger"] == {
        "read": 2,
        "matched": 1,
        "suggested": 0,
        "timing": 0,
        "unmatched": 0,
        "netted": 0,
        "another_day": 1,
    }
    assert summary["values"]["lines"]["USD"]["auto"] == "100.50"
    matched, unmatched = await books.logs()
    assert matched["matched"] is True
    assert matched["match_type"] == "exact"
    assert matched["score"] == 1
    assert matched["external_id"] == "TXN-1"
    assert matched["internal_id"] == posted["transaction_id"]
    assert matched["internal_reference"] == "TXN-1"
    assert matched["internal_amount"] == matched["external_amount"] == "100.50"
    assert matched["internal_ids"] == [posted["transaction_id"]]
    assert matched["record_ids"] == [matched["record_id"]]
    assert unmatched["decision"] == "unmatched"
    assert unmatched["internal_ids"] == []
    assert unmatched["internal_id"] is None
    assert [entry["external_id"] for entry in await books.logs(matched="false")] == ["TXN-9"]
    rejected = (await books.recon.get("/recon/rejected", params={"source": "bank_csv"})).json()
    assert [one["line_no"] for one in rejected["rejected"]] == [4]
    assert [one["kind"] for one in await books.breaks()] == ["missing_in_ledger"]

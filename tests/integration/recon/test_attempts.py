"""A date that is run again: the new attempt supersedes the last, and nothing is matched twice."""

import asyncio
from itertools import pairwise
from pathlib import Path

import asyncpg
import httpx

from tests.conftest import Serve
from tests.integration.recon.books import Books, july, line, open_books
from tests.postgres import TestDatabases


async def test_a_second_attempt_supersedes_the_first(books: Books) -> None:
    await books.post("TXN-1", "10.00")
    await books.post("TXN-2", "20.00")
    await books.run(books.statement("one.csv", line("TXN-1", "10.00")))
    first = await books.summary()
    second_run = await books.run(
        books.statement("two.csv", line("TXN-1", "10.00"), line("TXN-2", "20.00"))
    )
    summary = await books.summary()
    assert (summary["attempt"], summary["exact"], summary["already_reconciled"]) == (2, 2, 0)
    assert second_run["supersedes"] == first["run_id"]
    old = (await books.recon.get(f"/recon/runs/{first['run_id']}")).json()
    assert old["superseded_by"] == second_run["run_id"]
    assert [event["kind"] for event in old["events"]][-1] == "superseded"
    # The first attempt stays readable where it is asked for.
    assert (await books.summary(attempt=1))["exact"] == 1
    assert {entry["attempt"] for entry in await books.logs()} == {2}
    assert {entry["attempt"] for entry in await books.logs(attempt=1)} == {1}
    assert len(await books.logs(run_id=first["run_id"])) == 1
    # The event that the first attempt missed is no break any more.
    assert await books.breaks() == []


async def test_a_failed_attempt_leaves_the_last_one_in_force(books: Books) -> None:
    await books.post("TXN-1", "10.00")
    await books.run(books.statement("one.csv", line("TXN-1", "10.00")))
    name = books.statement("wrong.csv", "x", header="not,the,columns")
    failed = await books.run(name, expect="failed")
    assert failed["error"]["code"] == "missing-column"
    status = (await books.recon.get("/recon/status/2025-07-13")).json()
    assert [(run["attempt"], run["status"]) for run in status["runs"]] == [(1, "finished")]
    by_number = (await books.recon.get("/recon/status/2025-07-13?attempt=2")).json()
    assert by_number["runs"][0]["error"]["code"] == "missing-column"
    assert (await books.summary())["attempt"] == 1
    assert len(await books.logs(matched="true")) == 1


async def test_lines_of_an_overlapping_statement_are_reconciled_once(books: Books) -> None:
    for number in (1, 2):
        await books.post(f"TXN-{number}", f"{number}0.00", july(11 + number))
    both = [line("TXN-1", "10.00", july(12)), line("TXN-2", "20.00", july(13))]
    await books.run(books.statement("12.csv", both[0]), july(12))
    await books.run(books.statement("13.csv", *both), july(13))
    summary = await books.summary(july(13))
    assert (summary["exact"], summary["already_reconciled"], summary["unmatched"]) == (1, 1, 0)


async def test_a_run_that_a_later_day_depends_on_is_not_superseded(books: Books) -> None:
    await books.post("TXN-1", "10.00", july(12))
    one = line("TXN-1", "10.00", july(12))
    await books.run(books.statement("12.csv", one), july(12))
    await books.run(books.statement("13.csv", one), july(13))
    refused = await books.ask("12.csv", july(12))
    assert refused.status_code == 409
    problem = refused.json()
    assert problem["code"] == "later_run_depends"
    assert problem["depends_date"] == "2025-07-13"
    # Once the later day no longer counts on it, it may be run again.
    await books.post("TXN-2", "5.00", july(13))
    await books.run(books.statement("13b.csv", line("TXN-2", "5.00", july(13))), july(13))
    await books.run("12.csv", july(12))


async def test_an_open_line_is_matched_by_an_event_recorded_later(books: Books) -> None:
    await books.run(books.statement("12.csv", line("TXN-1", "10.00", july(12))), july(12))
    assert [one["kind"] for one in await books.breaks()] == ["missing_in_ledger"]
    await books.post("TXN-1", "10.00", july(12))
    await books.post("TXN-2", "20.00", july(20))
    await books.run(books.statement("20.csv", line("TXN-2", "20.00", july(20))), july(20))
    summary = await books.summary(july(20))
    assert (summary["exact"], summary["carried"]["auto"]) == (1, 1)
    carried = [entry for entry in await books.logs(july(20)) if entry["carried"]]
    assert [entry["external_id"] for entry in carried] == ["TXN-1"]
    assert await books.breaks() == []


async def test_a_late_event_between_two_statements_is_found_missing(books: Books) -> None:
    await books.run(books.statement("10.csv", line("TXN-1", "1.00", july(10))), july(10))
    await books.run(books.statement("20.csv", line("TXN-2", "2.00", july(20))), july(20))
    await books.post("LATE", "9.99", july(14))
    await books.run(books.statement("25.csv", line("TXN-3", "3.00", july(25))), july(25))
    [late] = await books.breaks(side="ledger")
    assert (late["reference"], late["kind"], late["late"]) == ("LATE", "missing_in_bank", True)


async def test_an_event_is_timing_until_the_window_has_passed(books: Books) -> None:
    await books.post("TXN-1", "1.00", july(13))
    await books.run(books.statement("13.csv", line("X-1", "50.00", july(13))), july(13))
    assert await books.breaks(side="ledger") == []
    assert [one["status"] for one in await books.breaks(side="ledger", status="timing")] == [
        "timing"
    ]
    await books.run(books.statement("15.csv", line("X-2", "60.00", july(15))), july(15))
    assert [one["reference"] for one in await books.breaks(side="ledger")] == ["TXN-1"]


async def test_two_sources_of_one_population_never_match_one_event_twice(books: Books) -> None:
    await books.post("TXN-1", "10.00")
    config = (await books.recon.get("/recon/sources/bank_csv")).json()["config"]
    made = await books.recon.post(
        "/recon/sources", json={"name": "card_csv", "config": config | {"nightly": False}}
    )
    assert made.status_code == 201, made.text
    name = books.statement("one.csv", line("TXN-1", "10.00"))
    asked = await asyncio.gather(
        books.ask(name), books.ask(name, source="card_csv"), books.ask(name), books.ask(name)
    )
    runs = [await books.wait(answer.json()["run_id"]) for answer in asked]
    assert sorted((run["source"], run["attempt"]) for run in runs) == [
        ("bank_csv", 1),
        ("bank_csv", 2),
        ("bank_csv", 3),
        ("card_csv", 1),
    ]
    matched = await books.logs(matched="true")
    assert len(matched) == 1
    # Two runs of one source never overlapped.
    spans = sorted(
        (run["started_at"], run["finished_at"]) for run in runs if run["source"] == "bank_csv"
    )
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


async def test_equal_lines_of_one_statement_are_two_records(books: Books) -> None:
    await books.post("TXN-1", "10.00")
    twice = [line("TXN-1", "10.00")] * 2
    await books.run(books.statement("one.csv", *twice))
    summary = await books.summary()
    assert summary["accepted"] == 2
    assert summary["ledger"]["matched"] <= 1
    records = {entry["record_id"] for entry in await books.logs()}
    assert len(records) == 2


async def test_the_queue_of_a_source_is_bounded(
    databases: TestDatabases, serve: Serve, ledger: httpx.AsyncClient, tmp_path: Path
) -> None:
    books = await open_books(databases, serve, ledger, tmp_path, queue_max=2)
    name = books.statement("one.csv", line("TXN-1", "10.00"))
    connection = await asyncpg.connect(databases.recon_url)
    try:
        await connection.execute(
            "INSERT INTO recon.leases (name, run_id, token, until)"
            " VALUES ('source:bank_csv', gen_random_uuid(), 7, now() + interval '1 hour')"
        )
        asked = [await books.ask(name) for _ in range(3)]
        assert [answer.status_code for answer in asked] == [202, 202, 409]
        assert asked[2].json()["code"] == "run_queue_full"
        await connection.execute("UPDATE recon.leases SET until = now()")
        runs = [await books.wait(answer.json()["run_id"]) for answer in asked[:2]]
    finally:
        await connection.close()
    assert [run["attempt"] for run in runs] == [1, 2]


async def test_a_ledger_that_went_back_is_not_trusted(books: Books) -> None:
    name = books.statement("one.csv", line("TXN-1", "10.00"))
    await books.run(name)
    connection = await asyncpg.connect(books.databases.recon_url)
    try:
        await connection.execute("UPDATE recon.runs SET read_to_seq = 1000000")
    finally:
        await connection.close()
    failed = await books.run(name, july(14), expect="failed")
    assert failed["error"]["code"] == "ledger-went-back"


async def test_an_item_that_another_day_took_is_named_where_a_line_stays_alone(
    books: Books,
) -> None:
    taken = await books.post("TXN-1", "10.00")
    await books.run(books.statement("a.csv", line("TXN-1", "10.00")))
    later = july(14)
    await books.run(books.statement("b.csv", line("TXN-1", "10.00", later)), later)
    (row,) = await books.logs(later)
    assert (row["decision"], row["cause"]) == ("unmatched", "duplicate")
    assert taken["transaction_id"] in row["reason"]

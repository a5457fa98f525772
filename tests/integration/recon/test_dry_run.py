"""A dry run decides like any other and leaves no trace but its own log; two runs are compared."""

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from recon_service.scheduler import Scheduler
from tests.integration.recon.books import JULY_13, NOW, Books, july, line

IN_FORCE = ("active_matches", "breaks", "break_events", "sources", "source_versions")
WIDER = {"amount_tolerance": {"absolute": "0.05"}}


async def in_force(books: Books) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the tables that a dry run must not touch."""
    connection = await asyncpg.connect(books.databases.admin_url)
    try:
        return {
            table: sorted(
                (tuple(row) for row in await connection.fetch(f"SELECT * FROM recon.{table}")),  # noqa: S608
                key=repr,
            )
            for table in IN_FORCE
        }
    finally:
        await connection.close()


async def open_statement(books: Books) -> tuple[str, dict[str, Any]]:
    """Reconcile one line that fits and one that is two cents off; return statement and run."""
    await books.post("TXN-1", "10.00")
    await books.post("TXN-2", "20.00")
    name = books.statement("d.csv", line("TXN-1", "10.00"), line("TXN-2", "20.02"))
    return name, await books.run(name)


async def test_a_dry_run_shows_its_decisions_and_puts_nothing_in_force(books: Books) -> None:
    name, base = await open_statement(books)
    before = await in_force(books)
    dry = await books.run(name, dry_run=True, policy=WIDER)
    assert await in_force(books) == before
    assert (dry["dry_run"], dry["attempt"], dry["policy"]) == (True, 1, WIDER)
    assert (dry["supersedes"], dry["status"]) == (None, "finished")
    found = (await books.recon.get(f"/recon/runs/{dry['run_id']}/summary")).json()
    assert (found["exact"], found["dry_run"], found["equation"]["proved"]) == (2, True, True)
    assert [one["cause"] for one in found["causes"]] != []
    decided = await books.logs(run_id=dry["run_id"])
    assert [row["decision"] for row in decided] == ["auto", "auto"]
    # By date nothing but the run in force is shown.
    assert (await books.summary())["run_id"] == base["run_id"]
    assert {row["run_id"] for row in await books.logs()} == {base["run_id"]}
    assert {row["run_id"] for row in await books.logs(attempt=1)} == {base["run_id"]}
    [shown] = (await books.recon.get(f"/recon/status/{JULY_13}")).json()["runs"]
    assert (shown["run_id"], shown["superseded_by"]) == (base["run_id"], None)
    listed = (await books.recon.get("/recon/runs", params={"dry_run": True})).json()["runs"]
    assert [run["run_id"] for run in listed] == [dry["run_id"]]


async def test_later_runs_do_not_see_a_dry_run(books: Books) -> None:
    await books.post("TXN-1", "10.00")
    name = books.statement("d.csv", line("TXN-1", "10.00"))
    dry = await books.run(name, dry_run=True)
    asked = await books.ask(name, dry_run=True)
    assert asked.json()["status_url"] == f"/recon/runs/{asked.json()['run_id']}"
    assert (await books.wait(asked.json()["run_id"]))["attempt"] == 2
    assert (await books.recon.get(f"/recon/summary/{JULY_13}")).status_code == 404
    real = await books.run(name)
    assert (real["attempt"], real["supersedes"]) == (1, None)
    assert (await books.summary())["exact"] == 1
    # A day that overlaps counts the line as reconciled by the real run.
    await books.run(books.statement("e.csv", line("TXN-1", "10.00")), july(14))
    assert (await books.summary(july(14)))["already_reconciled"] == 1
    assert (await books.recon.get(f"/recon/runs/{dry['run_id']}")).json()["superseded_by"] is None


async def test_a_night_is_run_though_somebody_tried_it_out(books: Books) -> None:
    yesterday = NOW.date() - timedelta(days=1)
    name = books.statement("bank_dump.csv", line("TXN-1", "1.00", yesterday))
    await books.run(name, yesterday, dry_run=True)
    made = await Scheduler(books.app.state.resources).begin_night()
    assert len(made) == 1
    assert (await books.wait(made[0]))["trigger"] == "nightly"


async def test_a_dry_run_may_ask_what_a_later_day_forbids(books: Books) -> None:
    await books.post("TXN-1", "10.00", july(12))
    one = line("TXN-1", "10.00", july(12))
    await books.run(books.statement("12.csv", one), july(12))
    await books.run(books.statement("13.csv", one), july(13))
    assert (await books.ask("12.csv", july(12))).status_code == 409
    dry = await books.run("12.csv", july(12), dry_run=True)
    assert dry["counts"]["exact"] == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"policy": WIDER}, "invalid_request"),
        ({"dry_run": True, "policy": {"auto_threshold": 2}}, "invalid_policy"),
        ({"dry_run": True, "policy": {"no_such_key": 1}}, "invalid_policy"),
        ({"dry_run": "yes"}, "invalid_request"),
    ],
)
async def test_a_policy_that_is_none_is_refused(
    books: Books, body: dict[str, Any], code: str
) -> None:
    name = books.statement("d.csv", line("TXN-1", "10.00"))
    refused = await books.ask(name, **body)
    assert (refused.status_code, refused.json()["code"]) == (422, code)


async def compared(books: Books, base: str, other: str, **query: Any) -> dict[str, Any]:
    answer = await books.recon.get("/recon/compare", params={"base": base, "other": other, **query})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_what_a_policy_would_gain_is_told_with_its_value(books: Books) -> None:
    name, base = await open_statement(books)
    dry = await books.run(name, dry_run=True, policy=WIDER)
    found = await compared(books, base["run_id"], dry["run_id"])
    assert found["totals"] == {
        "gained": {"records": 1, "values": {"USD": "20.02"}},
        "lost": {"records": 0, "values": {}},
        "changed": {"records": 0, "values": {}},
    }
    [gained] = found["differences"]
    assert (gained["change"], gained["external_id"], gained["amount"]) == (
        "gained",
        "TXN-2",
        "20.02",
    )
    assert (gained["base"]["decision"], gained["other"]["decision"]) == ("unmatched", "auto")
    assert gained["other"]["internal_ids"] != []
    assert found["other"]["policy"] == WIDER
    # Seen from the other side the same record is lost, and a run does not differ from itself.
    back = await compared(books, dry["run_id"], base["run_id"])
    assert [one["change"] for one in back["differences"]] == ["lost"]
    assert (await compared(books, base["run_id"], base["run_id"]))["differences"] == []


async def test_another_counterpart_is_a_change_also_in_a_group(books: Books) -> None:
    parts = [f"payout PO-77810 part {number}" for number in (1, 2)]
    await books.post("A-1", "10.00", description=parts[0])
    await books.post("A-2", "20.00", description=parts[1])
    name = books.statement("p.csv", line("P-1", "30.00", description="Payout PO-77810"))
    first = await books.run(name)
    assert [row["match_type"] for row in await books.logs()] == ["group"]
    same = await books.run(name, dry_run=True)
    assert (await compared(books, first["run_id"], same["run_id"]))["differences"] == []
    # A transaction of the very id takes the line from the group.
    await books.post("P-1", "30.00")
    dry = await books.run(name, dry_run=True)
    found = await compared(books, first["run_id"], dry["run_id"])
    [changed] = found["differences"]
    assert changed["change"] == "changed"
    assert (len(changed["base"]["internal_ids"]), len(changed["other"]["internal_ids"])) == (2, 1)
    assert found["totals"]["changed"] == {"records": 1, "values": {"USD": "30.00"}}


async def test_differences_come_in_pages(books: Books) -> None:
    lines = []
    for number in range(1, 6):
        await books.post(f"TXN-{number}", f"{number}0.00")
        lines.append(line(f"TXN-{number}", f"{number}0.02"))
    name = books.statement("d.csv", *lines)
    base = (await books.run(name))["run_id"]
    other = (await books.run(name, dry_run=True, policy=WIDER))["run_id"]
    page = await compared(books, base, other, limit=2, change="gained")
    assert page["totals"]["gained"]["records"] == 5
    seen = [one["record_id"] for one in page["differences"]]
    while page["next"] is not None:
        page = (await books.recon.get(page["next"])).json()
        assert page["totals"] is None
        seen += [one["record_id"] for one in page["differences"]]
    assert len(seen) == 5
    assert seen == sorted(set(seen))
    assert (await compared(books, base, other, change="lost"))["differences"] == []


async def test_lines_that_an_earlier_day_reconciled_are_not_lost(books: Books) -> None:
    for number in (1, 2):
        await books.post(f"TXN-{number}", f"{number}0.00", july(11 + number))
    both = [line("TXN-1", "10.00", july(12)), line("TXN-2", "20.00", july(13))]
    first = await books.run(books.statement("12.csv", both[0]), july(12))
    second = await books.run(books.statement("13.csv", *both), july(13))
    found = await compared(books, first["run_id"], second["run_id"])
    assert [(one["change"], one["external_id"]) for one in found["differences"]] == [
        ("gained", "TXN-2")
    ]


async def test_only_finished_runs_of_one_source_are_compared(books: Books) -> None:
    name = books.statement("d.csv", line("TXN-1", "10.00"))
    run = (await books.run(name))["run_id"]
    broken = books.statement("x.csv", "x", header="not,the,columns")
    failed = (await books.run(broken, july(14), expect="failed"))["run_id"]
    config = (await books.recon.get("/recon/sources/bank_csv")).json()["config"]
    made = await books.recon.post(
        "/recon/sources", json={"name": "card_csv", "config": config | {"nightly": False}}
    )
    assert made.status_code == 201
    elsewhere = (await books.run(name, source="card_csv"))["run_id"]
    nobody = "01890000-0000-7000-8000-000000000000"
    for other, status, code in (
        (failed, 409, "runs_not_comparable"),
        (elsewhere, 409, "runs_not_comparable"),
        (nobody, 404, "unknown_run"),
    ):
        refused = await books.recon.get("/recon/compare", params={"base": run, "other": other})
        assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_progress_tells_phases_and_partitions(books: Books) -> None:
    _, run = await open_statement(books)
    assert run["progress"] == {
        "phases_done": 4,
        "phases": 4,
        "partitions_done": 1,
        "partitions": 1,
    }

"""Matches of more than two, and lines that cancel out: stored, shown, and ended as a whole."""

from typing import Any

import asyncpg
import pytest

from tests.integration.recon.books import JULY_13, Books, july, line

SPLIT = [
    line("X-1", "20.00", july(12), description="Part one invoice INV-55510"),
    line("X-2", "30.00", july(13), description="Part two invoice INV-55510"),
]


async def payout(books: Books) -> list[str]:
    """Post three orders of one payout; return their transactions, sorted."""
    posted = [
        await books.post(f"A-{n}", f"{n}0.00", description=f"Order {n} payout PO-77810")
        for n in (1, 2, 3)
    ]
    return sorted(one["transaction_id"] for one in posted)


def payout_line(amount: str = "60.00") -> str:
    return line("P-1", amount, description="Payout PO-77810")


async def account_source(books: Books) -> str:
    """Make a source that is compared with the second account, where amounts have signs."""
    await books.post("OPENING", "1.00", july(1))
    config = (await books.recon.get("/recon/sources/bank_csv")).json()["config"]
    config |= {"nightly": False, "ledger_account_id": books.accounts[1]}
    made = await books.recon.post("/recon/sources", json={"name": "account_csv", "config": config})
    assert made.status_code == 201, made.text
    return "account_csv"


async def take_back(books: Books, reference: str, amount: str) -> dict[str, Any]:
    """Move money the other way."""
    books.accounts.reverse()
    found = await books.post(reference, amount)
    books.accounts.reverse()
    return found


async def fetch(books: Books, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(books.databases.admin_url)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


async def groups(books: Books, **query: Any) -> list[dict[str, Any]]:
    answer = await books.recon.get("/recon/groups/", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["groups"])


async def test_a_payout_is_one_match_of_one_line_and_many_items(books: Books) -> None:
    transactions = await payout(books)
    await books.post("TXN-1", "5.00")
    run = await books.run(books.statement("p.csv", payout_line(), line("TXN-1", "5.00")))
    row, single = await books.logs()
    assert (row["decision"], row["match_type"], row["matched"]) == ("auto", "group", True)
    assert row["internal_ids"] == transactions
    assert row["record_ids"] == [row["record_id"]]
    assert row["internal_id"] in transactions
    assert (single["match_type"], single["match_id"]) == ("exact", None)
    [group] = await groups(books, run_id=run["run_id"])
    assert (group["match_id"], group["match_type"]) == (row["match_id"], "group")
    first, *items = group["members"]
    assert (first["side"], first["amount"], first["key"]) == ("external", "60.00", row["record_id"])
    assert sorted(one["amount"] for one in items) == ["10.00", "20.00", "30.00"]
    summary = await books.summary()
    assert (summary["exact"], summary["grouped"], summary["ledger"]["matched"]) == (1, 1, 4)
    kinds = {one["match_type"]: one for one in summary["matches"]}
    assert kinds["group"] == {
        "match_type": "group",
        "decision": "auto",
        "matches": 1,
        "records": 1,
        "items": 3,
        "values": {"USD": {"records": "60.00", "items": "60.00"}},
    }
    assert summary["search"]["groups_searched"] >= 1
    assert await books.breaks() == []


async def test_the_log_streams_the_members_of_a_group(books: Books) -> None:
    transactions = await payout(books)
    await books.run(books.statement("p.csv", payout_line()))
    lines = await books.recon.get("/recon/logs", headers={"Accept": "application/x-ndjson"})
    assert lines.json()["internal_ids"] == transactions
    text = await books.recon.get("/recon/logs", headers={"Accept": "text/csv"})
    assert transactions[0] in text.text


async def test_a_split_is_one_match_of_many_lines_and_one_item(books: Books) -> None:
    posted = await books.post("INV-55510", "50.00", description="Invoice INV-55510")
    await books.run(books.statement("s.csv", *SPLIT))
    rows = await books.logs()
    assert {row["match_type"] for row in rows} == {"group"}
    assert len({row["match_id"] for row in rows}) == 1
    both = sorted(row["record_id"] for row in rows)
    assert [row["record_ids"] for row in rows] == [both, both]
    assert [row["internal_ids"] for row in rows] == [[posted["transaction_id"]]] * 2
    assert (await books.summary())["grouped"] == 2


async def test_what_cancels_out_is_netted_on_both_sides(books: Books) -> None:
    source = await account_source(books)
    await books.post("TXN-8", "9.00", description="Fee")
    await take_back(books, "TXN-8", "9.00")
    await books.post("TXN-9", "77.00")
    name = books.statement(
        "n.csv",
        line("TXN-5", "-20.00", description="Card 4711"),
        line("TXN-5", "20.00", description="Card 4711 storno"),
        line("TXN-9", "77.00"),
    )
    await books.run(name, source=source)
    summary = await books.summary()
    assert (summary["exact"], summary["netted"], summary["unmatched"]) == (1, 2, 0)
    assert (summary["ledger"]["netted"], summary["ledger"]["unmatched"]) == (2, 0)
    assert summary["values"]["lines"]["USD"]["netted"] == "0.00"
    assert {one["equation"] for one in summary["equation"]["terms"]} >= {
        "records netted = 0",
        "items netted = 0",
        "items netted = in pairs + in groups",
    }
    netted = await books.logs(decision="netted")
    assert {row["match_type"] for row in netted} == {"netted"}
    assert netted[0]["record_ids"] == netted[1]["record_ids"]
    assert [(row["internal_id"], row["internal_ids"]) for row in netted] == [(None, [])] * 2
    sides = [{one["side"] for one in group["members"]} for group in await groups(books)]
    assert sorted(map(sorted, sides)) == [["external"], ["ledger"]]
    assert await books.breaks() == []
    # The next day has nothing left of them to look at.
    await books.run(books.statement("m.csv", line("X", "1.11", july(14))), july(14), source=source)
    assert (await books.summary(july(14)))["ledger"]["netted"] == 0


async def test_a_new_attempt_frees_a_group_as_a_whole(books: Books) -> None:
    await books.post("INV-55510", "50.00", description="Invoice INV-55510")
    await books.run(books.statement("s.csv", *SPLIT))
    await books.run(books.statement("t.csv", SPLIT[1]))
    [row] = await books.logs()
    assert row["decision"] != "auto"
    assert await fetch(books, "SELECT * FROM recon.active_matches") == []
    assert await groups(books, decision="auto") == []
    assert len(await groups(books, attempt=1)) == 1
    await books.run("s.csv")
    assert len(await groups(books, decision="auto")) == 1
    assert await books.breaks() == []


async def test_a_group_ends_as_a_whole_when_one_of_its_lines_is_in_no_statement(
    books: Books,
) -> None:
    await books.run(books.statement("12.csv", SPLIT[0]), july(12))
    await books.post("INV-55510", "50.00", description="Invoice INV-55510")
    grouped = await books.run(books.statement("13.csv", SPLIT[1]))
    summary = await books.summary()
    assert (summary["grouped"], summary["carried"]["auto"]) == (1, 1)
    assert await books.breaks() == []
    # The first part was never on the statement of the 12th: the match rests on nothing.
    await books.post("TXN-7", "7.00", july(12))
    again = await books.run(books.statement("12b.csv", line("TXN-7", "7.00", july(12))), july(12))
    active = await fetch(books, "SELECT run_id::text FROM recon.active_matches")
    assert [row["run_id"] for row in active] == [again["run_id"]]
    told = (await books.recon.get(f"/recon/runs/{grouped['run_id']}")).json()["events"][-1]
    assert (told["kind"], told["detail"]["matches"]) == ("released", 1)
    alone = await books.breaks(status=["open", "timing"])
    broken = {(one["side"], one["reference"]) for one in alone}
    assert broken == {("external", "X-2"), ("ledger", "INV-55510")}
    # Once the line is back, so is the match.
    await books.run("12.csv", july(12))
    await books.run("13.csv")
    assert await books.breaks(side="external") == []


async def test_the_items_of_an_account_that_was_left_are_open_again(books: Books) -> None:
    source = await account_source(books)
    await payout(books)
    name = books.statement("p.csv", payout_line())
    await books.run(name, source=source)
    assert await books.breaks(side="ledger") == []
    changes = {"ledger_account_id": books.accounts[0]}
    patched = await books.recon.patch(f"/recon/sources/{source}", json=changes)
    assert patched.status_code == 200, patched.text
    await books.run(name, source=source)
    left = [
        one for one in await books.breaks(side="ledger") if one["population"] == books.accounts[1]
    ]
    assert sorted(one["reference"] for one in left) == ["A-1", "A-2", "A-3"]


async def test_postgresql_refuses_a_second_match_of_a_groups_member(books: Books) -> None:
    await payout(books)
    run = await books.run(books.statement("p.csv", payout_line()))
    connection = await asyncpg.connect(books.databases.recon_url)
    columns = "record_id, population, internal_id, run_id, source, match_id"
    try:
        rows = await connection.fetch("SELECT * FROM recon.active_matches ORDER BY internal_id")
        assert [row["record_id"] is None for row in rows].count(True) == 2
        assert {str(row["run_id"]) for row in rows} == {run["run_id"]}
        for row in rows:
            with pytest.raises(asyncpg.UniqueViolationError):
                await connection.execute(
                    f"INSERT INTO recon.active_matches ({columns})"  # noqa: S608
                    " VALUES (gen_random_uuid(), $1, $2, gen_random_uuid(), 'other', NULL)",
                    row["population"],
                    row["internal_id"],
                )
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                f"INSERT INTO recon.active_matches ({columns})"  # noqa: S608
                " VALUES (gen_random_uuid(), 'all', NULL, gen_random_uuid(), 'other', NULL)"
            )
    finally:
        await connection.close()


async def test_groups_come_in_pages(books: Books) -> None:
    for number in (1, 2, 3):
        day = july(10 + number)
        for part in (1, 2):
            await books.post(
                f"A-{number}-{part}",
                f"{number}{part}.00",
                day,
                description=f"payout PO-9900{number}",
            )
        total = f"{number * 20 + 3}.00"
        text = line(f"P-{number}", total, day, description=f"Payout PO-9900{number}")
        await books.run(books.statement(f"{number}.csv", text), day)
    first = (await books.recon.get("/recon/groups/", params={"limit": 2})).json()
    assert len(first["groups"]) == 2
    rest = (await books.recon.get(first["next"])).json()
    assert rest["next"] is None
    found = [one["date"] for one in first["groups"] + rest["groups"]]
    assert found == [str(july(11)), str(july(12)), str(JULY_13)]
    broken = await books.recon.get("/recon/groups/", params={"cursor": "WyJncm91cHMiLCJ4IiwieCJd"})
    assert broken.json()["code"] == "invalid_cursor"

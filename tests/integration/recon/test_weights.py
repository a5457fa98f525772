"""A large run learns weights; a policy may freeze them for later runs."""

from typing import Any

from tests.integration.recon.books import Books, july, line

WORDS = ["amber", "birch", "cedar", "dahlia", "elder", "fern", "gorse", "hazel", "iris", "juniper"]


async def fill(books: Books, lines: int) -> str:
    """Post transfers that the bank tells under ids of its own, and return the statement."""
    await books.post("FIRST", "1.00")
    transfers = [
        {
            "source_account_id": books.accounts[0],
            "destination_account_id": books.accounts[1],
            "amount": f"{20 + 3 * number}.{number % 90 + 10}",
            "currency": "USD",
            "reference": f"OUR-{number:05}",
            "effective_at": f"{july(1 + number % 14)}T12:00:00Z",
            "metadata": {"description": described(number)},
        }
        for number in range(lines)
    ]
    posted = await books.ledger.post("/ledger/batch/", json={"transfers": transfers})
    assert posted.json()["posted"] == lines
    told = [
        line(
            f"BANK-{7 * number + 1}",
            transfer["amount"],
            july(1 + number % 14),
            description=f"Transfer {described(number)}",
        )
        for number, transfer in enumerate(transfers)
    ]
    return books.statement("bank.csv", *told)


def described(number: int) -> str:
    return f"{WORDS[number % 10]} {WORDS[number // 10 % 10]} order"


async def used(books: Books) -> set[str]:
    return {entry["evidence"]["weights"] for entry in await books.logs(matched="true")}


async def test_a_run_learns_weights_and_a_policy_freezes_them(books: Books) -> None:
    name = await fill(books, 130)
    await books.run(name)
    summary = await books.summary()
    assert summary["fuzzy"] > 120
    learnt: dict[str, Any] = summary["learnt"]["weights"]
    assert learnt["version"].startswith("em-1:")
    assert await used(books) == {learnt["version"]}

    tried = await books.run(name, dry_run=True, policy={"weights": "shipped-1"})
    assert tried["dry_run"] is True
    dry = await books.recon.get("/recon/logs", params={"run_id": tried["run_id"], "limit": 500})
    weighed = {e["evidence"]["weights"] for e in dry.json()["logs"] if e["match_type"] == "fuzzy"}
    assert weighed == {"shipped-1"}

    frozen = await books.run(name, dry_run=True, policy={"weights": learnt["version"]})
    again = await books.recon.get("/recon/logs", params={"run_id": frozen["run_id"], "limit": 500})
    rows = [entry for entry in again.json()["logs"] if entry["match_type"] == "fuzzy"]
    assert {entry["evidence"]["weights"] for entry in rows} == {learnt["version"]}


async def test_weights_that_nobody_has_learnt_fail_the_run_by_name(books: Books) -> None:
    name = books.statement("bank.csv", line("TXN-1", "1.00"))
    run = await books.run(name, dry_run=True, policy={"weights": "em-1:01234567"}, expect="failed")
    assert run["error"]["code"] == "weights-unknown"
    assert "em-1:01234567" in run["error"]["detail"]

"""What an amount is worth: rare ones nearly everything, common ones nearly nothing."""

from typing import Any

from tests.unit.recon.builders import a_policy, a_record, an_item, decide


def crowd(common: int, rare: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return lines and items of sixty days: `common` of one amount, `rare` of amounts of their own.

    Nothing but amount and day connects them.
    """
    records, items = [], []
    for number in range(common + rare):
        amount = 10_000 if number < common else 20_000 + 37 * number
        day = number % 60
        records.append(a_record(f"r{number:03}", amount_minor=amount, days=day + 1))
        items.append(an_item(f"i{number:03}", amount_minor=amount, days=day))
    return records, items


def test_a_rare_amount_alone_is_automatic_and_a_common_one_is_not() -> None:
    records, items = crowd(common=120, rare=120)
    rows = decide(records, items, a_policy(before_days=1, after_days=2))
    rare = [row for name, row in rows.items() if int(name[1:]) >= 120]
    assert all(row["internal_id"] == row["record_id"].replace("r", "i") for row in rare)
    assert {row["decision"] for row in rare} == {"auto"}
    common = [row for name, row in rows.items() if int(name[1:]) < 120]
    assert "auto" not in {row["decision"] for row in common}


def test_a_small_run_does_not_pretend_to_know_what_is_rare() -> None:
    records, items = crowd(common=0, rare=3)
    rows = decide(records, items, a_policy(before_days=1, after_days=2))
    assert {row["decision"] for row in rows.values()} == {"suggested"}


def test_last_weeks_payment_of_the_same_party_is_not_taken_for_this_weeks() -> None:
    """A weekly amount whose last line is missing in the books: nothing automatic for it."""
    records, items = crowd(common=0, rare=120)
    for week in range(8):
        records.append(
            a_record(f"w{week}", amount_minor=5_000, days=7 * week, text="Gym weekly fee")
        )
        items.append(an_item(f"v{week}", amount_minor=5_000, days=7 * week, text="Gym weekly fee"))
    items.pop()
    rows = decide(records, items, a_policy(before_days=1, after_days=7))
    assert rows["w7"]["decision"] != "auto"
    assert [rows[f"w{week}"]["internal_id"] for week in range(7)] == [
        f"v{week}" for week in range(7)
    ]

"""Days less a fee that nobody declared: one rule for one provider explains many of its lines."""

from typing import Any

from tests.unit.recon.builders import a_record, an_item
from tests.unit.recon.test_groups import group, members, only_row

Row = dict[str, Any]

WEEK = 7


def days(count: int, **fields: Any) -> list[list[Row]]:
    """Return the sales of some days, two weeks apart: of each day as many as none else has."""
    return [
        [
            an_item(
                f"i{day}-{k}",
                amount_minor=4_003 + 1_777 * k + 911 * day + 13 * k * k,
                days=2 * WEEK * day,
                **{"counterparty": "Adyen", **fields},
            )
            for k in range(3 + day)
        ]
        for day in range(count)
    ]


def fee_of(sales: list[Row], *, per_mille: int = 17, fixed: int = 25) -> int:
    """Return what is kept of some sales; refunds are free."""
    charged = [row["amount_minor"] for row in sales if row["amount_minor"] > 0]
    return sum(round(amount * per_mille / 1000) + fixed for amount in charged)


def paid(day: int, sales: list[Row], fee_minor: int, name: str = "Adyen") -> Row:
    gross = sum(row["amount_minor"] for row in sales)
    return a_record(
        f"r{day}", amount_minor=gross - fee_minor, days=2 * WEEK * day + 1, text=f"{name} PAYOUT"
    )


def everything(of_days: list[list[Row]]) -> list[Row]:
    return [row for sales in of_days for row in sales]


def test_lines_that_one_fee_explains_are_suggested_with_their_days() -> None:
    sold = days(6)
    records = [paid(day, sales, fee_of(sales)) for day, sales in enumerate(sold)]
    found = group(records, everything(sold))
    assert sorted(members(found).values()) == sorted(
        sorted([f"r{day}", *(row["internal_id"] for row in sales)])
        for day, sales in enumerate(sold)
    )
    assert set(found.rows["decision"]) == {"suggested"}
    assert set(found.rows["cause"]) == {"fee"}
    assert only_row(found)["reason"].endswith("its fee is learned, not declared")


def test_refunds_cost_nothing_or_as_much_as_sales() -> None:
    for is_free in (True, False):
        sold = days(6)
        for sales in sold:
            sales[0]["amount_minor"] = -2_345
        fees = [fee_of(sales) + (0 if is_free else round(2_345 * 0.017) + 25) for sales in sold]
        records = [paid(day, sold[day], fee) for day, fee in enumerate(fees)]
        assert group(records, everything(sold)).rows.height == 6


def test_three_lines_are_too_few_to_learn_a_fee() -> None:
    sold = days(3)
    records = [paid(day, sales, fee_of(sales)) for day, sales in enumerate(sold)]
    assert group(records, everything(sold)).rows.is_empty()


def test_differences_without_a_rule_are_no_fee() -> None:
    sold = days(6)
    fees = (311, 97, 1_207, 402, 1_466, 208)
    records = [paid(day, sold[day], fee) for day, fee in enumerate(fees)]
    assert group(records, everything(sold)).rows.is_empty()


def test_a_line_that_does_not_name_the_party_is_not_charged() -> None:
    sold = days(6)
    records = [paid(day, sales, fee_of(sales), "Clearing") for day, sales in enumerate(sold)]
    assert group(records, everything(sold)).rows.is_empty()


def test_a_line_with_more_than_its_day_is_left_alone() -> None:
    sold = days(6)
    records = [paid(day, sales, fee_of(sales)) for day, sales in enumerate(sold)]
    records[2]["amount_minor"] += 2 * fee_of(sold[2])
    found = group(records, everything(sold))
    assert sorted(found.rows["record_id"]) == ["r0", "r1", "r3", "r4", "r5"]


def test_a_name_in_the_texts_of_customers_orders_will_do() -> None:
    sold = days(6, text="ADYEN sale")
    for k, row in enumerate(everything(sold)):
        row["counterparty"] = f"Customer {k}"
    records = [paid(day, sales, fee_of(sales)) for day, sales in enumerate(sold)]
    found = group(records, everything(sold))
    assert found.rows.height == 6
    assert only_row(found)["evidence"]["key"] == "adyen"

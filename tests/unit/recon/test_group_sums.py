"""Sums of days: a payout by somebody whom the ledger does not know, found by its amount alone."""

from typing import Any

import pytest

from recon_service.matchers.fees import Fees, Schedule
from tests.unit.recon.builders import a_record, an_item
from tests.unit.recon.test_groups import group, members, only_row

Row = dict[str, Any]

AMOUNTS = (12_013, 25_477, 7_891, 31_902, 4_456, 18_337, 9_729)


def sold(count: int = len(AMOUNTS), *, prefix: str = "i", **fields: Any) -> list[Row]:
    return [
        an_item(f"{prefix}{k}", amount_minor=amount, **{"counterparty": "Klarna", **fields})
        for k, amount in enumerate(AMOUNTS[:count])
    ]


def paid(amount_minor: int = sum(AMOUNTS), id_: str = "r", **fields: Any) -> Row:
    return a_record(id_, amount_minor=amount_minor, text="PPRO FINANCIAL po_C1D92", **fields)


def test_a_day_of_one_party_is_found_under_a_stranger_s_name() -> None:
    others = sold(5, prefix="x", counterparty="Mollie")
    found = group([paid()], [*sold(), *others])
    assert members(found) == {"auto i0": ["i0", "i1", "i2", "i3", "i4", "i5", "i6", "r"]}
    row = only_row(found)
    assert row["evidence"]["by"] == "sum of days"
    assert row["reason"] == (
        "Sum of 7 ledger items of klarna, all that were open on one day for one bank line"
    )


def test_adjacent_days_of_one_party_are_added_up() -> None:
    items = [*sold(3), *sold(3, prefix="j", days=-1)]
    found = group([paid(2 * sum(AMOUNTS[:3]))], items)
    assert "auto i0" in members(found)
    assert len(members(found)["auto i0"]) == 7


@pytest.mark.parametrize("fields", [{"days": -4}, {"days": 3}, {"currency": "USD"}])
def test_currency_and_window_hold_for_sums_too(fields: Row) -> None:
    assert group([paid()], sold(**fields)).rows.is_empty()


def test_a_sum_that_is_a_cent_off_is_none() -> None:
    assert group([paid(sum(AMOUNTS) + 1)], sold()).rows.is_empty()


def test_rows_without_a_party_are_added_up_by_their_text() -> None:
    items = [
        an_item(f"{name}{k}", amount_minor=amount, text=f"{name} sale {k}9917")
        for name, count in (("Mollie", 4), ("Adyen", 3))
        for k, amount in enumerate(AMOUNTS[:count])
    ]
    found = group([paid(sum(AMOUNTS[:4]))], items)
    assert members(found) == {"auto Mollie0": ["Mollie0", "Mollie1", "Mollie2", "Mollie3", "r"]}
    assert only_row(found)["reason"].startswith("Sum of 4 ledger items of mollie sale")


def test_customers_of_one_provider_are_added_up_by_its_name_in_their_texts() -> None:
    items = [
        an_item(
            f"{name}{k}", amount_minor=amount, text=f"{name} {verb}", counterparty=f"Customer {k}"
        )
        for name, count in (("Mollie", 4), ("Adyen", 6))
        for k, (amount, verb) in enumerate(
            zip(AMOUNTS[:count], ("sale", "sale", "refund") * 2, strict=False)
        )
    ]
    found = group([paid(sum(AMOUNTS[:4]))], items)
    assert members(found) == {"auto Mollie0": ["Mollie0", "Mollie1", "Mollie2", "Mollie3", "r"]}
    assert "with the word mollie" in only_row(found)["reason"]


def test_two_bank_lines_of_the_sum_get_nothing_automatic() -> None:
    found = group([paid(), paid(id_="s", days=1)], sold())
    assert "auto" not in found.rows["decision"].to_list()
    assert found.counts.ambiguous > 0


def test_two_parties_with_the_sum_are_noted() -> None:
    found = group([paid()], [*sold(), *sold(prefix="j", counterparty="Mollie")])
    assert "auto" not in found.rows["decision"].to_list()
    assert found.counts.ambiguous > 0


def test_one_item_of_the_amount_makes_the_sum_doubtful() -> None:
    found = group([paid()], [*sold(), an_item("one", amount_minor=sum(AMOUNTS))])
    assert "auto" not in found.rows["decision"].to_list()


def test_round_sums_prove_too_little() -> None:
    items = [an_item(f"i{k}", amount_minor=1_000, counterparty="Klarna") for k in range(3)]
    found = group([paid(3_000)], items)
    assert "auto" not in found.rows["decision"].to_list()


def test_a_declared_fee_is_kept_from_each_item() -> None:
    schedule = Schedule(rate_micros=14_000, fixed_minor=25)
    net = sum(amount - round(amount * 14 / 1000) - 25 for amount in AMOUNTS)
    found = group([paid(net)], sold(), fees=Fees(declared={"EUR": schedule}))
    row = only_row(found)
    assert (row["decision"], row["cause"]) == ("auto", "fee")
    learned = group([paid(net)], sold(), fees=Fees(learned={"EUR": schedule}))
    assert only_row(learned)["decision"] == "suggested"


def test_lines_of_one_party_make_up_one_item() -> None:
    records = [
        a_record(f"r{k}", amount_minor=amount, counterparty="Till 7", text="CARD")
        for k, amount in enumerate(AMOUNTS)
    ]
    found = group(records, [an_item("i", amount_minor=sum(AMOUNTS), text="takings")])
    assert members(found) == {"auto i": ["i", *(f"r{k}" for k in range(len(AMOUNTS)))]}


def test_the_order_of_rows_does_not_matter() -> None:
    items = [*sold(), *sold(5, prefix="x", counterparty="Mollie", days=-1)]
    records = [paid(), paid(sum(AMOUNTS[:5]), "s")]
    found, turned = group(records, items), group(records[::-1], items[::-1])
    assert found.members.rows() == turned.members.rows()
    assert found.rows.rows() == turned.rows.rows()
    assert found.rows.height == 2

"""Netting: what one side books and takes back, and the other side never saw."""

from typing import Any

from recon_service.matchers.netting import Netted, net_reversals
from recon_service.matchers.sides import canonical, two_sides
from tests.unit.recon.builders import a_policy, a_record, an_item, left, right

Row = dict[str, Any]
POLICY = a_policy(absolute="0.05", before_days=1, after_days=7)


def net_records(records: list[Row], items: list[Row]) -> Netted:
    sides = two_sides(left(*records), right(*items), POLICY.window)
    return net_reversals(canonical(sides.records), canonical(sides.items), POLICY, side="record")


def net_items(records: list[Row], items: list[Row]) -> Netted:
    sides = two_sides(left(*records), right(*items), POLICY.window)
    return net_reversals(canonical(sides.items), canonical(sides.records), POLICY, side="item")


def pairs(netted: Netted) -> list[tuple[str, str]]:
    return netted.pairs.select("first_id", "second_id").rows()


def test_a_payment_and_its_return_cancel() -> None:
    netted = net_records(
        [
            a_record("r2", amount_minor=-4_990, days=5, text="RETURN INV-20411 ACME"),
            a_record("r1", amount_minor=4_990, text="ACME INV-20411"),
        ],
        [],
    )
    assert pairs(netted) == [("r1", "r2")]
    assert netted.members.rows() == [("r1", "record", "r1"), ("r1", "record", "r2")]
    rows = {row["record_id"]: row for row in netted.rows.to_dicts()}
    assert {row["match_type"] for row in rows.values()} == {"netted"}
    assert rows["r1"]["evidence"] == '{"pass":"netted","by":"reference","with":"r2"}'


def test_a_cancelled_booking_cancels_on_the_ledgers_side() -> None:
    netted = net_items(
        [],
        [
            an_item("i1", "SO-40923", amount_minor=-1_200, counterparty="Acme GmbH"),
            an_item("i2", None, amount_minor=1_200, days=2, counterparty="ACME", text="Storno"),
        ],
    )
    assert pairs(netted) == [("i1", "i2")]
    assert netted.rows.is_empty()


def test_a_leg_that_the_other_side_knows_is_left_to_be_matched() -> None:
    legs = [
        a_record("r1", amount_minor=4_990, text="ACME INV-20411"),
        a_record("r2", amount_minor=-4_990, days=5, text="RETURN INV-20411 ACME"),
    ]
    within = net_records(legs, [an_item("i1", amount_minor=4_995, days=-7)])
    assert pairs(within) == []
    outside = net_records(legs, [an_item("i1", amount_minor=4_996, days=-7)])
    assert pairs(outside) == [("r1", "r2")]
    too_early = net_records(legs, [an_item("i1", amount_minor=4_990, days=-8)])
    assert pairs(too_early) == [("r1", "r2")]
    other_sign = net_records(legs, [an_item("i1", amount_minor=-4_990, days=-3)])
    assert pairs(other_sign) == [("r1", "r2")]


def test_several_partners_are_no_pair() -> None:
    netted = net_records(
        [
            a_record("r1", amount_minor=4_990, text="ACME INV-20411"),
            a_record("r2", amount_minor=4_990, text="ACME INV-20411"),
            a_record("r3", amount_minor=-4_990, days=5, text="RETURN INV-20411 ACME"),
        ],
        [],
    )
    assert pairs(netted) == []
    assert netted.ambiguous == 2


def test_opposite_amounts_of_strangers_do_not_cancel() -> None:
    netted = net_records(
        [
            a_record("r1", amount_minor=4_990, text="rent July", counterparty="Acme"),
            a_record("r2", amount_minor=-4_990, text="rent July", counterparty="Zenith Oil"),
            a_record("r3", amount_minor=700, text="sale PAY-81111", counterparty="Klarna"),
            a_record("r4", amount_minor=-700, text="refund PAY-99222", counterparty="Klarna"),
            a_record("r5", amount_minor=31, text="May 2025"),
            a_record("r6", amount_minor=-31, text="invoice of May 2025 for water"),
        ],
        [],
    )
    assert pairs(netted) == []


def test_currency_and_reach_are_gates() -> None:
    first = a_record("r1", amount_minor=4_990, text="INV-20411")
    for other in (
        a_record("r2", amount_minor=-4_990, text="return INV-20411", currency="USD"),
        a_record("r2", amount_minor=-4_990, text="return INV-20411", days=61),
        a_record("r2", amount_minor=-4_991, text="return INV-20411"),
    ):
        assert pairs(net_records([first, other], [])) == []
    late = a_record("r2", amount_minor=-4_990, text="return INV-20411", days=60)
    assert pairs(net_records([first, late], [])) == [("r1", "r2")]


def test_the_order_of_rows_changes_nothing() -> None:
    legs = [
        a_record(f"r{k}", amount_minor=amount, days=k % 4, text=f"INV-{20400 + abs(amount)}")
        for k, amount in enumerate((500, -500, 70, 80, -80, -70, 90, 90, -90))
    ]
    straight, turned = net_records(legs, []), net_records(legs[::-1], [])
    assert straight.pairs.equals(turned.pairs)
    assert straight.rows.equals(turned.rows)
    assert straight.members["match_id"].n_unique() == 3

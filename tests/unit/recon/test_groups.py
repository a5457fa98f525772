"""Groups of every shape: by batch key, by counterparty and day, by search, and what stays open."""

import json
from typing import Any

import polars as pl

from recon_service.matchers.fees import Fees, Schedule
from recon_service.matchers.groups import Groups, known_batches, match_groups
from recon_service.matchers.matched import Matched
from recon_service.matchers.sides import canonical, referenced, two_sides
from tests.unit.recon.builders import a_policy, a_record, an_item, left, right

Row = dict[str, Any]


def group(records: list[Row], items: list[Row], **options: Any) -> Groups:
    policy = options.pop("policy", a_policy())
    sides = two_sides(left(*records), right(*items), policy.window)
    return match_groups(canonical(sides.records), canonical(sides.items), policy, **options)


def members(found: Groups) -> dict[str, list[str]]:
    """Return the sorted ids of each group, by its decision and name."""
    decided = dict(found.rows.select("record_id", "decision").iter_rows())
    result = {}
    for (name,), rows in found.members.group_by("match_id"):
        record_id = rows.filter(pl.col("side") == "record")["id"].sort()[0]
        result[f"{decided[record_id]} {name}"] = sorted(rows["id"])
    return result


def only_row(found: Groups) -> Row:
    row: Row = found.rows.row(0, named=True)
    row["evidence"] = json.loads(row["evidence"])
    return row


def sales(*amounts: int, key: str | None = "PO-2231", **fields: Any) -> list[Row]:
    return [
        an_item(
            f"i{k}", f"S-{k}", amount_minor=amount, text=f"sale {key}" if key else None, **fields
        )
        for k, amount in enumerate(amounts)
    ]


def test_a_batch_key_on_all_members_makes_a_payout() -> None:
    found = group(
        [a_record("r", text="PSP PAYOUT PO2231", amount_minor=29_510)],
        sales(12_010, 19_500, -2_000),
    )
    assert members(found) == {"auto i0": ["i0", "i1", "i2", "r"]}
    row = only_row(found)
    assert (row["match_type"], row["decision"], row["residual_minor"]) == ("group", "auto", 0)
    assert row["internal_id"] == "i2"  # the first in the order of content
    assert row["evidence"]["by"] == "batch key"
    assert row["evidence"]["solutions"] == 1
    assert row["reason"] == "Sum of 3 ledger items with batch key po2231 for one bank line"


def test_a_key_that_names_every_member_allows_for_a_fee() -> None:
    found = group(
        [a_record("r", text="PSP PAYOUT PO 2231", amount_minor=31_510 - 320)], sales(12_010, 19_500)
    )
    row = only_row(found)
    assert (row["decision"], row["cause"], row["residual_minor"]) == ("auto", "fee", -320)
    assert row["reason"].endswith("less a fee of 3.20")
    too_much = group(
        [a_record("r", text="PSP PAYOUT PO 2231", amount_minor=29_900)], sales(12_010, 19_500)
    )
    assert too_much.rows.is_empty()
    a_surplus = group(
        [a_record("r", text="PSP PAYOUT PO 2231", amount_minor=31_511)], sales(12_010, 19_500)
    )
    assert a_surplus.rows.is_empty()


def test_a_fee_is_doubtful_where_others_like_the_members_lack_the_key() -> None:
    items = [*sales(12_010, 19_500, counterparty="PSP"), an_item("x", amount_minor=-7_777)]
    items[-1]["counterparty"] = "PSP"
    found = group([a_record("r", text="PAYOUT PO2231", amount_minor=31_190)], items)
    assert members(found) == {"suggested i0": ["i0", "i1", "r"]}
    assert "do not carry the key" in only_row(found)["reason"]


def test_a_known_batch_less_a_fee_waits_where_its_day_has_more_of_its_party() -> None:
    for days, name, decided in ((0, "PSP", []), (-1, "PSP", ["auto"]), (0, "Other", ["auto"])):
        items = sales(12_010, 19_500, counterparty="PSP")
        items.append(an_item("x", amount_minor=-7_777, counterparty=name, days=days))
        policy = a_policy()
        records = left(a_record("r", text="PAYOUT PO2231", amount_minor=31_190))
        sides = two_sides(records, right(*items), policy.window)
        found = known_batches(canonical(sides.records), canonical(sides.items), policy)
        assert found.rows["decision"].to_list() == decided


def test_what_a_key_names_in_part_is_completed() -> None:
    items = [*sales(12_010, 19_500, counterparty="PSP"), an_item("x", amount_minor=-7_777)]
    items[-1]["counterparty"] = "PSP"
    found = group([a_record("r", text="PAYOUT PO2231", amount_minor=31_510 - 7_777)], items)
    assert members(found) == {"auto i0": ["i0", "i1", "r", "x"]}


def test_a_remittance_advice_names_its_invoices_one_by_one() -> None:
    items = [
        an_item("i1", "INV-2025-041", amount_minor=10_100),
        an_item("i2", "INV-2025-042", amount_minor=20_345),
        an_item("i3", "INV-2025-043", amount_minor=30_999),
    ]
    found = group([a_record("r", text="INV-2025-041, INV-2025-043", amount_minor=41_099)], items)
    assert members(found) == {"auto i1": ["i1", "i3", "r"]}


def test_a_payment_in_parts_is_one_ledger_item() -> None:
    found = group(
        [
            a_record("r1", amount_minor=25_011, text="INV-88123 1/2"),
            a_record("r2", amount_minor=36_223, text="INV-88123 2/2", days=1),
        ],
        [an_item("i", "INV-88123", amount_minor=61_234)],
    )
    assert members(found) == {"auto i": ["i", "r1", "r2"]}
    assert found.rows["residual_minor"].to_list() == [0, 0]
    assert set(found.rows["internal_id"]) == {"i"}


def test_members_under_a_key_may_have_been_gathered_longer() -> None:
    items = [
        an_item("i1", "A", amount_minor=10_003, text="PO-2231", days=-5),
        an_item("i2", "B", amount_minor=20_001, text="PO-2231", days=-1),
    ]
    record = a_record("r", text="PO-2231", amount_minor=30_004)
    assert members(group([record], items)) == {"auto i1": ["i1", "i2", "r"]}
    assert group([record], items, gathering_days=0).rows.is_empty()


def test_a_day_of_one_counterparty_is_one_payment() -> None:
    items = [
        an_item("i1", amount_minor=25_011, counterparty="ACME"),
        an_item("i2", amount_minor=36_223, counterparty="Acme Ltd"),
        an_item("i3", amount_minor=11_111, counterparty="Acme", days=-1),
        an_item("i4", amount_minor=36_223, counterparty="Zenith"),
    ]
    found = group([a_record("r", counterparty="Acme GmbH", amount_minor=61_234)], items)
    assert members(found) == {"auto i1": ["i1", "i2", "r"]}
    assert only_row(found)["evidence"]["by"] == "counterparty and day"


def test_some_rows_of_one_counterparty_are_found_by_search() -> None:
    items = [
        an_item(f"i{k}", amount_minor=amount, counterparty="Acme")
        for k, amount in enumerate((25_011, 36_223, 71_459, 12_007))
    ]
    found = group([a_record("r", counterparty="Acme", amount_minor=37_018)], items)
    assert members(found) == {"auto i0": ["i0", "i3", "r"]}
    assert only_row(found)["evidence"]["by"] == "subset"


def test_two_solutions_are_never_automatic() -> None:
    items = [
        an_item(f"i{k}", amount_minor=amount, counterparty="Acme")
        for k, amount in enumerate((25_011, 36_223, 24_011, 37_223))
    ]
    found = group([a_record("r", counterparty="Acme", amount_minor=61_234)], items)
    assert found.rows.is_empty()
    assert found.counts.ambiguous > 0
    assert found.notes["id"].to_list() == ["r"]
    assert found.notes["solutions"].to_list() == [2]
    assert "2 solutions" in found.notes["reason"][0]


def test_equal_members_of_which_some_are_left_over_are_not_automatic() -> None:
    items = [
        an_item(f"i{k}", amount_minor=amount, counterparty="Acme")
        for k, amount in enumerate((25_011, 36_223, 36_223))
    ]
    found = group([a_record("r", counterparty="Acme", amount_minor=61_234)], items)
    assert "auto" not in found.rows["decision"].to_list()


def test_a_single_item_of_the_amount_is_an_answer_too() -> None:
    items = [
        an_item("i1", amount_minor=25_011, counterparty="Acme"),
        an_item("i2", amount_minor=36_223, counterparty="Acme"),
        an_item("i3", amount_minor=61_234, counterparty="Acme"),
    ]
    found = group([a_record("r", counterparty="Acme", amount_minor=61_234)], items)
    assert "auto" not in found.rows["decision"].to_list()


def test_two_bank_lines_that_want_the_same_items_get_none() -> None:
    items = [
        an_item("i1", amount_minor=25_011, counterparty="Acme"),
        an_item("i2", amount_minor=36_223, counterparty="Acme"),
    ]
    records = [a_record(f"r{k}", counterparty="Acme", amount_minor=61_234) for k in range(2)]
    found = group(records, items)
    assert "auto" not in found.rows["decision"].to_list()
    assert found.counts.ambiguous > 0


def test_round_amounts_without_any_evidence_are_not_automatic() -> None:
    items = [an_item(f"i{k}", amount_minor=amount) for k, amount in enumerate((1000, 2000, 500))]
    found = group([a_record("r", amount_minor=3000)], items)
    assert "auto" not in found.rows["decision"].to_list()


def test_currency_sign_and_window_are_gates() -> None:
    record = a_record("r", counterparty="Acme", amount_minor=61_234)
    for fields in ({"currency": "USD"}, {"days": -3}, {"days": 2}):
        items = [
            an_item("i1", amount_minor=25_011, counterparty="Acme"),
            an_item("i2", amount_minor=36_223, counterparty="Acme", **fields),
        ]
        assert group([record], items).rows.is_empty()
    opposite = [
        an_item("i1", amount_minor=-25_011, counterparty="Acme"),
        an_item("i2", amount_minor=-36_223, counterparty="Acme"),
    ]
    assert group([record], opposite).rows.is_empty()


def test_a_known_fee_schedule_is_an_exact_rule() -> None:
    fees = Fees(declared={"EUR": Schedule(rate_micros=14_000, fixed_minor=25)})
    items = [
        an_item("i1", amount_minor=25_011, counterparty="PSP"),
        an_item("i2", amount_minor=36_223, counterparty="PSP"),
        an_item("i3", amount_minor=-5_000, counterparty="PSP"),
    ]
    net = 25_011 - 350 - 25 + 36_223 - 507 - 25 - 5_000
    found = group([a_record("r", counterparty="PSP", amount_minor=net)], items, fees=fees)
    row = only_row(found)
    assert (row["decision"], row["cause"]) == ("auto", "fee")
    assert row["residual_minor"] == net - 56_234
    assert row["evidence"]["fee"] == "schedule"
    off_by_one = a_record("r", counterparty="PSP", amount_minor=net + 1)
    assert group([off_by_one], items, fees=fees).rows.is_empty()
    elsewhere = Fees(declared={"USD": fees.declared["EUR"]})
    in_euro = a_record("r", counterparty="PSP", amount_minor=net)
    assert group([in_euro], items, fees=elsewhere).rows.is_empty()
    learned = Fees(learned=fees.declared)
    offered = group([a_record("r", counterparty="PSP", amount_minor=net)], items, fees=learned)
    row = only_row(offered)
    assert (row["decision"], row["cause"]) == ("suggested", "fee")
    assert row["evidence"]["fee"] == "learned schedule"
    assert row["reason"].endswith("its fee is learned, not declared")


def test_a_learned_fee_is_enough_where_a_batch_key_names_every_member() -> None:
    fees = Fees(learned={"EUR": Schedule(rate_micros=80_000, fixed_minor=25)})
    net = 12_010 - 961 - 25 + 19_500 - 1_560 - 25
    found = group(
        [a_record("r", text="PAYOUT PO2231", amount_minor=net)], sales(12_010, 19_500), fees=fees
    )
    row = only_row(found)
    assert (row["decision"], row["evidence"]["fee"]) == ("auto", "learned schedule")


def test_several_lines_for_several_items_are_suggested() -> None:
    found = group(
        [
            a_record("r1", text="PO-2231", amount_minor=15_000),
            a_record("r2", text="PO-2231", amount_minor=14_510),
        ],
        sales(12_010, 19_500, -2_000),
    )
    assert members(found) == {"suggested i0": ["i0", "i1", "i2", "r1", "r2"]}


def test_a_suggested_pair_gives_way_to_an_automatic_group_only() -> None:
    held = pl.DataFrame({"record_id": ["r"], "item_id": ["x"], "score": [0.6]})
    records = [a_record("r", text="PO-2231", amount_minor=31_510)]
    found = group(records, [*sales(12_010, 19_500), an_item("x", amount_minor=31_510)], held=held)
    assert members(found) == {"auto i0": ["i0", "i1", "r"]}
    assert found.released.rows() == [("r", "x", 0.6)]
    doubtful = [
        an_item("x", amount_minor=1000),
        an_item("y", amount_minor=2000),
        an_item("z", amount_minor=500),
    ]
    kept = group([a_record("r", amount_minor=3000)], doubtful, held=held)
    assert kept.rows.is_empty()
    assert kept.released.is_empty()


def test_work_is_bounded_and_what_was_cut_is_counted() -> None:
    items = [
        an_item(f"i{k}", amount_minor=10_007 + 7 * k * k, counterparty="Acme") for k in range(14)
    ]
    records = [a_record("r", counterparty="Acme", amount_minor=20_000_000)]
    assert group(records, items).counts.truncated == 0
    records = [a_record("r", counterparty="Acme", amount_minor=30_133)]
    assert group(records, items, work_max=10).counts.truncated > 0


def test_nothing_in_nothing_out() -> None:
    found = group([], [an_item("i")])
    assert found.rows.is_empty()
    assert found.members.is_empty()
    assert group([a_record("r")], []).notes.is_empty()


def test_a_fee_is_doubtful_where_a_member_was_matched_before() -> None:
    items = sales(12_010, 19_500)
    record = a_record("r", text="PAYOUT PO2231", amount_minor=31_190)
    gone = [an_item("x", "X-1", amount_minor=320, text="sale PO 2231")]
    matched = referenced(two_sides(left(), right(*gone), a_policy().window).items)
    found = group([record], items, matched=Matched(matched))
    assert members(found) == {"suggested i0": ["i0", "i1", "r"]}
    others = matched.with_columns(text=pl.lit("sale po 7781"))
    found = group([record], items, matched=Matched(others))
    assert members(found) == {"auto i0": ["i0", "i1", "r"]}
    found = group([record], items, matched=Matched(others, besides=Matched(matched)))
    assert members(found) == {"suggested i0": ["i0", "i1", "r"]}

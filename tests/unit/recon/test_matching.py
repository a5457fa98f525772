"""Scores and verdicts: what becomes automatic, suggested or unmatched, and why."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_service.domain.config import BANK_CSV, Policy
from recon_service.domain.records import ITEM_SCHEMA, comparable, on_local_date
from recon_service.matchers.partition import match_partition
from recon_service.normalise import normalise
from recon_service.readers.csv_reader import CSVReader
from tests.unit.recon.builders import (
    SCALES,
    a_policy,
    a_record,
    an_item,
    decide,
    left,
    right,
)

DATA = Path(__file__).parents[3] / "data"


def one(record: dict[str, Any], item: dict[str, Any], policy: Policy | None = None) -> Any:
    return decide([record], [item], policy)[record["record_id"]]


def demo_items() -> pl.DataFrame:
    """The ledger's side of the demo, as the ledger would give it."""
    rows = json.loads((DATA / "demo_transactions.json").read_text())
    return (
        pl.DataFrame(rows)
        .with_columns(
            internal_id=pl.format("internal-{}", pl.col("reference").str.slice(-1)),
            effective_at=pl.col("effective_at").str.to_datetime(time_zone="UTC"),
            amount_minor=pl.col("amount").str.replace(".", "", literal=True).cast(pl.Int64),
            text="description",
            counterparty=pl.lit(None, pl.String),
        )
        .with_columns(on_local_date("effective_at", config=BANK_CSV, name="effective_on"))
        .select(ITEM_SCHEMA.names())
    )


def test_the_demo_has_two_exact_matches_and_a_fuzzy_one_of_0_87() -> None:
    read = CSVReader(BANK_CSV).read(DATA / str(BANK_CSV.path))
    found = normalise(read, BANK_CSV, SCALES)
    assert found.rejected.is_empty()
    records = found.accepted.with_columns(record_id=pl.col("external_id"))
    rows = match_partition(
        comparable(records, BANK_CSV), demo_items(), BANK_CSV.policy
    ).rows.select("record_id", "internal_id", "match_type", "decision", "score")
    assert rows.rows() == [
        ("TXN-1001", "internal-1", "exact", "auto", 1.0),
        ("TXN-1002", "internal-2", "exact", "auto", 1.0),
        ("BNK-88213", "internal-3", "fuzzy", "auto", pytest.approx(0.874441)),
    ]
    assert f"{rows['score'][2]:.2f}" == "0.87"


def test_the_same_amount_on_the_same_day_alone_is_a_suggestion() -> None:
    row = one(a_record("r", "BANK1"), an_item("i", "OURS1"))
    assert (row["match_type"], row["decision"], row["internal_id"]) == ("fuzzy", "suggested", "i")
    assert 0.5 <= row["score"] <= 0.75


def test_a_similar_description_makes_it_automatic() -> None:
    for days in (0, 1):
        row = one(
            a_record("r", text="ACME CONSULTING JULY", days=days),
            an_item("i", text="Payment to Acme Consulting, July"),
        )
        assert row["decision"] == "auto"
        assert row["score"] >= 0.8


@pytest.mark.parametrize(
    ("external_id", "reference", "relation"),
    [
        ("pay 2025/0713-77", "PAY-2025-0713-77", "equal"),
        ("PAY-0077123", "77123", "same digits"),
        ("CT20250713PAY77123", "PAY77123", "one contains the other"),
        ("PAY-2025-7713", "PAY-2025-7731", "one character apart"),
    ],
)
def test_a_near_reference_makes_it_automatic(
    external_id: str, reference: str, relation: str
) -> None:
    row = one(a_record("r", external_id), an_item("i", reference))
    assert (row["match_type"], row["decision"]) == ("fuzzy", "auto")
    assert json.loads(row["evidence"])["bits"]["reference"][0] == relation


def test_an_id_inside_the_other_sides_text_is_found() -> None:
    row = one(a_record("r", text="SEPA INV-2207 thanks"), an_item("i", "INV-2207"))
    assert row["decision"] == "auto"
    row = one(a_record("r", text="SEPA INV-22071 thanks"), an_item("i", "INV-2207"))
    assert row["decision"] == "suggested"


def test_neighbours_in_a_numbered_series_are_not_mistyped() -> None:
    """T-00000002 has its own partner elsewhere, so it is no misspelling of T-00000001."""
    records = [a_record("r", "T-00000001")]
    items = [an_item("i", "T-00000002"), an_item("far", "T-00000001", days=30)]
    bits = json.loads(decide(records, items)["r"]["evidence"])["bits"]
    assert bits["reference"] == ["another of the same series", 0.0]


def test_ids_that_merely_differ_are_no_evidence_against() -> None:
    without = one(a_record("r"), an_item("i", "OURS-1"))
    different = one(a_record("r", "BANK-998877"), an_item("i", "OURS-1"))
    assert different["score"] == without["score"]


def test_clearly_different_descriptions_are_not_even_suggested() -> None:
    row = one(a_record("r", text="Gym membership"), an_item("i", text="Office rent Harbour"))
    assert row["decision"] == "unmatched"
    assert row["internal_id"] is None
    assert 0 < row["score"] < 0.5
    assert json.loads(row["evidence"])["candidates"][0]["internal_id"] == "i"


def test_counterparties_count_where_both_sides_have_one() -> None:
    plain = one(a_record("r", counterparty="Acme GmbH"), an_item("i"))["score"]
    same = one(a_record("r", counterparty="Acme GmbH"), an_item("i", counterparty="ACME"))["score"]
    other = one(a_record("r", counterparty="Acme"), an_item("i", counterparty="Zenith Ltd"))
    assert same > 0.9 > plain > other["score"]


def test_two_equally_good_candidates_are_never_automatic() -> None:
    records = [a_record("r", text="Acme July")]
    items = [an_item("i", "A1", text="Acme July"), an_item("j", "A2", text="Acme July")]
    row = decide(records, items)["r"]
    assert (row["decision"], row["cause"]) == ("unmatched", "ambiguous")
    assert "2 candidates are equally good" in row["reason"]
    generous = decide(records, items, a_policy(auto=0.3, suggest=0.3))["r"]
    assert generous["decision"] == "suggested"
    assert "1 record and 2 ledger items are alike" in generous["reason"]


def test_alike_rows_without_ids_are_suggested_in_the_order_of_time() -> None:
    records = [a_record("r1", hour=8), a_record("r2", hour=9)]
    items = [an_item("i2", hour=7), an_item("i1", hour=6)]
    rows = decide(records, items)
    assert {key: row["internal_id"] for key, row in rows.items()} == {"r1": "i1", "r2": "i2"}
    assert {row["decision"] for row in rows.values()} == {"suggested"}
    assert "2 records and 2 ledger items are alike" in rows["r1"]["reason"]


def test_of_two_equal_lines_for_one_item_one_is_suggested_and_one_a_duplicate() -> None:
    rows = decide([a_record("r1", "T", hour=8), a_record("r2", "T", hour=9)], [an_item("i", "T")])
    assert (rows["r1"]["internal_id"], rows["r1"]["decision"]) == ("i", "suggested")
    assert (rows["r2"]["internal_id"], rows["r2"]["cause"]) == (None, "duplicate")


def test_a_stronger_rival_takes_the_item() -> None:
    records = [a_record("r1", text="Acme July"), a_record("r2", text="Something")]
    rows = decide(records, [an_item("i", text="Acme July")])
    assert rows["r1"]["internal_id"] == "i"
    assert rows["r2"]["decision"] == "unmatched"


@pytest.mark.parametrize(
    ("item", "cause", "words"),
    [
        (an_item("i", "T", amount_minor=10_500), "amount_difference", "difference of -5.00"),
        (an_item("i", "T", days=-5), "out_of_window", "5 days after the ledger, 3 days outside"),
        (an_item("i", "T", days=3), "out_of_window", "3 days before the ledger, 2 days outside"),
        (an_item("i", "T", currency="USD"), "other_currency", "in USD, not EUR"),
        (an_item("i", "T", amount_minor=-10_000), "reversed_sign", "opposite sign"),
        (an_item("i", "X", amount_minor=5), "missing_in_ledger", "No free ledger item"),
    ],
)
def test_an_unmatched_record_names_the_gate_that_failed(
    item: dict[str, Any], cause: str, words: str
) -> None:
    row = one(a_record("r", "T"), item)
    assert (row["match_type"], row["decision"], row["cause"]) == ("none", "unmatched", cause)
    assert words in row["reason"]
    assert row["residual_minor"] is None


def test_a_second_record_with_a_taken_id_is_a_duplicate() -> None:
    records = [a_record("r", "T"), a_record("late", "T", amount_minor=9_000)]
    rows = decide(records, [an_item("i", "T")])
    assert rows["r"]["match_type"] == "exact"
    assert rows["late"]["cause"] == "amount_difference"
    again = decide([a_record("r", "T"), a_record("s", "t", text="x")], [an_item("i", "T")])
    assert again["r"]["match_type"] == "exact"
    assert (again["s"]["cause"], again["s"]["decision"]) == ("duplicate", "unmatched")


def test_thresholds_are_inclusive_and_apply_to_the_unrounded_score() -> None:
    record, item = a_record("r"), an_item("i")
    score = 2**1.3 / (1 + 2**1.3)
    assert one(record, item, a_policy(auto=score, suggest=0.5))["decision"] == "auto"
    assert one(record, item, a_policy(auto=score + 1e-9))["decision"] == "suggested"
    above = a_policy(auto=1.0, suggest=score + 1e-9)
    assert one(record, item, above)["decision"] == "unmatched"


def test_a_fuzzy_match_within_tolerance_shows_its_residual() -> None:
    row = one(
        a_record("r", amount_minor=10_050, text="Acme July"),
        an_item("i", text="Acme July"),
        a_policy(percent="1"),
    )
    assert (row["decision"], row["residual_minor"], row["cause"]) == ("auto", 50, "unknown")
    assert "amount differs by 0.50 (unknown)" in row["reason"]


def test_evidence_adds_up() -> None:
    evidence = json.loads(one(a_record("r", text="Acme"), an_item("i", text="Acme"))["evidence"])
    bits = evidence["bits"]
    parts = [value[1] for key, value in bits.items() if key != "prior"]
    assert evidence["total_bits"] == pytest.approx(bits["prior"] + sum(parts), abs=1e-3)
    assert evidence["rivals"] == {"null": 1.0, "record": 0.0, "item": 0.0}


def test_every_record_gets_one_row_in_its_own_order() -> None:
    records = left(*(a_record(f"r{k}", f"T{k % 7}", amount_minor=k) for k in range(50)))
    items = right(*(an_item(f"i{k}", f"T{k % 5}", amount_minor=k) for k in range(50)))
    rows = match_partition(records, items, Policy()).rows
    assert rows["record_id"].to_list() == records["record_id"].to_list()
    assert (
        not rows.select("match_type", "decision", "evidence", "reason")
        .null_count()
        .sum_horizontal()
        .item()
    )


def test_an_empty_side_is_no_trouble() -> None:
    assert match_partition(left(), right(), Policy()).rows.is_empty()
    assert match_partition(left(), right(an_item("i")), Policy()).rows.is_empty()
    row = decide([a_record("r", "T")], [])["r"]
    assert (row["decision"], row["cause"], row["score"]) == ("unmatched", "missing_in_ledger", None)


def test_a_crowd_of_one_amount_stays_bounded_and_rare_words_still_find_their_way() -> None:
    records = [a_record(f"r{k}", text=f"SUBSCRIPTION user{k}") for k in range(400)]
    items = [an_item(f"i{k}", text=f"subscription user{k} nr{k}") for k in range(400)]
    records.append(a_record("plain", text="SUBSCRIPTION"))
    outcome = match_partition(left(*records), right(*items), Policy())
    assert outcome.counts.candidates <= 401 * 80
    assert outcome.counts.candidates_dropped > 100_000
    best = {
        row["record_id"]: json.loads(row["evidence"]) for row in outcome.rows.iter_rows(named=True)
    }
    assert all(
        best[f"r{k}"].get("candidates", [{"internal_id": f"i{k}"}])[0]["internal_id"] == f"i{k}"
        for k in range(400)
    )
    assert outcome.rows.filter(pl.col("record_id") == "plain")["cause"].item() == "ambiguous"


def test_lines_of_no_amount_are_suggested_like_any_other() -> None:
    row = one(a_record("r", amount_minor=0), an_item("i", amount_minor=0))
    assert (row["match_type"], row["decision"], row["internal_id"]) == ("fuzzy", "suggested", "i")

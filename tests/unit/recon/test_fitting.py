"""A run that is large enough learns its own weights, the same whatever the order of its rows."""

import polars as pl
import pytest

from recon_service.matchers.partition import Outcome, match_partition
from recon_service.matchers.weights import shipped
from scripts.bench.matching.generator import Case, generate


@pytest.fixture(scope="module")
def case() -> Case:
    return generate("mixed", rows=800, seed=11)


def decided(case: Case, *, seed: int | None = None) -> Outcome:
    records, items = case.records, case.items
    if seed is not None:
        records = records.sample(fraction=1.0, shuffle=True, seed=seed)
        items = items.sample(fraction=1.0, shuffle=True, seed=seed + 1)
    return match_partition(records, items, case.policy)


def test_the_order_of_rows_changes_neither_weights_nor_a_byte_of_evidence(case: Case) -> None:
    straight, shuffled = decided(case), decided(case, seed=5)
    assert straight.weights is not None
    assert straight.weights.version.startswith("em-1:")
    assert straight.weights == shuffled.weights
    assert straight.rows.sort("record_id").equals(shuffled.rows.sort("record_id"))
    assert straight.members.equals(shuffled.members)
    assert straight.counts == shuffled.counts


def test_given_weights_are_frozen(case: Case) -> None:
    frozen = match_partition(case.records, case.items, case.policy, weights=shipped())
    assert frozen.weights == shipped()
    decided_by = frozen.rows.filter(pl.col("match_type") == "fuzzy")["evidence"]
    assert decided_by.str.contains('"weights":"shipped-1"', literal=True).all()
    assert len(decided_by) > 100


def test_it_finds_nearly_everything_that_is_one_to_one(case: Case) -> None:
    one_to_one = (
        case.truth.filter(pl.col("kind") == "1-1")
        .pivot(on="side", index="group", values="id", aggregate_function="first")
        .select(record_id="record", true_id="item")
    )
    found = decided(case).rows.join(one_to_one, on="record_id")
    right = (found["internal_id"] == found["true_id"]).sum()
    assert right / found.height > 0.85
    automatic = found.filter(pl.col("decision") == "auto", pl.col("match_type") != "group")
    right = (automatic["internal_id"] == automatic["true_id"]).sum()
    assert right / automatic.height > 0.99

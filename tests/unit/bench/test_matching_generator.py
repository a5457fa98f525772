"""The matching bench's books and statements: reproducible, and their truth adds up."""

import polars as pl
import pytest

from recon_service.domain.records import ITEM_SCHEMA, RECORD_SCHEMA
from scripts.bench.matching.events import HOLIDAYS
from scripts.bench.matching.generator import Case, generate
from scripts.bench.matching.scenarios import SCENARIOS

ROWS = 300


@pytest.fixture(scope="module", params=sorted(SCENARIOS))
def case(request: pytest.FixtureRequest) -> Case:
    return generate(request.param, rows=ROWS, seed=7)


def test_the_same_seed_gives_the_same_case(case: Case) -> None:
    again = generate(case.scenario, rows=ROWS, seed=7)
    assert again.records.equals(case.records)
    assert again.items.equals(case.items)
    assert again.truth.equals(case.truth)


def test_another_seed_gives_another_case(case: Case) -> None:
    other = generate(case.scenario, rows=ROWS, seed=8)
    assert not set(other.records["record_id"]) & set(case.records["record_id"])
    assert other.records["text"].to_list() != case.records["text"].to_list()


def test_the_frames_are_what_the_matcher_reads(case: Case) -> None:
    assert case.records.schema == RECORD_SCHEMA
    assert case.items.schema == ITEM_SCHEMA
    assert case.records["amount_minor"].null_count() == 0
    assert 0.4 * ROWS < case.records.height < 2 * ROWS


def test_every_line_is_in_the_truth_once(case: Case) -> None:
    for side, ids in (
        ("record", case.records["record_id"]),
        ("item", case.items["internal_id"]),
    ):
        told = case.truth.filter(side=side)["id"]
        assert told.len() == told.n_unique()
        assert set(told) == set(ids)


def test_kinds_tell_how_many_lines_belong_together(case: Case) -> None:
    counts = case.truth.group_by("group").agg(
        records=(pl.col("side") == "record").sum(),
        items=(pl.col("side") == "item").sum(),
        kind=pl.col("kind").first(),
        kinds=pl.col("kind").n_unique(),
    )
    records, items = pl.col("records"), pl.col("items")
    kind = (
        pl.when((records + items) == 1)
        .then(pl.lit("none"))
        .when((records == 0) | (items == 0))
        .then(pl.lit("netted"))
        .when((records == 1) & (items == 1))
        .then(pl.lit("1-1"))
        .when(records == 1)
        .then(pl.lit("1-N"))
        .when(items == 1)
        .then(pl.lit("N-1"))
        .otherwise(pl.lit("N-M"))
    )
    assert counts.filter(kind != pl.col("kind")).is_empty()
    assert counts["kinds"].max() == 1


def test_groups_without_a_cause_add_up(case: Case) -> None:
    amounts = pl.concat(
        [
            case.records.select(id="record_id", amount="amount_minor", currency="currency"),
            case.items.select(
                id="internal_id", amount=-pl.col("amount_minor"), currency="currency"
            ),
        ]
    )
    groups = (
        case.truth.filter(pl.col("kind") != "none", pl.col("cause").is_null())
        .join(amounts, on="id")
        .group_by("group")
        .agg(pl.sum("amount"), pl.n_unique("currency"))
    )
    assert groups.height > 0
    assert groups.filter(pl.col("amount") != 0).is_empty()
    assert groups["currency"].max() == 1


def test_banks_post_on_business_days_only(case: Case) -> None:
    days = case.records["booked_on"]
    assert days.dt.weekday().max() <= 5
    assert not HOLIDAYS & set(days)


def test_missing_counterparts_are_as_many_as_the_scenario_says() -> None:
    case = generate("missing_50", rows=2_000, seed=3)
    alone = case.truth.filter(kind="none").group_by("side").len()
    sides = dict(alone.iter_rows())
    assert sides["record"] / case.records.height == pytest.approx(0.5, abs=0.04)
    assert sides["item"] / case.items.height == pytest.approx(0.5, abs=0.04)

"""The matching bench's figures, on examples that are counted by hand."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from recon_service.domain.config import Policy
from recon_service.domain.records import ITEM_SCHEMA, RECORD_SCHEMA
from scripts.bench.matching.curves import points, thinned
from scripts.bench.matching.generator import Case
from scripts.bench.matching.identifiable import Readers
from scripts.bench.matching.metrics import Tally, at_rate, figures, measure, wilson_low
from scripts.bench.matching.prediction import Match, Prediction, Ranked
from scripts.bench.matching.story import TRUTH_SCHEMA

DAY = date(2025, 3, 3)
NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)


def a_case(records: dict[str, int], items: dict[str, int], groups: list[str]) -> Case:
    """Return a case of amounts by id; a group is written as "r1 r2 | i1 : kind"."""
    truth = []
    for number, group in enumerate(groups):
        members, kind = group.split(" : ")
        left, right = members.split("|")
        truth += [("record", id_, f"g{number}", kind, None) for id_ in left.split()]
        truth += [("item", id_, f"g{number}", kind, None) for id_ in right.split()]
    return Case(
        "by hand",
        0,
        pl.DataFrame(
            [
                (id_, None, NOON, DAY, amount, 2, "EUR", "x", None)
                for id_, amount in records.items()
            ],
            schema=RECORD_SCHEMA,
            orient="row",
        ),
        pl.DataFrame(
            [(id_, None, NOON, DAY, amount, "EUR", "y", None) for id_, amount in items.items()],
            schema=ITEM_SCHEMA,
            orient="row",
        ),
        Policy(),
        pl.DataFrame(truth, schema=TRUTH_SCHEMA, orient="row"),
    )


def one(record: str, item: str, decision: str = "auto", score: float = 1.0) -> Match:
    assert decision in ("auto", "suggested")
    return Match((record,), (item,), decision, score)  # type: ignore[arg-type]


SIMPLE = a_case(
    {"r1": 100, "r2": 200, "r3": 300, "r4": 400},
    {"i1": 100, "i2": 200, "i3": 300, "i5": 500},
    ["r1 | i1 : 1-1", "r2 | i2 : 1-1", "r3 | i3 : 1-1", "r4 | : none", "| i5 : none"],
)


def test_pairs_and_automatic_matches_are_counted() -> None:
    said = [one("r1", "i1"), one("r2", "i2", "suggested", 0.6), one("r4", "i5", score=0.9)]
    shown = figures(measure(SIMPLE, Prediction("x", said)))
    assert shown["precision"] == pytest.approx(2 / 3)
    assert shown["recall"] == pytest.approx(2 / 3)
    assert shown["f1"] == pytest.approx(2 / 3)
    assert shown["auto_rate"] == pytest.approx(2 / 4)
    assert shown["auto_rate_of_matchable"] == pytest.approx(1 / 3)
    assert shown["auto_rate_by_value"] == pytest.approx(500 / 1000)
    assert shown["auto_precision"] == pytest.approx(1 / 2)
    assert shown["wrong_value"] == pytest.approx(4 / 5)
    assert shown["wrong_groups"] is None


def test_hits_look_at_what_is_left_to_people() -> None:
    ranked = [
        Ranked("r1", ("i1",), 0.99),
        Ranked("r2", ("i3", "i5", "i2"), 0.4),
        Ranked("r3", ("i3", "i2"), 0.3),
    ]
    shown = figures(measure(SIMPLE, Prediction("x", [one("r1", "i1")], ranked)))
    assert shown["hit_at_1"] == pytest.approx(1 / 2)
    assert shown["hit_at_3"] == pytest.approx(1.0)


def test_calibration_compares_scores_with_shares() -> None:
    ranked = [Ranked("r1", ("i1",), 0.9), Ranked("r2", ("i3",), 0.9), Ranked("r3", ("i3",), 0.2)]
    prediction = Prediction("x", [], ranked, scores_are_probabilities=True)
    shown = figures(measure(SIMPLE, prediction))
    assert shown["ece"] == pytest.approx((abs(1.8 - 1) + abs(0.2 - 1)) / 3)


def test_equal_lines_may_change_places_but_count_once() -> None:
    case = a_case(
        {"r1": 100, "r2": 100, "r3": 100},
        {"i1": 100, "i2": 100},
        ["r1 | i1 : 1-1", "r2 | i2 : 1-1", "r3 | : none"],
    )
    tally = measure(case, Prediction("x", [one("r1", "i2"), one("r3", "i1")]))
    assert (tally.auto_right, tally.auto, tally.interchanged) == (2, 2, 2)
    assert tally.right_pairs == 2


def test_a_group_is_right_only_as_a_whole() -> None:
    case = a_case(
        {"r1": 600, "r2": 50, "r3": -50},
        {"i1": 100, "i2": 200, "i3": 300, "i4": 300},
        ["r1 | i1 i2 i3 : 1-N", "r2 r3 | : netted", "| i4 : none"],
    )
    part = Match(("r1",), ("i1", "i2"), "auto", 0.9)
    netted = Match(("r3", "r2"), (), "auto", 1.0)
    tally = measure(case, Prediction("x", [part, netted]))
    assert (tally.auto_groups, tally.auto_groups_wrong) == (2, 1)
    assert {kind: counts[:3] for kind, counts in tally.shapes.items()} == {
        "1-N": [1, 0, 0],
        "netted": [1, 1, 1],
    }
    assert (tally.right_pairs, tally.claimed_pairs, tally.true_pairs) == (2, 2, 3)
    whole = Match(("r1",), ("i4", "i2", "i1"), "suggested", 0.9)  # i3 and i4 are equal
    assert measure(case, Prediction("x", [whole])).shapes["1-N"][:3] == [1, 1, 0]


def test_precision_at_a_rate_averages_over_equal_scores() -> None:
    tally = Tally(curve=[(0.9, 1, True), (0.5, 1, True), (0.5, 1, False), (0.1, 1, False)])
    assert at_rate(tally, 1) == pytest.approx(1.0)
    assert at_rate(tally, 2) == pytest.approx(1.5 / 2)
    assert at_rate(tally, 4) == pytest.approx(2 / 4)


def test_a_curve_has_one_point_per_score_and_keeps_its_ends() -> None:
    tally = Tally(records=4, curve=[(0.9, 1, True), (0.5, 1, True), (0.5, 1, False)])
    assert points(tally) == [(0.25, 1.0), (0.75, 2 / 3)]
    dense = [(k / 1000, 1.0) for k in range(1000)]
    assert thinned(dense)[0] == dense[0]
    assert thinned(dense)[-1] == dense[-1]
    assert len(thinned(dense)) < 260


def test_wilson_bounds_as_published() -> None:
    """81 of 263: Newcombe 1998, table I."""
    assert wilson_low(81, 263) == pytest.approx(0.2553, abs=5e-5)
    assert wilson_low(0, 0) is None


def test_seeds_add_up() -> None:
    first = measure(SIMPLE, Prediction("x", [one("r1", "i1")]))
    total = Tally()
    total.add(first)
    total.add(first)
    assert total.shapes["1-1"][:3] == [6, 2, 2]
    assert figures(total)["recall"] == figures(first)["recall"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("payout B-77123", "sale B-77123", "refund b77123"), True),
        (("payout B-77123", "sale B-77123", "refund"), False),
        (("PAYOUT", "sale", "refund"), False),
    ],
)
def test_a_group_is_identifiable_by_an_id_that_all_its_lines_share(
    texts: tuple[str, str, str], *, expected: bool
) -> None:
    case = a_case({"r1": 600}, {"i1": 700, "i2": -100}, ["r1 | i1 i2 : 1-N"])
    told = Case(
        case.scenario,
        case.seed,
        case.records.with_columns(text=pl.lit(texts[0])),
        case.items.with_columns(text=pl.Series(texts[1:])),
        case.policy,
        case.truth,
    )
    assert Readers(told).can_tell(("r1",), ("i1", "i2")) is expected


def test_a_group_is_identifiable_as_all_that_a_party_has_on_its_days() -> None:
    case = a_case(
        {"r1": 600}, {"i1": 700, "i2": -100, "i3": 5}, ["r1 | i1 i2 : 1-N", "| i3 : none"]
    )
    parties = pl.Series(["Velmora Pay", "Velmora Pay", "Other"])
    told = Case(
        case.scenario,
        case.seed,
        case.records.with_columns(text=pl.lit("CREDIT VELMORA PAY LTD")),
        case.items.with_columns(counterparty=parties),
        case.policy,
        case.truth,
    )
    assert Readers(told).can_tell(("r1",), ("i1", "i2"))
    assert not Readers(told).can_tell(("r1",), ("i1",))

"""The exact pass: what it pairs, and what it leaves because it would have to guess."""

from recon_service.matchers.exact import ExactMatcher
from recon_service.matchers.sides import two_sides
from tests.unit.recon.builders import (
    a_policy,
    a_record,
    an_item,
    decide,
    left,
    right,
)


def exact_pairs(records, items, **policy) -> dict[str, str]:  # type: ignore[no-untyped-def]
    rules = a_policy(**policy)
    found = ExactMatcher(rules).match(two_sides(left(*records), right(*items), rules.window))
    return dict(found.select("id", "item_id").iter_rows())


def test_the_same_id_amount_and_day_is_an_exact_match() -> None:
    row = decide([a_record("r", "T1")], [an_item("i", "T1")])["r"]
    assert (row["internal_id"], row["match_type"], row["decision"]) == ("i", "exact", "auto")
    assert (row["score"], row["residual_minor"], row["cause"]) == (1.0, 0, None)
    assert row["evidence"] == '{"pass":"exact","key":"txn_id"}'
    assert row["reason"] == "Same transaction id, equal amount, same day"


def test_the_window_includes_both_ends() -> None:
    items = [an_item("i", "T1")]
    for days in (-1, 0, 1, 2):
        assert exact_pairs([a_record("r", "T1", days=days)], items) == {"r": "i"}
    for days in (-2, 3):
        assert exact_pairs([a_record("r", "T1", days=days)], items) == {}


def test_the_amount_may_differ_within_the_absolute_or_the_percent_bound() -> None:
    items = [an_item("i", "T1", amount_minor=10_000)]

    def pairs(amount_minor: int, **policy: str) -> bool:
        return bool(exact_pairs([a_record("r", "T1", amount_minor=amount_minor)], items, **policy))

    assert pairs(10_005, absolute="0.05")
    assert not pairs(10_006, absolute="0.05")
    assert pairs(11_000, percent="10")
    assert pairs(9_000, percent="10")
    assert not pairs(11_001, percent="10")
    assert pairs(10_100, absolute="0.05", percent="1")


def test_a_percentage_is_of_the_ledgers_amount_and_exact() -> None:
    policy = {"percent": "33.333333"}
    assert exact_pairs(
        [a_record("r", "T", amount_minor=400)], [an_item("i", "T", amount_minor=301)], **policy
    ) == {"r": "i"}
    assert not exact_pairs(
        [a_record("r", "T", amount_minor=400)], [an_item("i", "T", amount_minor=300)], **policy
    )
    huge = 999_999_999_999_999_999
    assert (
        exact_pairs(
            [a_record("r", "T", amount_minor=huge)],
            [an_item("i", "T", amount_minor=1)],
            percent="100",
        )
        == {}
    )
    assert exact_pairs(
        [a_record("r", "T", amount_minor=1)], [an_item("i", "T", amount_minor=huge)], percent="100"
    ) == {"r": "i"}


def test_a_difference_inside_the_tolerance_has_a_cause_and_does_not_block() -> None:
    records = [a_record("r", "T1", amount_minor=9_999), a_record("s", "T2", amount_minor=9_900)]
    items = [an_item("i", "T1"), an_item("j", "T2")]
    rows = decide(records, items, a_policy(percent="1"))
    assert [(row["cause"], row["residual_minor"], row["decision"]) for row in rows.values()] == [
        ("rounding", -1, "auto"),
        ("unknown", -100, "auto"),
    ]


def test_currency_and_sign_are_gates() -> None:
    assert not exact_pairs([a_record("r", "T", currency="USD")], [an_item("i", "T")])
    assert not exact_pairs(
        [a_record("r", "T", amount_minor=-100)],
        [an_item("i", "T", amount_minor=100)],
        absolute="5",
    )


def test_ids_are_compared_as_they_stand_but_for_space_around_them() -> None:
    assert exact_pairs([a_record("r", " T1 ")], [an_item("i", "T1")]) == {"r": "i"}
    assert not exact_pairs([a_record("r", "t1")], [an_item("i", "T1")])
    assert not exact_pairs([a_record("r", "")], [an_item("i", "")])
    assert not exact_pairs([a_record("r")], [an_item("i")])


def test_equal_lines_as_many_as_equal_items_are_interchangeable() -> None:
    records = [a_record("r2", "T", hour=15), a_record("r1", "T", hour=8)]
    items = [an_item("i2", "T", hour=14), an_item("i1", "T", hour=7)]
    rows = decide(records, items)
    assert {key: row["internal_id"] for key, row in rows.items()} == {"r1": "i1", "r2": "i2"}
    assert rows["r1"]["decision"] == "auto"
    assert '"interchangeable":2' in rows["r1"]["evidence"]
    assert "interchangeable" in rows["r1"]["reason"]


def test_a_repeated_id_pairs_where_amounts_leave_one_answer() -> None:
    records = [a_record("r1", "T", amount_minor=100), a_record("r2", "T", amount_minor=200)]
    items = [an_item("i2", "T", amount_minor=200), an_item("i1", "T", amount_minor=100)]
    assert exact_pairs(records, items) == {"r1": "i1", "r2": "i2"}
    assert exact_pairs(records, items[:1]) == {"r2": "i2"}


def test_a_repeated_id_with_two_possible_answers_is_never_guessed() -> None:
    twice = [a_record("r1", "T"), a_record("r2", "T")]
    assert exact_pairs(twice, [an_item("i", "T")]) == {}
    assert exact_pairs(twice[:1], [an_item("i", "T"), an_item("j", "T")]) == {}
    near = [an_item("i", "T", amount_minor=9_990), an_item("j", "T", amount_minor=10_010)]
    assert exact_pairs(twice[:1], near, absolute="0.50") == {}


def test_lines_that_differ_in_text_are_not_interchangeable() -> None:
    records = [a_record("r1", "T", text="rent"), a_record("r2", "T", text="wages")]
    items = [an_item("i1", "T", text="wages"), an_item("i2", "T", text="rent")]
    assert exact_pairs(records, items) == {}


def test_hundreds_of_lines_with_one_placeholder_id_stay_bounded() -> None:
    records = [a_record(f"r{k}", "NONREF", amount_minor=k) for k in range(1, 301)]
    items = [an_item(f"i{k}", "NONREF", amount_minor=k) for k in range(1, 301)]
    assert exact_pairs(records, items) == {f"r{k}": f"i{k}" for k in range(1, 301)}
    assert exact_pairs(records, items, absolute="100") == {}

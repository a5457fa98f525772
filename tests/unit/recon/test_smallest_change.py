"""The smallest change of a policy that matches a record, and the gates that near items fail."""

from typing import Any

import pytest

from recon_service.domain.config import Policy
from recon_service.matchers.nearby import nearest
from recon_service.matchers.partition import match_partition
from recon_service.matchers.smallest_change import Tried, smallest_change
from tests.unit.recon.builders import a_policy, a_record, an_item, left, right

RECORD = a_record("r", "X-1")


def tried(
    record: dict[str, Any],
    *items: dict[str, Any],
    others: tuple[dict[str, Any], ...] = (),
    policy: Policy | None = None,
) -> Tried:
    policy = policy or a_policy()
    found = smallest_change("r", left(record, *others), right(*items), policy)
    if found.change is not None:
        # Whatever is claimed must hold, in the order of rows that was not tried.
        changed = policy.model_dump(mode="json")
        for name, value in found.change.policy.items():
            changed[name] = changed[name] | value if isinstance(value, dict) else value
        rows = match_partition(
            left(*others, record), right(*items[::-1]), Policy.model_validate(changed)
        ).rows
        [row] = [one for one in rows.iter_rows(named=True) if one["record_id"] == "r"]
        assert row["internal_id"] == found.change.internal_id
        assert row["decision"] == found.change.decision
    return found


@pytest.mark.parametrize(
    ("record", "item", "change"),
    [
        (a_record("r", "X-1", days=5), an_item("i", "X-1"), {"window": {"after_days": 5}}),
        (a_record("r", "X-1", days=-3), an_item("i", "X-1"), {"window": {"before_days": 3}}),
        (
            a_record("r", "X-1", amount_minor=10_030),
            an_item("i", "X-1"),
            {"amount_tolerance": {"absolute": "0.30"}},
        ),
        (
            a_record("r", "X-1", amount_minor=10_030, days=4),
            an_item("i", "X-1"),
            {"amount_tolerance": {"absolute": "0.30"}, "window": {"after_days": 4}},
        ),
        (
            a_record("r", "X-1", amount_minor=103, currency="JPY"),
            an_item("i", "X-1", amount_minor=100, currency="JPY"),
            {"amount_tolerance": {"absolute": "3"}},
        ),
        (RECORD, an_item("i", "X-1"), {}),
    ],
)
def test_the_change_is_what_is_missing_and_no_more(
    record: dict[str, Any], item: dict[str, Any], change: dict[str, Any]
) -> None:
    found = tried(record, item)
    assert found.change is not None
    assert found.change.policy == change
    assert found.change.internal_id == "i"


def test_a_likely_pair_needs_a_lower_threshold() -> None:
    found = tried(
        a_record("r", "X-1", days=2, text="quarterly rent"), an_item("i", "Y-77", text="zebra")
    )
    assert found.change is not None
    threshold = found.change.policy["suggest_threshold"]
    assert 0 <= found.scores["i"] - threshold < 0.01
    assert found.change.decision == "suggested"


def test_one_setting_is_smaller_than_two() -> None:
    far = an_item("far", "X-1", amount_minor=10_030, days=-9)
    near = an_item("near", "X-1", days=-20)
    found = tried(RECORD, far, near)
    assert found.change is not None
    assert found.change.policy == {"window": {"after_days": 20}}


def test_no_change_picks_among_equals_or_crosses_a_currency_or_a_direction() -> None:
    equals = tried(RECORD, an_item("i", "Y-77"), an_item("j", "Z-78"))
    assert equals.change is None
    assert equals.would_guess
    for item in (an_item("i", "X-1", currency="USD"), an_item("i", "X-1", amount_minor=-10_000)):
        found = tried(RECORD, item)
        assert found.change is None
        assert not found.would_guess
    assert tried(RECORD).change is None


def test_others_that_would_change_are_counted() -> None:
    rival = a_record("s", "Y-2", days=5)
    found = tried(
        a_record("r", "X-1", days=5), an_item("i", "X-1"), an_item("j", "Y-2"), others=(rival,)
    )
    assert found.change is not None
    assert found.change.others_changed == 1


def test_the_first_gate_that_failed() -> None:
    items = [
        an_item("currency", "X-1", currency="USD", days=9),
        an_item("sign", "X-1", amount_minor=-10_000, days=9),
        an_item("amount", "X-1", amount_minor=9_000, days=9),
        an_item("window", None, days=9),
        an_item("none", None),
        an_item("unrelated", None, amount_minor=77),
    ]
    near = nearest(left(RECORD), right(*items), a_policy(), items_max=10)
    gates = dict(near.select("internal_id", "gate").iter_rows())
    assert gates == {
        "currency": "other_currency",
        "sign": "reversed_sign",
        "amount": "amount_difference",
        "window": "out_of_window",
        "none": None,
    }
    [row] = near.filter(near["internal_id"] == "amount").iter_rows(named=True)
    assert (row["difference_minor"], row["allowed_minor"]) == (1_000, 0)
    assert (row["lag_days"], row["days_beyond"]) == (-9, 8)
    assert nearest(left(RECORD), right(), a_policy(), items_max=10).is_empty()

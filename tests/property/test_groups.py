"""Groups, for whatever amounts: every solution counted, none taken where there are two."""

import itertools
import json
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from recon_service.matchers.groups import Groups, match_groups
from recon_service.matchers.sides import canonical, two_sides
from recon_service.matchers.subset_sum import solutions
from tests.unit.recon.builders import a_policy, a_record, an_item, left, right

Row = dict[str, Any]

SMALL = st.lists(st.integers(-6, 12), max_size=10)
LARGE = st.lists(st.integers(-2_000, 90_000), max_size=11)
POLICY = a_policy(before_days=1, after_days=3)


def brute_force(amounts: list[int], target: int, tolerance: int) -> dict[tuple[int, ...], int]:
    """Return each solution by value and how many choices of members give it."""
    places = [place for place, amount in enumerate(amounts) if amount]
    found = Counter(
        tuple(sorted(amounts[place] for place in subset))
        for size in range(1, len(places) + 1)
        for subset in itertools.combinations(places, size)
        if abs(sum(amounts[place] for place in subset) - target) <= tolerance
    )
    return dict(found)


@given(
    amounts=st.one_of(SMALL, LARGE),
    target=st.integers(-20, 60),
    members=st.integers(0, 2**11),
    tolerance=st.integers(0, 2),
)
@settings(max_examples=250, deadline=None)
def test_solutions_are_those_of_trying_everything(
    amounts: list[int], target: int, members: int, tolerance: int
) -> None:
    target += sum(amount for place, amount in enumerate(amounts) if members >> place & 1)
    expected = brute_force(amounts, target, tolerance)
    found = solutions(amounts, target, tolerance=tolerance, count_max=5, work_max=2**16)
    assert not found.truncated
    assert found.count == len(expected)
    assert len(found.solutions) == min(5, len(expected))
    for solution in found.solutions:
        values = tuple(sorted(amounts[place] for place in solution.members))
        assert expected[values] == solution.interchangeable
        assert sum(values) == solution.total_minor
    again = solutions(amounts, target, tolerance=tolerance, count_max=5, work_max=2**16)
    assert again == found


@given(amounts=LARGE, members=st.integers(1, 2**11), work=st.integers(2, 80))
@settings(max_examples=150, deadline=None)
def test_what_the_bound_leaves_is_right_and_announced(
    amounts: list[int], members: int, work: int
) -> None:
    target = sum(amount for place, amount in enumerate(amounts) if members >> place & 1)
    expected = brute_force(amounts, target, 0)
    found = solutions(amounts, target, work_max=work)
    assert found.work <= max(work, 2)
    assert found.count <= len(expected)
    assert found.truncated or found.count == len(expected)
    for solution in found.solutions:
        assert sum(amounts[place] for place in solution.members) == target


PARTIES = st.sampled_from(["Acme GmbH", "Zenith Oil", None])
ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "amount_minor": st.one_of(st.integers(-9_999, 99_999), st.sampled_from([500, 1000])),
            "days": st.integers(-5, 3),
            "counterparty": PARTIES,
            "text": st.sampled_from([None, "sale PO-2231", "Stripe sale", "PO-2232 x"]),
        }
    ),
    min_size=2,
    max_size=12,
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "members": st.integers(0, 2**12),
            "more": st.sampled_from([0, 0, 0, -100, 1]),
            "days": st.integers(-1, 3),
            "counterparty": PARTIES,
            "text": st.sampled_from([None, "PAYOUT PO2231", "STRIPE", "PO 2232"]),
        }
    ),
    min_size=1,
    max_size=4,
)


def statement(items: list[Row], payouts: list[Row]) -> list[Row]:
    """Return bank lines that sum random items, now and then with something more or less."""
    rows = []
    for number, payout in enumerate(payouts):
        members = payout["members"]
        amount = sum(x["amount_minor"] for k, x in enumerate(items) if members >> k & 1)
        fields = {name: payout[name] for name in ("days", "counterparty", "text")}
        rows.append(a_record(f"r{number}", amount_minor=amount + payout["more"], **fields))
    return rows


def grouped(records: list[Row], items: list[Row]) -> Groups:
    sides = two_sides(left(*records), right(*items), POLICY.window)
    return match_groups(canonical(sides.records), canonical(sides.items), POLICY)


@given(items=ITEMS, payouts=RECORDS, random=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_groups_add_up_take_no_row_twice_and_do_not_depend_on_order(
    items: list[Row], payouts: list[Row], random: Any
) -> None:
    ours = statement(items, payouts)
    theirs = [an_item(f"i{k}", **item) for k, item in enumerate(items)]
    amount = {row["record_id"]: row["amount_minor"] for row in ours}
    amount |= {row["internal_id"]: row["amount_minor"] for row in theirs}
    found = grouped(ours, theirs)
    assert found.members["id"].is_unique().all()
    assert sorted(found.members.filter(side="record")["id"]) == found.rows["record_id"].to_list()
    for row in found.rows.iter_rows(named=True):
        evidence = json.loads(row["evidence"])
        own, other = evidence["members"]["records"], evidence["members"]["items"]
        assert len(own) + len(other) > 2
        residual = sum(amount[id_] for id_ in own) - sum(amount[id_] for id_ in other)
        assert residual == evidence["residual_minor"]
        assert residual == 0 or (evidence["by"] == "batch key" and row["cause"] == "fee")
        if row["decision"] == "auto":
            assert row["score"] >= 0.99
            assert evidence["solutions"] == evidence["interchangeable"] == 1
    random.shuffle(ours)
    random.shuffle(theirs)
    shuffled = grouped(ours, theirs)
    assert found.rows.equals(shuffled.rows)
    assert found.members.equals(shuffled.members)
    assert found.notes.equals(shuffled.notes)
    assert found.counts == shuffled.counts


@given(
    amounts=st.lists(st.integers(3_001, 99_999), min_size=4, max_size=9, unique=True),
    size=st.integers(2, 3),
    is_payout=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_the_whole_group_is_found_where_it_is_the_only_answer(
    amounts: list[int], size: int, *, is_payout: bool
) -> None:
    """One payment hidden among other open rows of its counterparty."""
    target = sum(amounts[:size])
    answers = brute_force(amounts, target, 0)
    parts = [(f"m{k}", amount) for k, amount in enumerate(amounts)]
    if is_payout:
        items = [an_item(id_, amount_minor=part, counterparty="Acme") for id_, part in parts]
        found = grouped([a_record("one", amount_minor=target, counterparty="Acme")], items)
    else:
        records = [a_record(id_, amount_minor=part, counterparty="Acme") for id_, part in parts]
        found = grouped(records, [an_item("one", amount_minor=target, counterparty="Acme")])
    automatic = found.rows.filter(decision="auto")
    if len(answers) > 1:
        assert automatic.is_empty()
    elif not automatic.is_empty():
        assert sorted(found.members["id"]) == [*(f"m{k}" for k in range(size)), "one"]
    else:
        assert found.rows.height + found.notes.height > 0

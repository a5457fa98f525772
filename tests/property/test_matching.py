"""Matching, for whatever books and statements: one to one, inside the gates, order-blind."""

import itertools
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_service.domain.config import FeeRule, Policy
from recon_service.matchers.assignment import assign
from recon_service.matchers.exact import ExactMatcher
from recon_service.matchers.partition import match_partition
from recon_service.matchers.sides import two_sides
from tests.unit.recon.builders import a_policy, a_record, an_item, left, right

Row = dict[str, Any]

IDS = st.sampled_from([None, "A-100200", "A-100300", "B-77", "NONREF"])
TEXTS = st.sampled_from(
    [None, "", "rent July", "Rent, July", "ACME A-100200", "fee", "müller & söhne"]
)
ROWS = st.fixed_dictionaries(
    {
        "amount_minor": st.sampled_from([-100, 0, 99, 100, 101, 105, 200]),
        "days": st.integers(-3, 3),
        "hour": st.integers(0, 23),
        "currency": st.sampled_from(["EUR", "EUR", "EUR", "JPY"]),
        "text": TEXTS,
        "counterparty": st.sampled_from([None, None, "Acme GmbH", "Zenith"]),
    }
)
SIDE = st.lists(st.tuples(IDS, ROWS), max_size=8)
POLICIES = st.builds(
    a_policy,
    absolute=st.sampled_from(["0.00", "0.01", "2"]),
    percent=st.sampled_from(["0", "1", "50"]),
    before_days=st.integers(0, 3),
    after_days=st.integers(0, 3),
    auto=st.sampled_from([0.6, 0.8, 1.0]),
    suggest=st.sampled_from([0.0, 0.3, 0.5]),
    unit=st.sampled_from(["calendar_days", "business_days"]),
    fees=st.sampled_from(
        [(), (FeeRule(percent="5", fixed="0.01"),), (FeeRule(currency="EUR", fixed="1"),)]
    ),
)


def records_of(side: list[tuple[str | None, Row]]) -> list[Row]:
    return [a_record(f"r{k}", ref, **row) for k, (ref, row) in enumerate(side)]


def items_of(side: list[tuple[str | None, Row]]) -> list[Row]:
    return [an_item(f"i{k}", ref, **row) for k, (ref, row) in enumerate(side)]


def passes_gates(record: Row, item: Row, policy: Policy) -> bool:
    """Say independently, with decimals, whether a pair may match at all."""
    unit = Decimal(1).scaleb(-record["scale"])
    difference = abs(record["amount_minor"] - item["amount_minor"]) * unit
    tolerance, window = policy.amount_tolerance, policy.window
    share = abs(item["amount_minor"]) * unit * Decimal(tolerance.percent) / 100
    lag = lag_between(item, record, policy)
    return bool(
        record["currency"] == item["currency"]
        and sign(record["amount_minor"]) == sign(item["amount_minor"])
        and (
            difference <= Decimal(tolerance.absolute)
            or difference <= share
            or any(is_less_a_fee(record, item, rule) for rule in policy.fees)
        )
        and -window.before_days <= lag <= window.after_days
    )


def is_less_a_fee(record: Row, item: Row, rule: FeeRule) -> bool:
    if item["amount_minor"] <= 0 or rule.currency not in (None, item["currency"]):
        return False
    share = Decimal(item["amount_minor"]) * Decimal(rule.percent) / 100
    fixed = int(Decimal(rule.fixed).scaleb(record["scale"]))
    net = item["amount_minor"] - int(share.quantize(Decimal(1), ROUND_HALF_EVEN)) - fixed
    return bool(net < item["amount_minor"] and abs(record["amount_minor"] - net) <= 1)


def lag_between(item: Row, record: Row, policy: Policy) -> int:
    """Count by walking the days; July has no holiday in these currencies but Marine Day."""
    first, last = item["effective_on"], record["booked_on"]
    if policy.window.unit == "calendar_days":
        return int((last - first).days)
    sign_of_lag = 1 if last >= first else -1
    first, last = min(first, last), max(first, last)
    walked = [first + timedelta(days=k) for k in range((last - first).days)]
    rests = {date(2025, 7, 21)} if record["currency"] == "JPY" else set()
    return int(sign_of_lag * sum(day.weekday() < 5 and day not in rests for day in walked))


def sign(amount_minor: int) -> int:
    return (amount_minor > 0) - (amount_minor < 0)


@given(records=SIDE, items=SIDE, policy=POLICIES)
@settings(max_examples=80, deadline=None)
def test_matches_are_disjoint_inside_the_gates_and_tiers(
    records: list[tuple[str | None, Row]], items: list[tuple[str | None, Row]], policy: Policy
) -> None:
    ours = {row["record_id"]: row for row in records_of(records)}
    theirs = {row["internal_id"]: row for row in items_of(items)}
    outcome = match_partition(left(*ours.values()), right(*theirs.values()), policy)
    rows = outcome.rows
    assert rows["record_id"].to_list() == list(ours)
    pairs = rows.filter(pl.col("match_type").is_in(["exact", "fuzzy"]))
    claimed = pairs["internal_id"].to_list() + outcome.members["id"].to_list()
    claimed += pairs["record_id"].to_list()
    assert len(claimed) == len(set(claimed))
    for row in rows.iter_rows(named=True):
        assert (row["internal_id"] is None) == (row["decision"] in ("unmatched", "netted"))
        assert (row["match_type"] == "none") == (row["decision"] == "unmatched")
        if row["match_type"] in ("group", "netted"):
            assert row["record_id"] in set(outcome.members["id"])
            continue
        if row["decision"] == "unmatched":
            assert row["cause"] is not None
            continue
        record, item = ours[row["record_id"]], theirs[row["internal_id"]]
        assert passes_gates(record, item, policy)
        assert row["residual_minor"] == record["amount_minor"] - item["amount_minor"]
        assert row["score"] >= policy.suggest_threshold - 1e-6
        if row["decision"] == "auto":
            assert row["score"] >= policy.auto_threshold - 1e-6


@given(records=SIDE, items=SIDE, policy=POLICIES, random=st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_rows_changes_nothing(
    records: list[tuple[str | None, Row]],
    items: list[tuple[str | None, Row]],
    policy: Policy,
    random: Any,
) -> None:
    ours, theirs = records_of(records), items_of(items)
    straight = match_partition(left(*ours), right(*theirs), policy)
    random.shuffle(ours)
    random.shuffle(theirs)
    shuffled = match_partition(left(*ours), right(*theirs), policy)
    assert straight.rows.sort("record_id").equals(shuffled.rows.sort("record_id"))
    assert straight.counts == shuffled.counts
    assert straight.members.equals(shuffled.members)


@given(records=SIDE, items=SIDE, policy=POLICIES)
@settings(max_examples=80, deadline=None)
def test_exact_matches_are_those_that_leave_no_choice(
    records: list[tuple[str | None, Row]], items: list[tuple[str | None, Row]], policy: Policy
) -> None:
    policy = policy.model_copy(update={"fees": ()})  # fees are looked at behind this pass
    ours, theirs = records_of(records), items_of(items)
    found = ExactMatcher(policy).match(two_sides(left(*ours), right(*theirs), policy.window))
    possible = [
        (record, item)
        for record in ours
        for item in theirs
        if record["external_id"] is not None
        and record["external_id"] == item["reference"]
        and passes_gates(record, item, policy)
    ]
    of_record = {r["record_id"]: [i for s, i in possible if s is r] for r in ours}
    of_item = {i["internal_id"]: [r for r, j in possible if j is i] for i in theirs}
    single = {
        (record["record_id"], item["internal_id"])
        for record, item in possible
        if len(of_record[record["record_id"]]) == len(of_item[item["internal_id"]]) == 1
    }
    pairs = {(row["id"], row["item_id"]): row["twins"] for row in found.iter_rows(named=True)}
    assert {pair for pair, twins in pairs.items() if twins == 1} == single
    for (record_id, internal_id), twins in pairs.items():
        partners, sharers = of_record[record_id], of_item[internal_id]
        assert len(partners) == len(sharers) == twins
        assert alike(partners, ("effective_on", "amount_minor"))
        assert alike(sharers, ("booked_on", "amount_minor"))


def alike(rows: Iterable[Row], names: tuple[str, ...]) -> bool:
    return len({tuple(row[name] for name in names) for row in rows}) == 1


@given(
    weights=st.dictionaries(
        st.tuples(st.integers(0, 3), st.integers(0, 3)), st.integers(1, 100), max_size=10
    )
)
@settings(max_examples=200, deadline=None)
def test_assignment_is_as_good_as_trying_everything(weights: dict[tuple[int, int], int]) -> None:
    pairs = list(weights)
    found = assign(
        np.array([i for i, _ in pairs], np.int64),
        np.array([j for _, j in pairs], np.int64),
        np.array([weights[pair] / 100 for pair in pairs]),
        left_capacity=np.ones(4, np.int64),
        right_capacity=np.ones(4, np.int64),
    )
    chosen = [pairs[k] for k in found.chosen.tolist()]
    assert is_one_to_one(chosen)
    best = max(
        sum(weights[pair] for pair in subset)
        for size in range(min(4, len(pairs)) + 1)
        for subset in itertools.combinations(pairs, size)
        if is_one_to_one(subset)
    )
    assert sum(weights[pair] for pair in chosen) == best


def is_one_to_one(pairs: Iterable[tuple[int, int]]) -> bool:
    pairs = list(pairs)
    return len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)


@given(
    amount=st.integers(100, 10**9),
    near=st.integers(0, 10**6),
    far=st.integers(0, 10**6),
    days=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    after=st.booleans(),
    texts=st.tuples(TEXTS, TEXTS),
    refs=st.tuples(IDS, IDS),
)
@settings(max_examples=30, deadline=None)
def test_closer_never_scores_less(
    amount: int,
    near: int,
    far: int,
    days: tuple[int, int],
    *,
    after: bool,
    texts: tuple[str | None, str | None],
    refs: tuple[str | None, str | None],
) -> None:
    policy = a_policy(absolute="99999999", before_days=60, after_days=60, suggest=0.0)
    near, far = sorted((near, far))
    close, distant = sorted(days)
    direction = 1 if after else -1
    reference = None if refs[0] == refs[1] else refs[1]
    item = an_item("i", reference, amount_minor=amount, text=texts[1])

    def score(difference: int, lag: int) -> float:
        record = a_record(
            "r", refs[0], amount_minor=amount + difference, days=direction * lag, text=texts[0]
        )
        found: float = match_partition(left(record), right(item), policy).rows["score"].item()
        return found

    closest = score(near, close)
    assert closest >= score(far, close)
    assert closest >= score(near, distant)

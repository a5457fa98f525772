"""Fees in a match: a declared rule is exact, a learned one explains and is offered."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from recon_service.domain.config import FeeRule, Policy, SourceConfig, patched
from recon_service.matchers.fees import declaring_patch
from recon_service.matchers.partition import Outcome, match_partition
from tests.unit.recon.builders import a_policy, a_record, an_item, left, right
from tests.unit.recon.test_fees import amounts, fee_of

Row = dict[str, Any]
CARD = FeeRule(currency="EUR", percent="1.4", fixed="0.25")


def declared(*rules: FeeRule, percent: str = "0") -> Policy:
    return a_policy(percent=percent, fees=rules)


def sale(
    k: int, gross: int, *, missing: int | None = None, id_: str | None = None, **fields: Any
) -> tuple[Row, Row]:
    """A record less the card fee, or less what is `missing`, and its ledger item."""
    fee = fee_of(gross, 14_000, 25) if missing is None else missing
    reference = f"S-{k:04d}"
    return (
        a_record(f"r{k:04d}", id_ or reference, amount_minor=gross - fee, **fields),
        an_item(f"i{k:04d}", reference, amount_minor=gross, **fields),
    )


def outcome(pairs: list[tuple[Row, Row]], policy: Policy) -> Outcome:
    return match_partition(left(*(r for r, _ in pairs)), right(*(i for _, i in pairs)), policy)


def rows_of(found: Outcome) -> dict[str, Row]:
    return {
        row["record_id"]: row | {"evidence": json.loads(row["evidence"])}
        for row in found.rows.iter_rows(named=True)
    }


def many(count: int = 40, seed: int = 1) -> list[tuple[Row, Row]]:
    return [sale(k, gross) for k, gross in enumerate(amounts(count, seed).tolist())]


@pytest.mark.parametrize("off", [-2, -1, 0, 1, 2])
def test_a_declared_rule_is_exact_to_one_minor_unit(off: int) -> None:
    pairs = [sale(1, 10_000, missing=165 + off, days=0)]
    row = rows_of(outcome(pairs, declared(CARD)))["r0001"]
    if abs(off) == 2:
        assert (row["decision"], row["cause"]) == ("unmatched", "amount_difference")
        return
    assert (row["match_type"], row["decision"], row["score"]) == ("exact", "auto", 1.0)
    assert (row["internal_id"], row["cause"]) == ("i0001", "fee")
    assert row["residual_minor"] == -165 - off
    assert row["evidence"] == {
        "pass": "exact",
        "key": "txn_id and fee rule",
        "fee": {
            "rule": "1.4 % and 0.25",
            "gross_minor": 10_000,
            "fee_minor": 165,
            "net_minor": 9_835,
        },
    }
    paid = f"1.{65 + off}"
    assert row["reason"] == (
        f"Same transaction id, amount less a fee of {paid} (1.4 % and 0.25), same day"
    )


def test_a_rule_without_a_currency_holds_for_those_that_have_none_of_their_own() -> None:
    policy = declared(FeeRule(percent="2"), CARD)
    dollar = sale(1, 10_000, missing=200, currency="USD")
    euro = sale(2, 10_000, missing=200)
    found = rows_of(outcome([dollar, euro], policy))
    assert found["r0001"]["match_type"] == "exact"
    assert found["r0002"]["decision"] == "unmatched"


def test_what_leaves_is_charged_nothing() -> None:
    refund = (
        a_record("r", "S-1", amount_minor=-10_165),
        an_item("i", "S-1", amount_minor=-10_000),
    )
    assert rows_of(outcome([refund], declared(CARD)))["r"]["decision"] == "unmatched"


def test_inside_the_tolerance_a_declared_fee_is_the_cause() -> None:
    found = rows_of(outcome([sale(1, 10_000)], declared(CARD, percent="4")))["r0001"]
    assert (found["match_type"], found["cause"]) == ("exact", "fee")
    assert found["reason"] == "Same transaction id, amount less a fee (165 minor units), same day"
    other = outcome([sale(1, 10_000, missing=170)], declared(CARD, percent="4"))
    assert rows_of(other)["r0001"]["cause"] == "unknown"


def test_a_learned_rule_is_offered_and_only_suggests() -> None:
    found = outcome(many(), a_policy())
    (offer,) = found.fees_offered
    assert (offer.currency, offer.schedule.support, offer.schedule.explained) == ("EUR", 40, 40)
    assert offer.rule == CARD
    for row in rows_of(found).values():
        assert (row["decision"], row["cause"]) == ("suggested", "fee")
        assert row["internal_id"] == row["record_id"].replace("r", "i")
        assert row["evidence"]["pass"] == "fee"
        assert row["reason"].endswith("(1.4 % and 0.25, learned and not declared), same day")


def test_what_is_offered_becomes_exact_once_it_is_declared() -> None:
    config = SourceConfig.model_validate(
        {
            "kind": "csv",
            "columns": {"timestamp": "t", "amount": "a", "currency": "c"},
            "policy": {"fees": [{"currency": "USD", "percent": "3", "fixed": "0"}]},
        }
    )
    offered = outcome(many(), config.policy).fees_offered
    config = patched(config, declaring_patch(config.policy, offered))
    assert config.policy.fees == (FeeRule(currency="USD", percent="3"), CARD)
    found = outcome(many(), config.policy)
    assert set(found.rows["match_type"]) == {"exact"}
    assert found.fees_offered == ()


def test_inside_the_tolerance_a_learned_fee_is_the_cause_of_an_automatic_match() -> None:
    pairs = [*many(), sale(9_000, 50_000, missing=900)]
    found = outcome(pairs, a_policy(absolute="0.30", percent="4"))
    assert set(found.rows["decision"]) == {"auto"}
    causes = {row["record_id"]: row["cause"] for row in rows_of(found).values()}
    assert causes.pop("r9000") == "unknown"
    assert set(causes.values()) == {"fee"}
    assert found.fees_offered[0].schedule.explained == 40


def test_by_evidence_too_a_fee_is_the_cause() -> None:
    texts: Row = {"text": "Order of Miller Bros", "counterparty": "Miller Bros"}
    pairs = [*many(), sale(9_000, 50_000, id_="X1", **texts)]
    row = rows_of(outcome(pairs, a_policy(absolute="0.30", percent="4")))["r9000"]
    assert (row["match_type"], row["internal_id"], row["cause"]) == ("fuzzy", "i9000", "fee")
    assert "amount differs by -7.25 (fee)" in row["reason"]


@pytest.mark.parametrize("is_declared", [True, False])
def test_what_is_left_is_compared_net_of_the_fee(is_declared: bool) -> None:
    texts: Row = {"text": "Order of Miller Bros", "counterparty": "Miller Bros"}
    pairs = [*many(), sale(9_000, 51_234, id_="X1", **texts)]
    found = outcome(pairs, declared(CARD) if is_declared else a_policy())
    row = rows_of(found)["r9000"]
    assert row["decision"] == ("auto" if is_declared else "suggested")
    assert (row["match_type"], row["internal_id"], row["cause"]) == ("fuzzy", "i9000", "fee")
    fee = fee_of(51_234, 14_000, 25)
    assert row["residual_minor"] == -fee
    assert row["evidence"]["fee"] == {
        "rule": "1.4 % and 0.25",
        "gross_minor": 51_234,
        "fee_minor": fee,
        "net_minor": 51_234 - fee,
    }
    assert "compared with 512.34 less a fee of 7.42 (1.4 % and 0.25)" in row["reason"]
    assert row["reason"].endswith("learned, not declared") == (not is_declared)


def test_payouts_whose_key_names_all_members_teach_a_fee() -> None:
    records, items = [], []
    for k in range(10):
        sales = amounts(4, seed=k).tolist()
        fee = sum(fee_of(gross, 14_000, 25) for gross in sales)
        text = f"PAYOUT PO{22310 + k}"
        records.append(a_record(f"r{k}", text=text, amount_minor=sum(sales) - fee))
        items += [
            an_item(f"i{k}-{n}", f"S{k}{n}A", text=text, amount_minor=gross)
            for n, gross in enumerate(sales)
        ]
    found = match_partition(left(*records), right(*items), a_policy())
    assert set(found.rows["decision"]) == {"auto"}
    (offer,) = found.fees_offered
    assert (offer.rule, offer.schedule.support) == (CARD, 10)


def test_too_few_or_unlike_differences_teach_nothing() -> None:
    assert outcome(many(7), a_policy()).fees_offered == ()
    random = np.random.default_rng(1)
    noise = [
        sale(k, gross, missing=int(random.integers(2, gross // 20)))
        for k, gross in enumerate(amounts(60).tolist())
    ]
    found = outcome(noise, a_policy())
    assert found.fees_offered == ()
    assert set(found.rows["decision"]) == {"unmatched"}


def test_a_repeated_reference_is_not_certain() -> None:
    pairs = [*many(), sale(1, 51_234)]
    pairs[-1][0]["record_id"], pairs[-1][1]["internal_id"] = "again r", "again i"
    found = outcome(pairs, declared(CARD))
    exact = found.rows.filter(pl.col("match_type") == "exact")
    assert exact.height == 39
    assert not {"r0001", "again r"} & set(exact["record_id"])


@given(
    rate=st.sampled_from(["0", "0.9", "1.4", "2.9"]),
    fixed=st.sampled_from(["0.10", "0.25", "0.30"]),
    tolerance=st.sampled_from(["0", "4"]),
    is_declared=st.booleans(),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=12, deadline=None)
def test_the_order_of_rows_changes_nothing(
    rate: str, fixed: str, tolerance: str, is_declared: bool, seed: int
) -> None:
    rule = FeeRule(currency="EUR", percent=rate, fixed=fixed)
    grosses = amounts(24, seed).tolist()
    fees = [fee_of(gross, rule.rate_micros, rule.fixed_minor(2)) for gross in grosses]
    pairs = [
        sale(k, gross, missing=fee, id_=None if k % 4 else f"B{k}", text=f"Customer {k * 7919}")
        for k, (gross, fee) in enumerate(zip(grosses, fees, strict=True))
    ]
    policy = declared(rule, percent=tolerance) if is_declared else a_policy(percent=tolerance)
    records, items = left(*(r for r, _ in pairs)), right(*(i for _, i in pairs))
    straight = match_partition(records, items, policy)
    mixed = match_partition(
        records.sample(fraction=1, shuffle=True, seed=seed),
        items.sample(fraction=1, shuffle=True, seed=seed + 1),
        policy,
    )
    assert mixed.rows.sort("record_id").equals(straight.rows.sort("record_id"))
    assert mixed.fees_offered == straight.fees_offered
    assert bool(straight.fees_offered) is not is_declared
    exact = straight.rows.filter(pl.col("match_type") == "exact").height
    assert exact == 18 if is_declared else exact <= (18 if tolerance != "0" else 0)
    assert set(straight.rows.drop_nulls("internal_id")["cause"]) <= {"fee", "rounding"}


@pytest.mark.parametrize(
    "rules",
    [
        [{"currency": "EUR"}],
        [{"percent": "1.23456"}],
        [{"percent": "101"}],
        [{"percent": 1.4}],
        [{"fixed": "-0.25"}],
        [{"fixed": "0.25", "per": "day"}],
        [{"currency": "EUR", "fixed": "1"}, {"currency": "EUR", "percent": "1"}],
        [{"fixed": "1"}, {"percent": "1"}],
    ],
)
def test_rules_that_make_no_sense_are_refused(rules: list[Row]) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate_json(json.dumps({"fees": rules}))


def test_a_rule_reads_its_numbers_exactly() -> None:
    rule = FeeRule(percent="2.9125", fixed="0.305")
    assert (rule.rate_micros, rule.fixed_minor(2), rule.fixed_minor(3)) == (29_125, 30, 305)
    assert Policy.model_validate_json("{}").fees == ()

"""Vetoes, thresholds from costs, and rows that are alike: what evidence alone does not decide."""

import json
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from recon_service.domain.config import Costs, Policy
from tests.unit.recon.builders import DAY, a_record, an_item, decide

SAME: dict[str, Any] = {"text": "Acme consulting July", "counterparty": "Acme"}
# ISO 11649: 98 minus the remainder by 97 of the reference followed by RF00.
RF_ONE, RF_OTHER, RF_BROKEN = "RF18539007547034", "RF471234567890", "RF00539007547034"


def one(record_id: str, reference: str, policy: Policy | None = None) -> dict[str, object]:
    return decide([a_record("r", record_id, **SAME)], [an_item("i", reference, **SAME)], policy)[
        "r"
    ]


def test_ids_of_unrelated_name_spaces_are_neutral() -> None:
    assert one("BANK-0001", "OUR-9999")["decision"] == "auto"


def test_ids_that_are_declared_shared_veto_when_they_differ() -> None:
    row = one("PAY-2025-0001", "PAY-2025-9876", Policy(ids="shared"))
    assert (row["decision"], row["internal_id"]) == ("unmatched", None)
    assert one("PAY-2025-0001", "PAY-2025-0001", Policy(ids="shared"))["match_type"] == "exact"


def test_a_mistyped_shared_id_is_no_veto() -> None:
    assert one("PAY-2025-7713", "PAY-2025-7731", Policy(ids="shared"))["decision"] == "auto"


@pytest.mark.parametrize(
    ("record_id", "reference", "decision"),
    [(RF_ONE, RF_OTHER, "unmatched"), (RF_BROKEN, RF_OTHER, "auto"), (RF_ONE, "X-1", "auto")],
)
def test_two_creditor_references_that_check_and_differ_are_two_payments(
    record_id: str, reference: str, decision: str
) -> None:
    assert one(record_id, reference)["decision"] == decision


def test_nothing_is_matched_in_a_closed_period() -> None:
    policy = Policy(closed_through=DAY)
    row = decide([a_record("r", "A-1")], [an_item("i", "A-1")], policy)["r"]
    assert (row["decision"], row["cause"]) == ("unmatched", "closed_period")
    assert str(DAY) in str(row["reason"])
    late = decide([a_record("r", "A-1", days=1)], [an_item("i", "A-1", days=1)], policy)["r"]
    assert late["decision"] == "auto"
    across = decide([a_record("r", "A-1", days=1)], [an_item("i", "A-1")], policy)["r"]
    assert across["internal_id"] is None
    before = Policy(closed_through=DAY - timedelta(days=1))
    assert decide([a_record("r", "A-1")], [an_item("i", "A-1")], before)["r"]["decision"] == "auto"


def test_costs_choose_the_automatic_threshold() -> None:
    policy = Policy(costs=Costs(wrong_match="200", review="1"))
    assert policy.automatic_from == 0.995
    record, item = a_record("r", text="Acme July"), an_item("i", text="Acme July")
    row = decide([record], [item], policy)["r"]
    assert row["decision"] == "suggested"
    assert decide([record], [item])["r"]["decision"] == "auto"
    cheap = Policy(costs=Costs(wrong_match="10", review="4"), suggest_threshold=0.3)
    assert cheap.automatic_from == 0.6


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ({"wrong_match": "1", "review": "1"}, "must cost less"),
        ({"wrong_match": "-1", "review": "1"}, "pattern"),
        ({"wrong_match": "100", "review": "60"}, "is above the threshold that costs choose"),
    ],
)
def test_costs_that_make_no_sense_are_refused(costs: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Policy.model_validate({"costs": costs})


def test_lines_that_differ_by_the_banks_own_id_are_alike() -> None:
    """One of them takes the only ledger item, as a suggestion; the other is a duplicate."""
    records = [a_record("r", "BANK-77123", **SAME), a_record("s", "BANK-88245", **SAME)]
    rows = decide(records, [an_item("i", "OUR-1", **SAME)])
    assert sorted(str(row["decision"]) for row in rows.values()) == ["suggested", "unmatched"]
    by_decision = {row["decision"]: row for row in rows.values()}
    assert by_decision["unmatched"]["cause"] == "duplicate"
    assert json.loads(by_decision["suggested"]["evidence"])["alike"] == {"records": 2, "items": 1}

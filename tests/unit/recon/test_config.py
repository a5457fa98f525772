"""Source definitions: strict, precise in what they refuse, and whole after a patch."""

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from recon_service.domain.config import (
    BANK_API,
    BANK_CSV,
    AmountTolerance,
    SourceConfig,
    patched,
)


def test_the_shipped_sources_survive_json() -> None:
    for config in (BANK_CSV, BANK_API):
        assert SourceConfig.model_validate_json(config.model_dump_json()) == config
        assert SourceConfig.model_validate(config.model_dump(mode="json")) == config


def test_the_shipped_policy_is_exact_amounts_within_minus_one_to_two_days() -> None:
    assert BANK_CSV.policy.model_dump() == {
        "amount_tolerance": {"absolute": "0.00", "percent": "0"},
        "window": {
            "before_days": 1,
            "after_days": 2,
            "unit": "calendar_days",
            "calendar": None,
        },
        "fees": (),
        "auto_threshold": 0.8,
        "suggest_threshold": 0.5,
        "costs": None,
        "ids": "unrelated",
        "closed_through": None,
        "weights": None,
    }


def test_a_patch_changes_only_what_it_names() -> None:
    config = patched(BANK_CSV, {"policy": {"window": {"after_days": 5}}})
    assert config.policy.window.after_days == 5
    assert config.policy.window.before_days == 1
    assert config.columns == BANK_CSV.columns


def test_null_in_a_patch_brings_the_default_back() -> None:
    config = patched(BANK_CSV, {"currencies": ["EUR"], "policy": {"auto_threshold": 0.9}})
    assert config.currencies == ("EUR",)
    again = patched(config, {"currencies": None, "policy": {"auto_threshold": None}})
    assert again == BANK_CSV


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy": {"amount_tolerance": {"percent": 10}}}, "valid string"),
        ({"policy": {"amount_tolerance": {"percent": "101"}}}, "between 0 and 100"),
        ({"policy": {"amount_tolerance": {"absolute": "-1"}}}, "pattern"),
        ({"policy": {"amount_tolerance": {"absolute": "NaN"}}}, "pattern"),
        ({"policy": {"auto_threshold": 0.4}}, "suggest_threshold 0.5 is above auto_threshold 0.4"),
        ({"policy": {"auto_threshold": 1.1}}, "less than or equal to 1"),
        ({"policy": {"auto_threshold": True}}, "valid number"),
        ({"policy": {"window": {"after_days": -1}}}, "greater than or equal to 0"),
        ({"policy": {"window": {"after_days": 367}}}, "less than or equal to 366"),
        ({"policy": {"window": {"unit": "weeks"}}}, "'calendar_days' or 'business_days'"),
        ({"policy": {"window": {"unit": "business_days", "calendar": "XX"}}}, "holidays are known"),
        ({"policy": {"window": {"calendar": "EUR"}}}, "only where the unit is 'business_days'"),
        ({"policy": {"auto_treshold": 0.9}}, "Extra inputs"),
        ({"time_zone": "Mars/Olympus"}, "IANA time zone"),
        ({"timestamp_formats": ["%d/%m"]}, "a year, a month and a day"),
        ({"timestamp_formats": ["%Y-%m-%d %q"]}, "%q is not supported"),
        ({"path": "../secret.csv"}, "relative to the inbox"),
        ({"path": "/etc/passwd"}, "relative to the inbox"),
        ({"path": "bank_{day}.csv"}, "only placeholder"),
        ({"columns": {"amount": None}}, "'amount', or both"),
        ({"columns": {"debit": "Debit"}}, "not both"),
        ({"fixed_currency": "EUR"}, "either columns.currency or fixed_currency"),
        ({"csv": {"has_header": False}}, "position counted from 1"),
        ({"kind": "api"}, "needs a url"),
        ({"url": "https://user:secret@bank.example/"}, "no user name"),
        ({"url": "file:///etc/passwd"}, "http"),
        ({"url": "https://{date}.example/"}, "not in its host"),
        ({"ledger_account_id": "main"}, "badly formed"),
    ],
)
def test_what_is_refused_is_refused_with_its_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        patched(BANK_CSV, changes)


def test_the_date_fills_path_and_url() -> None:
    config = patched(BANK_CSV, {"path": "in/{date}.csv", "url": "https://bank.example/{date}"})
    assert config.path_for(date(2025, 7, 13)) == "in/2025-07-13.csv"
    assert config.url_for(date(2025, 7, 13)) == "https://bank.example/2025-07-13"


def test_tolerances_are_exact_integers() -> None:
    tolerance = AmountTolerance(absolute="0.05", percent="0.000001")
    assert tolerance.absolute_minor(2) == 5
    assert tolerance.absolute_minor(0) == 0
    assert tolerance.percent_micros == 1

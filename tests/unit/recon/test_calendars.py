"""Business days: the numbers of days, their lags, and the matches that they allow."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from iso4217 import Currency

from recon_service.domain.calendars import (
    business_day_numbers,
    business_days_between,
    calendar_days_max,
    is_calendar,
)
from recon_service.domain.config import BANK_CSV, patched
from recon_service.domain.history import Margins
from tests.unit.recon.builders import DAY, a_policy, a_record, an_item, decide

EPOCH = date(1970, 1, 1)
NAMES = st.sampled_from(["EUR", "USD", "GBP", "JPY", "SAR", "CNY", "DE-BY", "IL", "XAF"])
DATES = st.dates(date(1985, 1, 1), date(2070, 12, 31))


def lag(calendar: str, first: date, last: date) -> int:
    days = [np.array([(day - EPOCH).days], np.int64) for day in (first, last)]
    return int(business_days_between(calendar, *days)[0])


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (date(2025, 7, 11), date(2025, 7, 11), 0),  # a Friday
        (date(2025, 7, 11), date(2025, 7, 12), 1),
        (date(2025, 7, 11), date(2025, 7, 13), 1),
        (date(2025, 7, 11), date(2025, 7, 14), 1),
        (date(2025, 7, 12), date(2025, 7, 14), 0),
        (date(2025, 7, 12), date(2025, 7, 13), 0),
        (date(2025, 7, 13), date(2025, 7, 15), 1),
        (date(2025, 7, 14), date(2025, 7, 11), -1),
        (date(2025, 7, 14), date(2025, 7, 12), 0),
        (date(2025, 7, 11), date(2025, 7, 21), 6),
    ],
)
def test_a_day_off_counts_as_the_next_business_day(first: date, last: date, expected: int) -> None:
    assert lag("EUR", first, last) == expected


@pytest.mark.parametrize(
    ("calendar", "before", "after", "expected"),
    [
        ("EUR", date(2025, 4, 17), date(2025, 4, 22), 1),  # over Easter
        ("TARGET", date(2025, 4, 17), date(2025, 4, 22), 1),
        ("USD", date(2025, 4, 17), date(2025, 4, 22), 3),  # no federal holiday
        ("GBP", date(2025, 4, 17), date(2025, 4, 22), 1),
        ("CHF", date(2025, 4, 17), date(2025, 4, 22), 1),
        ("USD", date(2025, 7, 3), date(2025, 7, 7), 1),  # Independence Day, then a weekend
        ("EUR", date(2025, 7, 3), date(2025, 7, 7), 2),
        ("DE", date(2025, 10, 2), date(2025, 10, 6), 1),  # Unity Day is no TARGET holiday
        ("EUR", date(2025, 10, 2), date(2025, 10, 6), 2),
        ("DE-BY", date(2025, 1, 3), date(2025, 1, 7), 1),  # Epiphany is Bavaria's
        ("DE", date(2025, 1, 3), date(2025, 1, 7), 2),
        ("USD", date(2021, 12, 23), date(2021, 12, 27), 2),  # Christmas on a Saturday: Friday works
        ("IL", date(2025, 7, 10), date(2025, 7, 13), 1),  # Friday and Saturday are off
        ("AE", date(2021, 7, 1), date(2021, 7, 4), 1),  # so they were here,
        ("AE", date(2023, 7, 6), date(2023, 7, 8), 2),  # until the weekend moved
        ("CNY", date(2024, 2, 16), date(2024, 2, 19), 1),  # Sunday the 18th was worked
        ("XAF", date(2025, 12, 24), date(2025, 12, 26), 2),  # unknown: weekends only
    ],
)
def test_each_calendar_has_its_own_days_off(
    calendar: str, before: date, after: date, expected: int
) -> None:
    assert lag(calendar, before, after) == expected


@given(calendar=NAMES, days=st.lists(DATES, min_size=3, max_size=3))
def test_lags_add_up_and_swapping_changes_only_the_sign(calendar: str, days: list[date]) -> None:
    first, second, third = days
    assert lag(calendar, first, third) == lag(calendar, first, second) + lag(
        calendar, second, third
    )
    assert lag(calendar, first, second) == -lag(calendar, second, first)
    assert 0 <= lag(calendar, min(days), max(days)) <= (max(days) - min(days)).days


@given(first=DATES, days=st.integers(0, 400))
def test_without_holidays_numpy_counts_the_same(first: date, days: int) -> None:
    last = first + timedelta(days=days)
    assert lag("XAF", first, last) == np.busday_count(first, last)


@given(calendar=NAMES, first=DATES, days=st.integers(0, 30))
def test_no_two_days_lie_farther_apart_than_a_lag_can_span(
    calendar: str, first: date, days: int
) -> None:
    apart = lag(calendar, first, first + timedelta(days=days))
    assert days <= calendar_days_max(calendar, apart)


def test_a_span_without_a_name_holds_for_every_calendar() -> None:
    names = {currency.code for currency in Currency} & {"EUR", "USD", "JPY", "CNY", "SAR", "NPR"}
    for business_days in (0, 1, 2, 5, 20, 120, 366):
        widest = calendar_days_max(None, business_days)
        assert all(calendar_days_max(name, business_days) <= widest for name in names)
    assert calendar_days_max("EUR", 2) == 8


def test_a_calendar_is_a_currency_or_a_country_that_is_known() -> None:
    known = ["EUR", "TARGET", "USD", "GBP", "SEK", "INR", "DE", "US", "DE-BY", "GB-ENG"]
    unknown = ["XX", "BTC", "ETH", "XAF", "USA", "DE-XX", "eur", "", "DE-", "NYSE"]
    assert [name for name in known + unknown if is_calendar(name)] == known


def test_far_away_days_have_weekends_only() -> None:
    assert lag("EUR", date(1, 1, 1), date(1, 1, 8)) == 5
    assert lag("EUR", date(1999, 12, 31), date(2000, 1, 3)) == 1
    assert lag("EUR", date(2059, 12, 31), date(2060, 1, 5)) == 3
    numbers = business_day_numbers("EUR", np.arange(10_000, 40_000, dtype=np.int64))
    assert set(np.diff(numbers).tolist()) == {0, 1}


def test_matches_follow_the_business_days_of_the_records_currency() -> None:
    """2025-07-03 is a Thursday; the 4th is a holiday of the dollar."""
    policy = a_policy(before_days=0, after_days=1, unit="business_days")
    thursday, monday = -10, -6
    for currency, decision in (("USD", "auto"), ("EUR", "unmatched")):
        row = decide(
            [a_record("r", "T-1", days=monday, currency=currency)],
            [an_item("i", "T-1", days=thursday, currency=currency)],
            policy,
        )["r"]
        assert row["decision"] == decision
    assert row["reason"].endswith(
        "2 business days after the ledger, 1 business day outside the window"
    )


def test_one_calendar_may_hold_for_all_currencies() -> None:
    policy = a_policy(before_days=0, after_days=1, unit="business_days", calendar="US")
    row = decide([a_record("r", "T-1", days=-6)], [an_item("i", "T-1", days=-10)], policy)["r"]
    assert row["decision"] == "auto"
    assert row["reason"] == "Same transaction id, equal amount, 1 business day after the ledger"


def test_evidence_weighs_business_days() -> None:
    """Friday to Monday is three days, but only one business day."""
    assert DAY.weekday() == 6
    scores = [
        decide(
            [a_record("r", "X-99", days=1, text="rent for July")],
            [an_item("i", "Y-11", days=-2, text="rent for July")],
            a_policy(after_days=3, suggest=0.0, auto=1.0, unit=unit),
        )["r"]["score"]
        for unit in ("calendar_days", "business_days")
    ]
    assert scores[0] < scores[1]


def test_another_currencys_item_is_found_by_the_records_own_calendar() -> None:
    policy = a_policy(before_days=0, after_days=1, unit="business_days")
    row = decide(
        [a_record("r", "T-1", days=-6, currency="USD")],
        [an_item("i", "T-1", days=-10, currency="EUR")],
        policy,
    )["r"]
    assert row["cause"] == "other_currency"


def test_the_ledger_is_read_as_far_as_business_days_can_span() -> None:
    changes = {"before_days": 0, "after_days": 2, "unit": "business_days"}
    config = patched(BANK_CSV, {"policy": {"window": changes}})
    assert Margins.of(config) == Margins(before_days=16, after_days=20)
    config = patched(config, {"currencies": ["EUR", "JPY"]})
    assert Margins.of(config) == Margins(before_days=10, after_days=12)
    config = patched(config, {"policy": {"window": {"calendar": "EUR"}}})
    assert Margins.of(config) == Margins(before_days=4, after_days=8)
    assert Margins.of(BANK_CSV) == Margins(before_days=1, after_days=2)

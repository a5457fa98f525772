"""Business days: which days a currency's or a country's banks work, and how many lie between two.

Days are integers: calendar days since 1970-01-01. The business day number of a day is how many
business days came before it, so a day off has the number of the next business day: what happens
on a Saturday counts as happening on Monday. The lag between two days is the difference of their
numbers. It is signed, adds up (a to b and b to c make a to c) and changes only its sign when the
two are swapped.

Friday to Monday is one business day, Friday to Saturday too, Saturday to Monday none.
"""

import re
import warnings
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from iso4217 import Currency

if TYPE_CHECKING:
    from holidays import HolidayBase

Ints = npt.NDArray[np.int64]

# Holidays are known in these years; before and after them only Saturdays and Sundays are off.
_FIRST = date(2000, 1, 1)
_LAST = date(2059, 12, 31)
_EPOCH = date(1970, 1, 1)
# No calendar rests longer at a stretch, or works fewer than five of eight days over a longer time.
_REST_DAYS_MAX = 16
# Central banks whose own calendar is known: payments settle when they do.
_CENTRAL_BANKS = {"EUR": "XECB", "TARGET": "XECB", "USD": "XFED"}
# Where the money's banks sit, if the first two letters of its code do not say it well.
_HOMES = {"GBP": "GB-ENG", "CHF": "CH-ZH"}
_COUNTRY = re.compile(r"([A-Z]{2})(?:-([A-Z0-9]{1,3}))?", re.ASCII)
_CURRENCIES = frozenset(currency.code for currency in Currency)


def business_days_between(calendar_name: str, from_days: Ints, to_days: Ints) -> Ints:
    """Return the signed lags from `from_days` to `to_days` in business days."""
    lags: Ints = business_day_numbers(calendar_name, to_days) - business_day_numbers(
        calendar_name, from_days
    )
    return lags


def business_day_numbers(calendar_name: str, days: Ints) -> Ints:
    """Return each day's business day number; numbers compare within one calendar only.

    A name that `is_calendar` does not know has weekends only.
    """
    before = _numbers(calendar_name)
    first, end = _day(_FIRST), _day(_LAST) + 1
    inside = before[np.clip(days, first, end) - first]
    outside = np.minimum(days - first, 0) + np.maximum(days - end, 0)
    if not outside.any():
        return inside
    edge = np.where(days < first, first, end).astype("datetime64[D]")
    numbers: Ints = inside + np.where(
        outside == 0, 0, _weekdays_before(days.astype("datetime64[D]")) - _weekdays_before(edge)
    )
    return numbers


def calendar_days_max(calendar_name: str | None, business_days: int) -> int:
    """Return how many calendar days two days can be apart that are `business_days` apart at most.

    Whoever reads that far around a record has read everything that the lag allows. No name
    stands for any calendar.
    """
    if calendar_name is None:
        return _REST_DAYS_MAX + -(-business_days * 8 // 5)
    numbers = _numbers(calendar_name)
    last = np.searchsorted(numbers, numbers + business_days, side="right") - 1
    # Where the table ends the span is cut short, so those days do not count.
    whole = numbers + business_days < numbers[-1]
    return int((last - np.arange(len(numbers)))[whole].max())


def is_calendar(name: str) -> bool:
    """Say whether this is a currency (or TARGET) or a country whose holidays are known.

    A country is its two letters, where needed with a part of it: DE, DE-BY, GB-ENG.
    """
    return _opened(name) is not None


@lru_cache(maxsize=256)
def _numbers(name: str) -> Ints:
    """Return the number of every day from _FIRST to the day after _LAST."""
    days = np.arange(_day(_FIRST), _day(_LAST) + 1)
    calendar = _opened(name)
    if calendar is None:
        works = np.is_busday(days.astype("datetime64[D]"))
    else:
        # It knows weekends that moved to other weekdays, and Saturdays that were worked.
        works = np.array([calendar.is_working_day(_EPOCH + timedelta(days=int(d))) for d in days])
    numbers = np.concatenate([[0], np.cumsum(works)]).astype(np.int64)
    numbers.setflags(write=False)
    return numbers


def _opened(name: str) -> "HolidayBase | None":
    # Imported here: it takes a quarter of a second, and few sources count business days.
    from holidays import country_holidays, financial_holidays, list_supported_countries

    years = range(_FIRST.year, _LAST.year + 1)
    if name in _CENTRAL_BANKS:
        return financial_holidays(_CENTRAL_BANKS[name], years=years)
    parts = _COUNTRY.fullmatch(_HOMES.get(name, name[:2] if name in _CURRENCIES else name))
    if parts is None:
        return None
    country, part = parts.groups()
    known = list_supported_countries(include_aliases=False)
    if country not in known or (part is not None and part not in known[country]):
        return None
    with warnings.catch_warnings():
        # Some religious holidays are known for fewer years than the table has.
        warnings.simplefilter("ignore")
        return country_holidays(country, subdiv=part, years=years)


def _weekdays_before(days: npt.NDArray[np.datetime64]) -> Ints:
    """Return the number of weekdays from 1970-01-01 on, negative before it."""
    since = days.astype(np.int64) + 3
    # 1970-01-01 was a Thursday: three weekdays of its week had passed.
    count: Ints = since // 7 * 5 + np.minimum(since % 7, 5) - 3
    return count


def _day(day: date) -> int:
    return (day - _EPOCH).days

"""Pairs of rows that are no candidates: how often strangers look alike at this source."""

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.config import Policy
from recon_service.matchers.gates import directions

Ints = npt.NDArray[np.int64]

_DRAWS_MAX = 100_000
_STEP = 2_654_435_761  # Knuth's multiplier: neighbours in content order draw far apart


def strangers(records: pl.DataFrame, items: pl.DataFrame, policy: Policy) -> tuple[Ints, Ints]:
    """Return pairs with equal `group` and sign and a day within the window, but another amount.

    Each record draws the same few items whatever the order of rows: rows are in content order.
    """
    if records.is_empty() or items.is_empty():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    day = _column(items, "day")
    days = int(day.max() - day.min()) + 1
    keys = directions(items) * days + (day - day.min())
    order = np.argsort(keys, kind="stable")
    draws = max(1, _DRAWS_MAX // records.height)
    rows = np.repeat(np.arange(records.height), min(draws, 4))[:_DRAWS_MAX]
    window, base = policy.window, directions(records)[rows] * days
    own = _column(records, "day")[rows] - day.min()
    first = base + np.clip(own - window.after_days, 0, days)
    last = base + np.clip(own + window.before_days, -1, days - 1)
    start = np.searchsorted(keys[order], first, side="left")
    count = np.searchsorted(keys[order], last, side="right") - start
    known = count > 0
    rows, start, count = rows[known], start[known], count[known]
    drawn = np.arange(len(known), dtype=np.int64)[known] * _STEP % (1 << 40) % count
    columns = order[start + drawn]
    differ = _column(records, "amount_minor")[rows] != _column(items, "amount_minor")[columns]
    return rows[differ], columns[differ]


def _column(frame: pl.DataFrame, name: str) -> Ints:
    values: Ints = frame[name].to_numpy().astype(np.int64)
    return values

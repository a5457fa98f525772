"""Reads the ledger around one day, from the day outwards, keeping only what is of interest."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from recon_service.readers.ledger_reader import LedgerRange, LedgerReader

# Items that are read to answer one question; a ring of days that would exceed it is not begun.
ITEMS_READ_MAX = 400_000
# Beyond the day itself each ring is so many times as wide as the last one.
_GROWTH = 3

Keep = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Around:
    """What was kept (ITEM_COLUMNS), of how many items, on which days.

    It is not `complete` where the ledger has more on the days asked for than is read at once.
    """

    items: pl.DataFrame
    items_read: int
    first: date
    last: date
    complete: bool
    read_to_seq: int


async def read_around(
    ledger: LedgerReader,
    population: str,
    day: date,
    *,
    days: int,
    zone: ZoneInfo,
    keep: Keep,
) -> Around:
    """Return what `keep` leaves of the items up to `days` before and after a day in `zone`.

    Raises LedgerUnreadable.
    """
    head = await ledger.head_seq()
    parts, count = [], 0
    reached = -1
    for near, far in _rings(days):
        if count and count * (far + 1) // (reached + 1) > ITEMS_READ_MAX:
            break
        for first, last in _spans(day, near, far):
            start, end = _instants(first, last, zone)
            wanted = LedgerRange(up_to_seq=head, effective_from=start, effective_to=end)
            items = await ledger.read(population, wanted)
            count += items.height
            parts.append(await asyncio.to_thread(keep, items))
        reached = far
    return Around(
        items=pl.concat(parts),
        items_read=count,
        first=_shifted(day, -reached),
        last=_shifted(day, reached),
        complete=reached == days,
        read_to_seq=head,
    )


def _rings(days: int) -> Iterator[tuple[int, int]]:
    """Yield (nearest, farthest) distances in days: 0, then 1-3, 4-12, 13-39 and so on."""
    yield 0, 0
    near, width = 1, _GROWTH
    while near <= days:
        yield near, min(near + width - 1, days)
        near, width = near + width, _GROWTH * width


def _spans(day: date, near: int, far: int) -> list[tuple[date, date]]:
    if far == 0:
        return [(day, day)]
    before = _shifted(day, -far), _shifted(day, -near)
    return [before, (_shifted(day, near), _shifted(day, far))]


def _shifted(day: date, days: int) -> date:
    """Return a day so many days later, within what calendars and zones can count."""
    first, last = date(1, 1, 3).toordinal(), date(9999, 12, 29).toordinal()
    return date.fromordinal(min(max(day.toordinal() + days, first), last))


def _instants(first: date, last: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the first and the last instant of calendar days in a zone."""
    after = datetime.combine(last + timedelta(days=1), time.min, zone).astimezone(UTC)
    return datetime.combine(first, time.min, zone), after - timedelta(microseconds=1)

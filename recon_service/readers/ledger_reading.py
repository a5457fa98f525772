"""Reads from the ledger what a run needs: its days, and what is new since earlier runs."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from recon_service.domain.history import Days, Reading
from recon_service.readers.ledger_items import LedgerUnreadable
from recon_service.readers.ledger_reader import ALL, LedgerRange, LedgerReader


async def read_reading(
    ledger: LedgerReader, population: str, reading: Reading, zone: ZoneInfo
) -> tuple[int, pl.DataFrame]:
    """Return the ledger's head and the items (ITEM_COLUMNS) up to there; some may come twice.

    Raises LedgerUnreadable.
    """
    if population != ALL:
        await ledger.require_account(population)
    head = await ledger.head_seq()
    if reading.after_seq is not None and head < reading.after_seq:
        raise LedgerUnreadable(
            "ledger-went-back",
            f"The ledger ends at seq {head}, but an earlier run read it up to"
            f" {reading.after_seq}: it was restored or replaced.",
        )
    start, end = _instants(reading.days, zone)
    by_days = LedgerRange(up_to_seq=head, effective_from=start, effective_to=end)
    parts = [await ledger.read(population, by_days)]
    if reading.after_seq is not None and reading.after_seq < head:
        new = LedgerRange(up_to_seq=head, after_seq=reading.after_seq)
        parts.append(await ledger.read(population, new))
    return head, pl.concat(parts)


def _instants(days: Days, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the first and the last instant of calendar days in a zone."""
    after = datetime.combine(days.last + timedelta(days=1), time.min, zone).astimezone(UTC)
    return datetime.combine(days.first, time.min, zone), after - timedelta(microseconds=1)

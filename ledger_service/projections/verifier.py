"""Verifies a ledger: replays its log, compares all that follows from it, and follows its seals.

    entries, in order  ──▶ fold ──▶ events as stored?        (log_check.py)
                       ──▶ leaf ──▶ hash, roots as sealed?   (trust/seal_check.py)
    keys, in order     ──▶ leaf ──▶ hash, roots as sealed?
    books at the end   ──▶ accounts, balances, holds, periods, reversals, head as stored?

All of it as of one instant, in constant batches beside the books themselves.
"""

from collections.abc import Callable

import asyncpg

from ledger_service.projections.compare import differences
from ledger_service.projections.log_check import LogCheck
from ledger_service.projections.loose_ends import find_loose_ends
from ledger_service.trust.anchors import Anchor
from ledger_service.trust.findings import Damage, Report
from ledger_service.trust.log_reader import entry_pages, keys_between
from ledger_service.trust.seal_check import SealCheck
from ledger_service.trust.seal_reader import StoredSeals

ENTRIES_PER_READ = 5_000
Progress = Callable[[int, int], None]
"""Is told how many entries are read, and how many there are."""

_NAME_AND_SIZE = "SELECT name, last_seq FROM ledger.ledgers WHERE ledger_id = $1"


async def verify(
    connection: asyncpg.Connection,
    ledger_id: int,
    *,
    anchor: Anchor | None = None,
    progress: Progress | None = None,
) -> Report:
    """Return every disagreement of one ledger with itself, its seals and the anchor.

    Only an anchor reveals a history that was changed together with its seals, or whose end was
    cut with them. Findings about the log name the first entry that is not as it was.
    """
    report = Report()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        name, last_seq = await connection.fetchrow(_NAME_AND_SIZE, ledger_id)
        if anchor is not None and anchor.ledger != name:
            report.note(
                Damage.ANCHOR_DIFFERS,
                None,
                f"the anchor is of the ledger {anchor.ledger}, this is {name}",
                by_seal=True,
            )
        log = LogCheck(report)
        check = SealCheck(StoredSeals(connection, ledger_id), report, log.refolded, anchor)
        await check.start()
        async for page in entry_pages(connection, ledger_id, rows=ENTRIES_PER_READ):
            for entry in page.entries:
                log.take(entry)
                await check.take_entry(entry)
            log.take_strays(page.strays)
            if progress is not None:
                progress(report.entries, last_seq)
        await check.finish_entries()
        async for key in keys_between(connection, ledger_id, before=check.keys_before):
            await check.take_key(key)
        await check.finish_keys()
        report.accounts = len(log.replay.state.accounts)
        async for one in differences(connection, ledger_id, log.replay):
            report.note(Damage.PROJECTION_DIFFERS, None, str(one))
        await find_loose_ends(connection, ledger_id, log)
    log.finish()
    return report

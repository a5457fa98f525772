"""Finds what hangs in the air: keys without their entry, events without one, a head elsewhere."""

import asyncpg

from ledger_service.projections.log_check import LogCheck
from ledger_service.trust.findings import Damage

_HEAD = """
SELECT last_seq, last_entry_id, last_recorded_at FROM ledger.ledgers WHERE ledger_id = $1
"""

# Keys whose entry does not exist, or was recorded at another moment.
_LOOSE_KEYS = """
SELECT i.key_hash, i.seq FROM ledger.idempotency i
LEFT JOIN ledger.journal j ON j.ledger_id = i.ledger_id AND j.seq = i.seq
WHERE i.ledger_id = $1 AND i.seq IS NOT NULL AND i.recorded_at IS DISTINCT FROM j.recorded_at
ORDER BY i.seq LIMIT 20
"""

# Events behind the last entry.
_LATER_EVENTS = """
SELECT DISTINCT seq FROM ledger.events WHERE ledger_id = $1 AND (seq > $2 OR seq < 1)
ORDER BY seq LIMIT 20
"""


async def find_loose_ends(connection: asyncpg.Connection, ledger_id: int, log: LogCheck) -> None:
    """Note keys without their entry, events behind the last one, and a head that is elsewhere."""
    report, last = log.report, log.last
    for row in await connection.fetch(_LOOSE_KEYS, ledger_id):
        report.note(
            Damage.KEY_CHANGED,
            row["seq"],
            f"idempotency key {row['key_hash'].hex()} does not fit seq {row['seq']}",
        )
    later = await connection.fetch(_LATER_EVENTS, ledger_id, last.seq if last else 0)
    log.take_strays([row["seq"] for row in later])
    head = tuple(await connection.fetchrow(_HEAD, ledger_id) or ())
    expected = (last.seq, last.entry_id, last.recorded_at) if last else (0, None, None)
    if head != expected:
        report.note(
            Damage.HEAD_DIFFERS,
            expected[0] + 1 if head and head[0] > expected[0] else None,
            f"the head says {head}, the journal ends with {expected}",
        )

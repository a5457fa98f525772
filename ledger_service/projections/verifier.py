"""Replays the whole log and compares all that is projected from it, in constant batches."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from ledger_service.domain.entries import AccountChanged, AccountOpened, Entry
from ledger_service.domain.evolve import advance
from ledger_service.domain.state import Changes, State
from ledger_service.state_reader import entry_of

ENTRIES_PER_READ = 5_000
FINDINGS_MAX = 20

_ENTRIES = """
SELECT seq, entry_id, kind, effective_at, recorded_at, reference, payload
FROM ledger.journal WHERE ledger_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""
_EVENTS = """
SELECT seq, line, transaction_id, account_id, direction, amount_minor, balance_after_minor, position
FROM ledger.events WHERE ledger_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq, line
"""
_ACCOUNTS = """
SELECT a.account_id, a.currency, a.scale, a.type, a.normal_side, a.floor_minor, a.ceiling_minor,
       a.limits_on, a.frozen, a.status = 'closed' AS is_closed, a.code, a.version,
       b.debits_minor, b.credits_minor, b.position, b.held_debits_minor, b.held_credits_minor,
       a.opened_seq, a.opened_at, a.metadata
FROM ledger.accounts a FULL JOIN ledger.balances b USING (ledger_id, account_id)
WHERE ledger_id = $1
"""
_HEAD = """
SELECT last_seq, last_entry_id, last_recorded_at FROM ledger.ledgers WHERE ledger_id = $1
"""


class Opening(NamedTuple):
    """What the accounts projection keeps of an account beside the fold's account."""

    seq: int
    opened_at: datetime
    metadata: Mapping[str, Any]


@dataclass(slots=True)
class Report:
    """What a verification read, and what does not agree (at most FINDINGS_MAX sentences)."""

    entries: int = 0
    events: int = 0
    accounts: int = 0
    findings: list[str] = field(default_factory=list)

    def note(self, finding: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)


async def verify(connection: asyncpg.Connection, ledger_id: int) -> Report:
    """Replay the log of one ledger as of one instant and report every disagreement.

    Checked: seq without gaps, times that never run back, events equal to the fold's, debits equal
    to credits in each currency, accounts and balances equal to the fold's, the head at the end.
    """
    report = Report()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        state = State(last_seq=0)
        last: Entry | None = None
        openings: dict[UUID, Opening] = {}
        async for entries in _read_entries(connection, ledger_id):
            for entry in entries:
                _check_order(report, last, entry)
                last = entry
                _note_opening(openings, entry)
            await _check_events(report, connection, ledger_id, state, entries)
        await _check_projections(report, connection, ledger_id, state, openings)
        head = await connection.fetchrow(_HEAD, ledger_id)
        expected = (last.seq, last.entry_id, last.recorded_at) if last else (0, None, None)
        if tuple(head or ()) != expected:
            report.note(f"the head says {tuple(head or ())}, the journal ends with {expected}")
    _check_sum(report, state)
    return report


async def _read_entries(
    connection: asyncpg.Connection, ledger_id: int
) -> AsyncIterator[list[Entry]]:
    after = 0
    while rows := await connection.fetch(_ENTRIES, ledger_id, after, ENTRIES_PER_READ):
        after = rows[-1]["seq"]
        yield [entry_of(row) for row in rows]


def _check_order(report: Report, last: Entry | None, entry: Entry) -> None:
    report.entries += 1
    expected = last.seq + 1 if last else 1
    if entry.seq != expected:
        report.note(f"seq {expected} is missing: {entry.seq} follows")
    if last and entry.recorded_at < last.recorded_at:
        report.note(f"seq {entry.seq} was recorded before seq {last.seq}")


async def _check_events(
    report: Report,
    connection: asyncpg.Connection,
    ledger_id: int,
    state: State,
    entries: list[Entry],
) -> None:
    first, last = state.last_seq, entries[-1].seq
    rows = await connection.fetch(_EVENTS, ledger_id, first, last)
    stored = {(row["seq"], row["line"]): tuple(row) for row in rows}
    report.events += len(rows)
    for entry in entries:
        for key, expected in _rows_of(_advance(report, state, entry)):
            found = stored.pop(key, None)
            if found is None:
                report.note(f"event {key} is missing")
            elif found != expected:
                report.note(f"event {key} is {found}, the journal makes it {expected}")
    for key in stored:
        report.note(f"event {key} has no cause in the journal")


def _advance(report: Report, state: State, entry: Entry) -> Changes:
    try:
        return advance(state, entry)
    except (KeyError, ValueError) as error:
        report.note(f"seq {entry.seq} cannot be replayed: {error!r}")
        state.last_seq = entry.seq
        return Changes(accounts=())


def _rows_of(changes: Changes) -> Iterator[tuple[tuple[int, int], tuple[Any, ...]]]:
    for event in changes.events:
        yield (
            (event.seq, event.line),
            (
                event.seq,
                event.line,
                event.transaction_id,
                event.account_id,
                event.direction.value,
                event.amount_minor,
                event.balance_after_minor,
                event.position,
            ),
        )


async def _check_projections(
    report: Report,
    connection: asyncpg.Connection,
    ledger_id: int,
    state: State,
    openings: dict[UUID, Opening],
) -> None:
    rows = await connection.fetch(_ACCOUNTS, ledger_id)
    report.accounts = len(rows)
    stored: dict[UUID, tuple[Any, ...]] = {
        row["account_id"]: (*tuple(row)[:-1], json.loads(row["metadata"] or "null")) for row in rows
    }
    for account in state.accounts.values():
        expected = (*account.facts, *account[1:], *openings[account.account_id])
        found = stored.pop(account.account_id, None)
        if found != expected:
            report.note(f"account {account.account_id} is {found}, replay makes it {expected}")
    for account_id in stored:
        report.note(f"account {account_id} was never opened")


def _note_opening(openings: dict[UUID, Opening], entry: Entry) -> None:
    body = entry.body
    if isinstance(body, AccountOpened):
        openings[entry.entry_id] = Opening(entry.seq, entry.recorded_at, body.metadata)
    elif isinstance(body, AccountChanged) and body.metadata is not None:
        opening = openings[body.facts.account_id]
        openings[body.facts.account_id] = opening._replace(metadata=body.metadata)


def _check_sum(report: Report, state: State) -> None:
    totals: dict[str, int] = {}
    for account in state.accounts.values():
        totals[account.currency] = totals.get(account.currency, 0) + account.balance_minor
    for currency, total_minor in totals.items():
        if total_minor:
            report.note(f"balances in {currency} sum to {total_minor} minor units, not to zero")

"""Reads what decisions rest on: accounts, holds, periods, codes, first outcomes, originals.

Every method runs on the committer's own connection; what it finds is current if the head has not
moved by the time that the batch is written.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import add
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from ledger_service.domain.batch import Decided, Kept, Posted
from ledger_service.domain.commands import Key
from ledger_service.domain.entries import Entry, EntryKind, Event, Line
from ledger_service.domain.model import (
    Account,
    AccountFacts,
    Direction,
    Freeze,
    Hold,
    HoldStatus,
    LatePolicy,
    LimitsOn,
    Period,
    PeriodStatus,
)
from ledger_service.domain.payloads import body_of, declined_of
from ledger_service.domain.state import Original

# Accounts with their running totals.
_LOAD_ACCOUNTS = """
SELECT a.account_id, a.currency, a.scale, a.type, a.normal_side, a.floor_minor, a.ceiling_minor,
       a.limits_on, a.frozen, a.status = 'closed', a.code, a.version,
       b.debits_minor, b.credits_minor, b.position, b.held_debits_minor, b.held_credits_minor
FROM ledger.accounts a JOIN ledger.balances b USING (ledger_id, account_id)
WHERE a.ledger_id = $1 AND a.account_id = ANY ($2::uuid[])
"""

# Periods, the earliest first.
_LOAD_PERIODS = """
SELECT period_id, name, starts_at, ends_at, status, late FROM ledger.periods
WHERE ledger_id = $1 ORDER BY starts_at, period_id
"""

# When the next open hold falls due.
_NEXT_DUE = """
SELECT min(expires_at) FROM ledger.holds
WHERE ledger_id = $1 AND status = 'open' AND expires_at IS NOT NULL
"""

_HOLD = """
SELECT hold_id, source_account_id, destination_account_id, currency, scale, amount_minor,
       captured_minor, released_minor, over_capture_minor, expires_at, status
FROM ledger.holds WHERE ledger_id = $1
"""

# Open holds whose time is over.
_LOAD_DUE = f"{_HOLD} AND status = 'open' AND expires_at <= $2 ORDER BY expires_at, hold_id"

# Holds by their ids.
_LOAD_HOLDS = f"{_HOLD} AND hold_id = ANY ($2::uuid[])"

# Accounts by their codes.
_LOAD_CODES = """
SELECT code, account_id FROM ledger.accounts WHERE ledger_id = $1 AND code = ANY ($2::text[])
"""

# The lines of these transactions.
_LOAD_ORIGINALS = """
SELECT j.entry_id, j.kind, j.effective_at, e.account_id, e.direction, e.amount_minor,
       a.currency, a.scale
FROM ledger.journal j
JOIN ledger.events e ON e.ledger_id = j.ledger_id AND e.seq = j.seq
JOIN ledger.accounts a ON a.ledger_id = e.ledger_id AND a.account_id = e.account_id
WHERE j.ledger_id = $1 AND j.entry_id = ANY ($2::uuid[]) ORDER BY e.seq, e.line
"""

# What is reversed of these transactions already.
_LOAD_REVERSED = """
SELECT transaction_id, amounts_minor FROM ledger.reversals
WHERE ledger_id = $1 AND transaction_id = ANY ($2::uuid[])
"""

# First outcomes under these keys: the entry that was made, or the refusal, or neither for a group.
_LOAD_KEYS = """
SELECT i.key_hash, i.fingerprint, i.refusal, j.seq, j.entry_id, j.kind, j.effective_at,
       j.recorded_at, j.reference, j.payload
FROM ledger.idempotency i
LEFT JOIN ledger.journal j ON j.ledger_id = i.ledger_id AND j.seq = i.seq
WHERE i.ledger_id = $1 AND i.key_hash = ANY ($2::bytea[])
"""

# The events of these entries.
_LOAD_EVENTS = """
SELECT seq, line, account_id, transaction_id, direction, amount_minor, balance_after_minor, position
FROM ledger.events WHERE ledger_id = $1 AND seq = ANY ($2::bigint[]) ORDER BY seq, line
"""


class Standing(NamedTuple):
    """What every decision sees of a ledger: its periods, and when its next hold falls due.

    No open hold falls due before `due_at`, though none may then: it is a bound.
    """

    periods: Mapping[UUID, Period]
    due_at: datetime | None

    def is_due(self, instant: datetime) -> bool:
        """Tell whether a hold may have fallen due by `instant`."""
        return self.due_at is not None and self.due_at <= instant

    def after(self, decided: Decided) -> "Standing | None":
        """Return what is known of it behind a batch, None where it has to be read again."""
        holds = decided.holds.values()
        if decided.periods or any(one.status is HoldStatus.EXPIRED for one in holds):
            return None
        expiries = [one.expires_at for one in holds if one.expires_at is not None]
        known = [] if self.due_at is None else [self.due_at]
        return self._replace(due_at=min([*known, *expiries], default=None))


class StateReader:
    """Reads the state of one ledger."""

    def __init__(self, ledger_id: int) -> None:
        self._ledger_id = ledger_id

    async def accounts(
        self, connection: asyncpg.Connection, account_ids: Iterable[UUID]
    ) -> dict[UUID, Account]:
        """Return those of `account_ids` that exist."""
        rows = await connection.fetch(_LOAD_ACCOUNTS, self._ledger_id, list(account_ids))
        return {row[0]: account_of(row) for row in rows}

    async def standing(self, connection: asyncpg.Connection) -> Standing:
        """Return the periods, and when the next hold falls due."""
        rows = await connection.fetch(_LOAD_PERIODS, self._ledger_id)
        due_at = await connection.fetchval(_NEXT_DUE, self._ledger_id)
        return Standing({row[0]: period_of(row) for row in rows}, due_at)

    async def due(self, connection: asyncpg.Connection, instant: datetime) -> list[Hold]:
        """Return the open holds whose time was over at `instant`, the earliest first."""
        rows = await connection.fetch(_LOAD_DUE, self._ledger_id, instant)
        return [hold_of(row) for row in rows]

    async def holds(
        self, connection: asyncpg.Connection, hold_ids: Iterable[UUID]
    ) -> dict[UUID, Hold]:
        """Return those of `hold_ids` that exist."""
        rows = await connection.fetch(_LOAD_HOLDS, self._ledger_id, list(hold_ids))
        return {row[0]: hold_of(row) for row in rows}

    async def codes(self, connection: asyncpg.Connection, codes: Iterable[str]) -> dict[str, UUID]:
        """Return the accounts that have these codes."""
        rows = await connection.fetch(_LOAD_CODES, self._ledger_id, list(codes))
        return {row[0]: row[1] for row in rows}

    async def originals(
        self, connection: asyncpg.Connection, transaction_ids: Iterable[UUID]
    ) -> tuple[dict[UUID, Original], dict[UUID, tuple[int, ...]]]:
        """Return those of `transaction_ids` that exist, and what is reversed of their lines."""
        ids = list(transaction_ids)
        rows = await connection.fetch(_LOAD_ORIGINALS, self._ledger_id, ids)
        lines: dict[UUID, list[Line]] = {}
        originals = {}
        for row in rows:
            found = lines.setdefault(row["entry_id"], [])
            found.append(Line(row[3], Direction(row[4]), *row[5:8]))
            originals[row["entry_id"]] = Original(
                row["entry_id"], EntryKind(row["kind"]), row["effective_at"], tuple(found)
            )
        reversed_minor: dict[UUID, tuple[int, ...]] = {}
        for row in await connection.fetch(_LOAD_REVERSED, self._ledger_id, ids):
            original_id, amounts_minor = row
            before = reversed_minor.get(original_id, (0,) * len(amounts_minor))
            reversed_minor[original_id] = tuple(map(add, before, amounts_minor))
        return originals, reversed_minor

    async def kept(
        self, connection: asyncpg.Connection, key_hashes: Iterable[bytes]
    ) -> dict[bytes, Kept]:
        """Return the first outcomes under those of `key_hashes` that were used before."""
        hashes = list(key_hashes)
        rows = await connection.fetch(_LOAD_KEYS, self._ledger_id, hashes) if hashes else []
        if not rows:
            return {}
        events: dict[int, list[Event]] = {}
        posted = [row["seq"] for row in rows if row["seq"] is not None]
        for row in await connection.fetch(_LOAD_EVENTS, self._ledger_id, posted):
            event = Event(*row)._replace(direction=Direction(row["direction"]))
            events.setdefault(event.seq, []).append(event)
        return {row["key_hash"]: _kept(row, events.get(row["seq"], ())) for row in rows}


def _kept(row: asyncpg.Record, events: Sequence[Event]) -> Kept:
    key = Key(row["key_hash"], row["fingerprint"])
    if row["refusal"] is not None:
        return Kept(key, declined_of(row["refusal"]))
    if row["seq"] is None:
        return Kept(key, None)
    return Kept(key, Posted(entry_of(row), tuple(events)))


def account_of(row: Any) -> Account:
    """Return the account in a row of accounts and balances."""
    account_id, currency, scale, kind, normal_side, floor, ceiling, limits_on, frozen = row[:9]
    is_closed, code, version = row[9:12]
    facts = AccountFacts(
        account_id,
        currency,
        scale,
        kind,
        Direction(normal_side),
        floor,
        ceiling,
        LimitsOn(limits_on),
        Freeze(frozen),
        is_closed,
        code,
        version,
    )
    return Account(facts, *row[12:17])


def hold_of(row: Any) -> Hold:
    """Return the hold in a row of holds."""
    return Hold(*row)._replace(status=HoldStatus(row["status"]))


def period_of(row: Any) -> Period:
    """Return the period in a row of periods."""
    status, late = PeriodStatus(row["status"]), LatePolicy(row["late"])
    return Period(*row)._replace(status=status, late=late)


def entry_of(row: Any) -> Entry:
    """Return the entry in a row of the journal; `payload` is JSON text."""
    return Entry(
        row["seq"],
        row["entry_id"],
        row["effective_at"],
        row["recorded_at"],
        row["reference"],
        body_of(EntryKind(row["kind"]), json.loads(row["payload"])),
    )

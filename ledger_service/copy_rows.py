"""The rows of a large batch in the binary form of PostgreSQL's COPY.

One call of `Struct.pack` writes most of a row, where a general encoder takes a call for each
column. Each value follows its length in four bytes, -1 for null, and each row begins with the
number of its columns (PostgreSQL documentation, COPY, Binary Format). Columns stand in the order
of the tables.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from ledger_service.domain.batch import Decided
from ledger_service.domain.model import Direction, Entry, EntryKind, Event
from ledger_service.domain.payloads import outcome_columns, payload_text

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_length = Struct(">i").pack
_number = Struct(">iq").pack


def _row(layout: str) -> Struct:
    return Struct(">h" + layout.replace(" ", ""))


# ledger_id, seq, entry_id, kind, effective_at, recorded_at; then reference, payload
_ENTRY = {kind: _row(f"ii iq i16s i{len(kind)}s iq iq") for kind in EntryKind}
# ledger_id, seq, line, account_id, transaction_id, direction, and three numbers
_EVENT = {side: _row(f"ii iq ih i16s i16s i{len(side)}s iq iq iq") for side in Direction}
# ledger_id, key_hash, fingerprint; then seq, refusal, recorded_at
_KEY = _row("ii i16s i16s")
_TEXT = {text: text.value.encode() for text in (*EntryKind, *Direction)}


class CopyRows(NamedTuple):
    """The rows of one batch, ready to be sent."""

    journal: bytes
    events: bytes
    keys: bytes


def copy_rows(ledger_id: int, decided: Decided) -> CopyRows:
    """Return all rows of a batch."""
    return CopyRows(
        journal_rows(ledger_id, decided.entries),
        event_rows(ledger_id, decided.events),
        key_rows(ledger_id, decided),
    )


def journal_rows(ledger_id: int, entries: Iterable[Entry]) -> bytes:
    """Return the rows of `journal`."""
    rows = [_SIGNATURE]
    for seq, entry_id, effective_at, recorded_at, reference, body in entries:
        kind, payload = body.kind, payload_text(body).encode()
        row = _ENTRY[kind].pack(
            8,
            4,
            ledger_id,
            8,
            seq,
            16,
            entry_id.bytes,
            len(kind),
            _TEXT[kind],
            8,
            _microseconds(effective_at),
            8,
            _microseconds(recorded_at),
        )
        told = _NULL if reference is None else _text(reference)
        rows += (row, told, _length(len(payload)), payload)
    rows.append(_TRAILER)
    return b"".join(rows)


def event_rows(ledger_id: int, events: Iterable[Event]) -> bytes:
    """Return the rows of `events`."""
    rows = [_SIGNATURE]
    for seq, line, account_id, transaction_id, side, amount, balance_after, position in events:
        row = _EVENT[side].pack(
            9,
            4,
            ledger_id,
            8,
            seq,
            2,
            line,
            16,
            account_id.bytes,
            16,
            transaction_id.bytes,
            len(side),
            _TEXT[side],
            8,
            amount,
            8,
            balance_after,
            8,
            position,
        )
        rows.append(row)
    rows.append(_TRAILER)
    return b"".join(rows)


def key_rows(ledger_id: int, decided: Decided) -> bytes:
    """Return the rows of `idempotency`."""
    recorded_at = _number(8, _microseconds(decided.recorded_at))
    rows = [_SIGNATURE]
    for (key_hash, fingerprint), outcome in decided.kept.values():
        seq, refusal = outcome_columns(outcome)
        rows += (
            _KEY.pack(6, 4, ledger_id, 16, key_hash, 16, fingerprint),
            _NULL if seq is None else _number(8, seq),
            _NULL if refusal is None else _text(refusal),
            recorded_at,
        )
    rows.append(_TRAILER)
    return b"".join(rows)


@lru_cache(maxsize=16)  # the entries of a batch have one instant
def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _length(len(encoded)) + encoded

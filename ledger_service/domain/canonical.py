"""The bytes that seals are made of: what the log keeps, in one encoding with a single reading.

Whole numbers are big-endian; i16, i32 and i64 are signed. A time is an i64 of microseconds since
1970-01-01T00:00:00Z. A text is its UTF-8. `field` means: its length in bytes as an i32, then the
bytes; a null is the length -1 and nothing. Version 1:

    entry   0x01 'E'  seq i64  entry_id 16 bytes  effective_at  recorded_at
            field kind  field reference or null  field payload
            number of events i32, and each event in the order of its lines:
            field ( line i16  account_id 16 bytes  transaction_id 16 bytes
                    amount_minor i64  balance_after_minor i64  position i64  direction text )
    key     0x01 'K'  recorded_at
            field key_hash  field fingerprint  field seq i64 or null  field refusal or null

`payload` is the JSON text exactly as the journal keeps it: no parser, no order of keys, no way to
write a number stands between the log and its seal. What names the ledger is not part of it, so a
ledger that is carried elsewhere keeps its hashes.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from struct import Struct
from typing import NamedTuple
from uuid import UUID

VERSION = 1
_ENTRY_MARK = bytes((VERSION,)) + b"E"
_KEY_MARK = bytes((VERSION,)) + b"K"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENTRY_START = Struct(">2sq16sqq")
_EVENT_START = Struct(">h16s16sqqq")
_KEY_START = Struct(">2sq")
_LENGTH = Struct(">i")
_SEQ = Struct(">q")
_NULL = _LENGTH.pack(-1)


class StoredEvent(NamedTuple):
    """A row of the events, as stored."""

    line: int
    account_id: UUID
    transaction_id: UUID
    direction: str
    amount_minor: int
    balance_after_minor: int
    position: int


class StoredEntry(NamedTuple):
    """A row of the journal, as stored, with its events in the order of their lines."""

    seq: int
    entry_id: UUID
    kind: str
    effective_at: datetime
    recorded_at: datetime
    reference: str | None
    payload: str
    events: Sequence[StoredEvent] = ()


class StoredKey(NamedTuple):
    """A row of the idempotency keys, as stored."""

    recorded_at: datetime
    key_hash: bytes
    fingerprint: bytes
    seq: int | None
    refusal: str | None


def entry_bytes(entry: StoredEntry) -> bytes:
    """Return the canonical bytes of an entry with its events."""
    seq, entry_id, kind, effective_at, recorded_at, reference, payload, events = entry
    parts = [
        _ENTRY_START.pack(
            _ENTRY_MARK, seq, entry_id.bytes, microseconds(effective_at), microseconds(recorded_at)
        ),
        _field(kind.encode()),
        _NULL if reference is None else _field(reference.encode()),
        _field(payload.encode()),
        _LENGTH.pack(len(events)),
    ]
    for line, account_id, transaction_id, direction, amount, balance_after, position in events:
        start = _EVENT_START.pack(
            line, account_id.bytes, transaction_id.bytes, amount, balance_after, position
        )
        parts.append(_field(start + direction.encode()))
    return b"".join(parts)


def key_bytes(key: StoredKey) -> bytes:
    """Return the canonical bytes of an idempotency key with its outcome."""
    recorded_at, key_hash, fingerprint, seq, refusal = key
    return b"".join(
        (
            _KEY_START.pack(_KEY_MARK, microseconds(recorded_at)),
            _field(key_hash),
            _field(fingerprint),
            _NULL if seq is None else _field(_SEQ.pack(seq)),
            _NULL if refusal is None else _field(refusal.encode()),
        )
    )


def moved_to(seq: int, data: bytes) -> bytes:
    """Return the bytes of an entry as they would be under another `seq`."""
    at = len(_ENTRY_MARK)
    return data[:at] + _SEQ.pack(seq) + data[at + _SEQ.size :]


def microseconds(instant: datetime) -> int:
    """Return the microseconds since 1970 began, negative before; exact, unlike a float."""
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _field(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data

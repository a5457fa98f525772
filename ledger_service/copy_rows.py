"""The rows of a large batch in the binary form of PostgreSQL's COPY.

One call of `Struct.pack` writes most of a row, where a general encoder takes a call for each
column. Each value follows its length in four bytes, -1 for null, and each row begins with the
number of its columns (PostgreSQL documentation, COPY, Binary Format). Columns stand in the order
of the tables.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from struct import Struct
from typing import Any

from ledger_service.domain.batch import Kept
from ledger_service.domain.entries import Entry, EntryKind, Event
from ledger_service.domain.model import Direction
from ledger_service.domain.payloads import outcome_columns, payload_text

_BLOCK_ROWS = 250
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


def journal_rows(ledger_id: int, entries: Sequence[Entry]) -> Iterator[bytes]:
    """Yield the rows of `journal`."""
    return _copied(partial(_journal_row, ledger_id), entries)


def event_rows(ledger_id: int, events: Sequence[Event]) -> Iterator[bytes]:
    """Yield the rows of `events`."""
    return _copied(partial(_event_row, ledger_id), events)


def key_rows(ledger_id: int, kept: Sequence[Kept], recorded_at: datetime) -> Iterator[bytes]:
    """Yield the rows of `idempotency`."""
    instant = _number(8, _microseconds(recorded_at))
    return _copied(partial(_key_row, ledger_id, instant), kept)


def _copied(row: Callable[[Any], bytes], values: Sequence[Any]) -> Iterator[bytes]:
    """Yield a block of rows at a time."""
    yield _SIGNATURE
    for start in range(0, len(values), _BLOCK_ROWS):
        yield b"".join(map(row, values[start : start + _BLOCK_ROWS]))
    yield _TRAILER


def _journal_row(ledger_id: int, entry: Entry) -> bytes:
    seq, entry_id, effective_at, recorded_at, reference, body = entry
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
    return row + told + _length(len(payload)) + payload


def _event_row(ledger_id: int, event: Event) -> bytes:
    seq, line, account_id, transaction_id, side, amount, balance_after, position = event
    return _EVENT[side].pack(
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


def _key_row(ledger_id: int, instant: bytes, kept: Kept) -> bytes:
    (key_hash, fingerprint), outcome = kept
    seq, refusal = outcome_columns(outcome)
    return b"".join(
        (
            _KEY.pack(6, 4, ledger_id, 16, key_hash, 16, fingerprint),
            _NULL if seq is None else _number(8, seq),
            _NULL if refusal is None else _text(refusal),
            instant,
        )
    )


@lru_cache(maxsize=16)  # the entries of a batch have one instant
def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _length(len(encoded)) + encoded

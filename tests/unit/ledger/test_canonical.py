"""Canonical bytes: written down once by hand, and different wherever anything stored differs."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from ledger_service.domain.canonical import (
    StoredEntry,
    StoredEvent,
    StoredKey,
    entry_bytes,
    key_bytes,
    microseconds,
    moved_to,
)

AT = datetime(1970, 1, 1, 0, 0, 1, 2, tzinfo=UTC)
EVENT = StoredEvent(1, UUID(int=3), UUID(int=2), "debit", 5, -5, 1)
ENTRY = StoredEntry(7, UUID(int=2), "transfer", AT, AT, None, '{"a":1}', (EVENT,))
KEY = StoredKey(AT, b"k" * 16, b"f" * 16, 7, None)


def test_an_entry_is_written_as_documented() -> None:
    instant = (1_000_002).to_bytes(8)
    event = (
        (1).to_bytes(2)
        + UUID(int=3).bytes
        + UUID(int=2).bytes
        + (5).to_bytes(8)
        + (-5).to_bytes(8, signed=True)
        + (1).to_bytes(8)
        + b"debit"
    )
    assert entry_bytes(ENTRY) == b"".join(
        (
            b"\x01E",
            (7).to_bytes(8),
            UUID(int=2).bytes,
            instant,
            instant,
            b"\x00\x00\x00\x08transfer",
            b"\xff\xff\xff\xff",
            b'\x00\x00\x00\x07{"a":1}',
            b"\x00\x00\x00\x01",
            len(event).to_bytes(4),
            event,
        )
    )


def test_a_key_is_written_as_documented() -> None:
    assert key_bytes(KEY) == b"".join(
        (
            b"\x01K",
            (1_000_002).to_bytes(8),
            b"\x00\x00\x00\x10" + b"k" * 16,
            b"\x00\x00\x00\x10" + b"f" * 16,
            b"\x00\x00\x00\x08" + (7).to_bytes(8),
            b"\xff\xff\xff\xff",
        )
    )


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 8},
        {"entry_id": UUID(int=9)},
        {"kind": "reversal"},
        {"effective_at": AT - timedelta(microseconds=1)},
        {"recorded_at": AT + timedelta(microseconds=1)},
        {"reference": ""},
        {"payload": '{"a": 1}'},
        {"payload": '{"a":1}', "reference": "x"},
        {"events": ()},
        {"events": (EVENT, EVENT)},
        {"events": (EVENT._replace(line=2),)},
        {"events": (EVENT._replace(account_id=UUID(int=9)),)},
        {"events": (EVENT._replace(transaction_id=UUID(int=9)),)},
        {"events": (EVENT._replace(direction="credit"),)},
        {"events": (EVENT._replace(amount_minor=6),)},
        {"events": (EVENT._replace(balance_after_minor=5),)},
        {"events": (EVENT._replace(position=2),)},
    ],
)
def test_no_change_of_an_entry_keeps_its_bytes(change: dict[str, Any]) -> None:
    assert entry_bytes(ENTRY._replace(**change)) != entry_bytes(ENTRY)


@pytest.mark.parametrize(
    "change",
    [
        {"recorded_at": AT + timedelta(microseconds=1)},
        {"key_hash": b"x" * 16},
        {"fingerprint": b"x" * 16},
        {"seq": 8},
        {"seq": None},
        {"refusal": ""},
        {"seq": None, "refusal": "x"},
    ],
)
def test_no_change_of_a_key_keeps_its_bytes(change: dict[str, Any]) -> None:
    assert key_bytes(KEY._replace(**change)) != key_bytes(KEY)


def test_text_that_moves_from_one_field_to_the_next_is_seen() -> None:
    first = entry_bytes(ENTRY._replace(kind="ab", reference="c"))
    assert first != entry_bytes(ENTRY._replace(kind="a", reference="bc"))


def test_an_entry_under_another_seq() -> None:
    assert moved_to(8, entry_bytes(ENTRY)) == entry_bytes(ENTRY._replace(seq=8))


def test_times_before_1970_count_backwards_exactly() -> None:
    assert microseconds(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1
    assert (
        microseconds(datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == 253402300799999999
    )

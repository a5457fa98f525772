"""What is written to an export is read from it, and whatever happened to a file is noticed."""

import gzip
import io
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest

from ledger_service.domain.canonical import StoredEntry, StoredEvent, StoredKey
from ledger_service.export_format import (
    BadExport,
    Counts,
    ExportReader,
    ExportWriter,
    Header,
    Line,
    TableRow,
)

AT = datetime(2026, 3, 1, 12, 30, 0, 250, tzinfo=UTC)
ONE, TWO = UUID(int=1), UUID(int=2)
PAYLOAD = '{"amount_minor": 1250,\t"metadata": {"note": "é \\u2028 \\"x\\" \\\\ \U0001f600"}}'
EVENTS = (
    StoredEvent(1, ONE, TWO, "debit", 1250, -1250, 1),
    StoredEvent(2, TWO, TWO, "credit", 1250, 1250, 7),
)
LINES: tuple[Line, ...] = (
    StoredEntry(1, ONE, "account_opened", AT, AT, None, PAYLOAD),
    StoredEntry(2, TWO, "transfer", AT - timedelta(days=9), AT, "rent\n1", PAYLOAD, EVENTS),
    StoredKey(AT, bytes(16), bytes(range(16)), 2, None),
    StoredKey(AT, bytes([1] * 16), bytes(16), None, '{"code":"x"}'),
    TableRow("seals", {"root": "\\x00ff", "size": 2, "sealed_at": None}),
)
HEADER = Header("main", 2, TWO, AT, Counts(entries=2, events=2, keys=2, rows=1))


def write(
    lines: tuple[Line, ...] = LINES, *, header: Header = HEADER, zipped: bool = False
) -> bytes:
    file = io.BytesIO()
    writer = ExportWriter(file, header, compress=zipped)
    for line in lines:
        if isinstance(line, StoredEntry):
            writer.entry(line)
        elif isinstance(line, StoredKey):
            writer.key(line)
        else:
            writer.row(line)
    writer.finish()
    return file.getvalue()


def read(path: Path) -> tuple[Header, list[Line]]:
    with ExportReader(path) as reader:
        return reader.header, list(reader)


@pytest.mark.parametrize("zipped", [False, True])
def test_what_is_written_is_read(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "books"
    path.write_bytes(write(zipped=zipped))
    assert read(path) == (HEADER, list(LINES))


@pytest.mark.parametrize("zipped", [False, True])
def test_the_same_books_make_the_same_bytes(zipped: bool) -> None:
    assert write(zipped=zipped) == write(zipped=zipped)


def test_an_empty_ledger_is_a_header_and_a_trailer(tmp_path: Path) -> None:
    header = Header("berlin", 0, None, None, Counts())
    path = tmp_path / "books"
    path.write_bytes(write((), header=header))
    assert read(path) == (header, [])


@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_cut_anywhere_does_not_read(tmp_path: Path, zipped: bool) -> None:
    whole = write(zipped=zipped)
    path = tmp_path / "books"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(BadExport):
            read(path)


def test_a_byte_changed_anywhere_is_noticed(tmp_path: Path) -> None:
    whole = write()
    path = tmp_path / "books"
    for place in range(len(whole) - 1):
        changed = bytearray(whole)
        changed[place] = ord("0") if whole[place] != ord("0") else ord("1")
        path.write_bytes(changed)
        with pytest.raises(BadExport):
            read(path)


def test_lines_that_change_their_places_are_noticed(tmp_path: Path) -> None:
    lines = write().splitlines(keepends=True)
    path = tmp_path / "books"
    for first in range(len(lines) - 1):
        moved = [*lines]
        moved[first], moved[first + 1] = moved[first + 1], moved[first]
        path.write_bytes(b"".join(moved))
        with pytest.raises(BadExport):
            read(path)


def sealed(*lines: object) -> bytes:
    """Lines with a trailer that fits them."""
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    counts = Counts(entries=len(lines) - 1)._asdict()
    trailer = {"trailer": counts | {"sha256": sha256(body).hexdigest()}}
    return body + json.dumps(trailer).encode() + b"\n"


def header_line(**facts: object) -> dict[str, object]:
    told: dict[str, object] = {
        "format": "kairon-ledger",
        "version": 1,
        "ledger": "main",
        "last_seq": 1,
        "last_entry_id": str(ONE),
        "last_recorded_at": AT.isoformat(),
    }
    return {"header": told | Counts(entries=1)._asdict() | facts}


def entry_line(**facts: object) -> dict[str, object]:
    told: dict[str, object] = {
        "seq": 1,
        "entry_id": str(ONE),
        "kind": "transfer",
        "effective_at": AT.isoformat(),
        "recorded_at": AT.isoformat(),
        "reference": None,
        "payload": "{}",
        "events": [],
    }
    return {"entry": told | facts}


def test_the_builders_of_this_test_make_files_that_read(tmp_path: Path) -> None:
    path = tmp_path / "books"
    path.write_bytes(sealed(header_line(), entry_line()))
    assert read(path)[1] == [StoredEntry(1, ONE, "transfer", AT, AT, None, "{}")]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty."),
        (b"\n", "not an export of a ledger"),
        (bytes(range(256)) * 20, "not an export of a ledger"),
        (b"\x1f\x8b" + bytes(40), "no sound gzip"),
        (gzip.compress(b"", mtime=0), "The file is empty."),
        (b'{"header": ' + b"[" * 100_000, "not an export of a ledger"),
        (b'{"header": {"format": "csv"}}\n', "not an export of a ledger"),
        (b"account_id,balance\n", "not an export of a ledger"),
        (sealed(header_line(version=2)), "has version 2 of the format"),
        (sealed(header_line(last_seq="1")), "the header is damaged"),
        (sealed(header_line(last_entry_id=7)), "the header is damaged"),
        (sealed(header_line(entries=2), entry_line()), "its header announces 2 entries"),
        (sealed(header_line(), entry_line(seq=True)), "Line 2: the entry is damaged: True is not"),
        (sealed(header_line(), entry_line(seq=1.0)), "1.0 is not a whole number"),
        (sealed(header_line(), entry_line(payload={})), "is not a text"),
        (sealed(header_line(), entry_line(recorded_at="2026-01-01T00:00:00")), "has no offset"),
        (sealed(header_line(), entry_line(events=[[1, 2]])), "the entry is damaged"),
        (sealed(header_line(), entry_line(entry_id="x")), "badly formed"),
        (sealed(header_line(), {"entry": {"seq": 1}}), "'entry_id' is missing"),
        (sealed(header_line(), {"entry": 1}), "Line 2: this is not a line of an export"),
        (sealed(header_line(), [1]), "Line 2: this is not a line of an export"),
        (sealed(header_line(), {"other": {}}), "a line of this kind (other) is not expected"),
        (sealed(header_line(), entry_line()) + b"more\n", "Line 4: something follows the trailer"),
    ],
)
def test_files_that_are_none_of_ours_are_refused_by_a_sentence(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "books"
    path.write_bytes(content)
    with pytest.raises(BadExport) as refusal:
        read(path)
    assert sentence in str(refusal.value)


def test_what_was_not_announced_is_not_written() -> None:
    with pytest.raises(ValueError, match="announced"):
        write(LINES[:1])

"""The file that holds a whole ledger: one JSON object a line, written and read in constant memory.

UTF-8, lines end with one newline; gzipped where the name ends in .gz. Each line is an object of one
member, which says what it is. They come in this order (version 1):

    {"header": {"format": "kairon-ledger", "version": 1, "ledger": "main", "last_seq": 2,
                "last_entry_id": "…", "last_recorded_at": "…",
                "entries": 2, "events": 2, "keys": 1, "rows": 0}}
    {"entry": {"seq": 2, "entry_id": "…", "kind": "transfer", "effective_at": "…",
               "recorded_at": "…", "reference": null, "payload": "{…}",
               "events": [[line, account_id, transaction_id, direction, amount_minor,
                           balance_after_minor, position], …]}}        each entry, in order of seq
    {"key": {"key_hash": "hex", "fingerprint": "hex", "seq": 2, "refusal": null,
             "recorded_at": "…"}}      each idempotency key, in order of recorded_at and key_hash
    {"row": {"table": "seals", "values": {…}}}        rows of the tables of seals, as PostgreSQL's
                                                      to_json writes them, without the ledger's id
    {"trailer": {"entries": 2, "events": 2, "keys": 1, "rows": 0, "sha256": "hex"}}

`payload` is the very text that the journal keeps, as a JSON string: hashes are made of its bytes.
Times are ISO 8601 in UTC, amounts whole numbers of minor units. The trailer's SHA-256 is that of
all bytes before its line, uncompressed: a file that was cut or changed on its way does not read.
It is no proof of origin: that is what seals and anchors are for.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self
from uuid import UUID

from ledger_service.domain.canonical import StoredEntry, StoredEvent, StoredKey

FORMAT = "kairon-ledger"
VERSION = 1
LINE_BYTES_MAX = 64 * 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_LEVEL = 6
_BUFFER_BYTES = 1 << 20
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Counts(NamedTuple):
    """How many lines of each kind there are; events are counted within their entries."""

    entries: int = 0
    events: int = 0
    keys: int = 0
    rows: int = 0


class Header(NamedTuple):
    """Which ledger the file holds, where its history ends, and how much there is of it."""

    ledger: str
    last_seq: int
    last_entry_id: UUID | None
    last_recorded_at: datetime | None
    counts: Counts


class TableRow(NamedTuple):
    """A row of a table of seals; `values` as PostgreSQL's to_json writes them."""

    table: str
    values: Mapping[str, Any]


Line = StoredEntry | StoredKey | TableRow


class BadExport(Exception):
    """The file is not a whole export that this program reads; the message is a sentence.

    `line` is the number of the line, from 1, None where it is about the file as a whole.
    """

    def __init__(self, sentence: str, line: int | None = None) -> None:
        super().__init__(sentence if line is None else f"Line {line}: {sentence}")
        self.line = line


class ExportWriter:
    """Writes an export line by line to a file that its caller opened, and owns.

    `finish` writes the trailer; what was written must be what the header announced.
    """

    def __init__(self, file: IO[bytes], header: Header, *, compress: bool) -> None:
        # No name and no time in it: the same ledger makes the same bytes.
        self._gzip = (
            gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0)
            if compress
            else None
        )
        self._file: IO[bytes] | gzip.GzipFile = self._gzip or file
        self._hash = sha256()
        self._announced = header.counts
        self._entries = self._events = self._keys = self._rows = 0
        facts = {
            "format": FORMAT,
            "version": VERSION,
            "ledger": header.ledger,
            "last_seq": header.last_seq,
            "last_entry_id": _plain(header.last_entry_id),
            "last_recorded_at": _plain(header.last_recorded_at),
        }
        self._write("header", facts | header.counts._asdict())

    def entry(self, entry: StoredEntry) -> None:
        """Write an entry; they come in the order of seq."""
        seq, entry_id, kind, effective_at, recorded_at, reference, payload, events = entry
        told = {
            "seq": seq,
            "entry_id": str(entry_id),
            "kind": kind,
            "effective_at": effective_at.isoformat(),
            "recorded_at": recorded_at.isoformat(),
            "reference": reference,
            "payload": payload,
            "events": [
                (line, str(account_id), str(transaction_id), *numbers)
                for line, account_id, transaction_id, *numbers in events
            ],
        }
        self._write("entry", told)
        self._entries += 1
        self._events += len(events)

    def key(self, key: StoredKey) -> None:
        """Write an idempotency key; they come in the order of recorded_at, then key_hash."""
        told = {
            "key_hash": key.key_hash.hex(),
            "fingerprint": key.fingerprint.hex(),
            "seq": key.seq,
            "refusal": key.refusal,
            "recorded_at": key.recorded_at.isoformat(),
        }
        self._write("key", told)
        self._keys += 1

    def row(self, row: TableRow) -> None:
        """Write a row of a table of seals."""
        self._write("row", {"table": row.table, "values": row.values})
        self._rows += 1

    def finish(self) -> str:
        """Write the trailer, and return the SHA-256 that it states; the file stays open."""
        counts = Counts(self._entries, self._events, self._keys, self._rows)
        if counts != self._announced:
            raise ValueError(f"{counts} were written, {self._announced} announced")
        digest = self._hash.hexdigest()
        self._write("trailer", counts._asdict() | {"sha256": digest})
        if self._gzip is not None:
            self._gzip.close()
        return digest

    def _write(self, kind: str, told: Mapping[str, Any]) -> None:
        line = f'{{"{kind}":{_compact(told)}}}\n'.encode()
        self._hash.update(line)
        self._file.write(line)


class ExportReader:
    """Reads an export: the header at once, the other lines as they are iterated, once.

    Raises BadExport for all that is wrong with the file, and OSError where it cannot be read.
    Only when the iteration has ended is the file known to be whole. `line` is the number of the
    line that was read last.
    """

    def __init__(self, path: Path) -> None:
        self._raw = path.open("rb")
        self._file: IO[bytes] | gzip.GzipFile = self._raw
        self._hash = sha256()
        self.line = 0
        try:
            if self._raw.peek(2)[:2] == _GZIP_MAGIC:
                self._file = gzip.GzipFile(fileobj=self._raw, mode="rb")
            self.header = self._read_header()
        except BaseException:
            self._raw.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._raw.close()

    def __iter__(self) -> Iterator[Line]:
        """Yield the lines between header and trailer; the whole file was in order at the end."""
        entries = events = keys = rows = 0
        while True:
            raw = self._read_line()
            if raw is None:
                raise BadExport(f"The file is cut: it ends behind line {self.line}.")
            kind, told = _parse(raw, self.line)
            if kind == "trailer":
                self._check_trailer(told, Counts(entries, events, keys, rows))
                return
            self._hash.update(raw)
            line: Line
            try:
                if kind == "entry" and not (keys or rows):
                    line = _entry_in(told)
                    entries, events = entries + 1, events + len(line.events)
                elif kind == "key" and not rows:
                    line, keys = _key_in(told), keys + 1
                elif kind == "row":
                    line, rows = TableRow(_text(told["table"]), dict(told["values"])), rows + 1
                else:
                    raise BadExport(
                        f"a line of this kind ({kind}) is not expected here.", self.line
                    )
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise BadExport(f"the {kind} is damaged: {_cause(error)}.", self.line) from None
            yield line

    def _read_header(self) -> Header:
        raw = self._read_line()
        if raw is None:
            raise BadExport("The file is empty.")
        try:
            kind, told = _parse(raw, 1)
        except BadExport:
            kind, told = "", {}
        if kind != "header" or told.get("format") != FORMAT:
            raise BadExport("The file is not an export of a ledger.")
        if told.get("version") != VERSION:
            raise BadExport(
                f"The file has version {told.get('version')} of the format; "
                f"this program reads version {VERSION}."
            )
        self._hash.update(raw)
        try:
            last_id, last_at = told["last_entry_id"], told["last_recorded_at"]
            return Header(
                ledger=_text(told["ledger"]),
                last_seq=_whole(told["last_seq"]),
                last_entry_id=None if last_id is None else UUID(last_id),
                last_recorded_at=None if last_at is None else _instant(last_at),
                counts=_counts(told),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadExport(f"the header is damaged: {_cause(error)}.", 1) from None

    def _read_line(self) -> bytes | None:
        """Return the next line with its newline, None at the end of the file."""
        try:
            raw = self._file.readline(LINE_BYTES_MAX + 1)
        except EOFError:
            raise BadExport(f"The file is cut: it ends behind line {self.line}.") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise BadExport(
                f"The file is no sound gzip behind line {self.line}: {error}."
            ) from None
        if not raw:
            return None
        self.line += 1
        if len(raw) > LINE_BYTES_MAX:
            raise BadExport(f"longer than {LINE_BYTES_MAX} bytes.", self.line)
        if not raw.endswith(b"\n") and self.line > 1:
            raise BadExport(f"The file is cut: it ends within line {self.line}.")
        return raw

    def _check_trailer(self, told: Mapping[str, Any], counted: Counts) -> None:
        try:
            stated = _counts(told)
        except (KeyError, TypeError, ValueError) as error:
            raise BadExport(f"the trailer is damaged: {_cause(error)}.", self.line) from None
        if not stated == counted == self.header.counts:
            raise BadExport(
                f"The file has {_sentence(counted)}; its header announces "
                f"{_sentence(self.header.counts)}, its trailer {_sentence(stated)}."
            )
        if told.get("sha256") != self._hash.hexdigest():
            raise BadExport("The file was changed: its SHA-256 is not the one in its trailer.")
        if self._read_line() is not None:
            raise BadExport("something follows the trailer.", self.line)


def _parse(raw: bytes, line: int) -> tuple[str, Mapping[str, Any]]:
    """Return the kind of a line and what it tells."""
    try:
        document = json.loads(raw)
        ((kind, told),) = document.items()
    except (ValueError, AttributeError, RecursionError):
        kind, told = "", None
    if not isinstance(told, dict):
        raise BadExport("this is not a line of an export.", line)
    return kind, told


def _entry_in(told: Mapping[str, Any]) -> StoredEntry:
    return StoredEntry(
        _whole(told["seq"]),
        UUID(_text(told["entry_id"])),
        _text(told["kind"]),
        _instant(told["effective_at"]),
        _instant(told["recorded_at"]),
        _text_or_none(told["reference"]),
        _text(told["payload"]),
        tuple(_event_in(*event) for event in told["events"]),
    )


def _event_in(
    line: Any,
    account_id: Any,
    transaction_id: Any,
    direction: Any,
    amount_minor: Any,
    balance_after_minor: Any,
    position: Any,
) -> StoredEvent:
    return StoredEvent(
        line=_whole(line),
        account_id=UUID(_text(account_id)),
        transaction_id=UUID(_text(transaction_id)),
        direction=_text(direction),
        amount_minor=_whole(amount_minor),
        balance_after_minor=_whole(balance_after_minor),
        position=_whole(position),
    )


def _key_in(told: Mapping[str, Any]) -> StoredKey:
    seq = told["seq"]
    return StoredKey(
        recorded_at=_instant(told["recorded_at"]),
        key_hash=bytes.fromhex(told["key_hash"]),
        fingerprint=bytes.fromhex(told["fingerprint"]),
        seq=None if seq is None else _whole(seq),
        refusal=_text_or_none(told["refusal"]),
    )


def _counts(told: Mapping[str, Any]) -> Counts:
    return Counts(*(_whole(told[name]) for name in Counts._fields))


def _sentence(counts: Counts) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts._asdict().items())


def _plain(value: UUID | datetime | None) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is not a whole number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _instant(value: Any) -> datetime:
    instant = datetime.fromisoformat(_text(value))
    if instant.tzinfo is None:
        raise ValueError(f"{value!r} has no offset")
    return instant


def _cause(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)

"""Reads a delimited file into columns of strings; a bad line is rejected, never the file."""

import csv
import hashlib
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl

from recon_service.domain.config import SourceConfig
from recon_service.domain.records import RAW_FIELDS, RAW_SCHEMA, REJECTED_SCHEMA, RawRead
from recon_service.readers.encodings import Lines, decoded_lines
from recon_service.readers.errors import SourceUnreadable
from recon_service.readers.files import FILE_BYTES_MAX, read_file

FIELD_CHARS_MAX = 10_000
RAW_CHARS_MAX = 2_000
_TOO_LONG = f"a field has more than {FIELD_CHARS_MAX} characters"
_HEADER_LINES_MAX = 200
_RECORD_LINES_MAX = 100
_WIDTH_SAMPLE_LINES = 100


@dataclass(frozen=True, slots=True)
class CSVReader:
    """Reads files of one source, as its configuration says."""

    config: SourceConfig

    def read(self, path: Path, *, size_max: int = FILE_BYTES_MAX) -> RawRead:
        """Read a file. Raises SourceUnreadable when nothing of it can be read."""
        return self.parse(read_file(path, size_max=size_max))

    def parse(self, content: bytes) -> RawRead:
        """Read a file's content: every record ends in `frame` or in `rejected`."""
        if not content.strip(b" \t\r\n\xef\xbb\xbf\xff\xfe\0"):
            raise SourceUnreadable("empty-file", "The file is empty.")
        lines = decoded_lines(content, self.config.csv)
        layout = _layout(lines, self.config)
        frame, rejected = _records(lines, layout)
        return RawRead(
            frame=frame,
            rejected=rejected,
            lines=frame.height + rejected.height,
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            encoding=lines.encoding,
        )


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the records begin, how many columns they have, and which of them are wanted."""

    first: int
    width: int
    places: dict[str, int]
    delimiter: str


def _layout(lines: Lines, config: SourceConfig) -> _Layout:
    format_, mapped = config.csv, config.columns.mapped()
    if not format_.has_header:
        first = format_.skip_lines
        width = _usual_width(lines, first, format_.delimiter)
        return _Layout(first, width, _positions(mapped, width, None), format_.delimiter)
    place, header = _header(lines, config)
    if place in lines.undecodable:
        raise SourceUnreadable(
            "wrong-encoding", f"The header cannot be read: {lines.undecodable[place]}."
        )
    places = _positions(mapped, len(header), header)
    return _Layout(place + 1, len(header), places, format_.delimiter)


def _header(lines: Lines, config: SourceConfig) -> tuple[int, list[str]]:
    """Return the header's line and its names, surrounding space removed."""
    format_, names = config.csv, set(config.columns.mapped().values())
    begin = format_.skip_lines
    for place in range(begin, min(begin + _HEADER_LINES_MAX, len(lines.text))):
        text = lines.text[place]
        if not text.strip():
            continue
        header = [name.strip() for name in _fields(text, format_.delimiter) or []]
        if not format_.find_header or {n for n in names if isinstance(n, str)} <= set(header):
            return place, header
    if not format_.find_header:
        raise SourceUnreadable("empty-file", "The file has no header line.")
    wanted = ", ".join(repr(name) for name in sorted(map(str, names)))
    raise SourceUnreadable(
        "missing-column",
        f"None of the first {_HEADER_LINES_MAX} lines is a header with the columns {wanted}.",
    )


def _positions(
    mapped: dict[str, str | int], width: int, header: list[str] | None
) -> dict[str, int]:
    """Return field -> place in a line, from 0."""
    places: dict[str, int] = {}
    for field, ref in mapped.items():
        if isinstance(ref, str):
            found = (header or []).count(ref)
            if found == 0:
                raise SourceUnreadable("missing-column", _missing(ref, header or []))
            if found > 1:
                raise SourceUnreadable("duplicate-column", f"The header has {ref!r} {found} times.")
            places[field] = (header or []).index(ref)
        elif ref > width:
            raise SourceUnreadable(
                "missing-column", f"There is no column {ref}: the lines have {width} columns."
            )
        else:
            places[field] = ref - 1
    return places


def _missing(name: str, header: list[str]) -> str:
    there = ", ".join(repr(found[:50]) for found in header[:30])
    return f"Column {name!r} is missing; the header has {there}."


def _usual_width(lines: Lines, first: int, delimiter: str) -> int:
    """Return the commonest number of columns, since no header tells it."""
    sample = (lines.text[k] for k in range(first, len(lines.text)))
    filled = (text for text in sample if text.strip())
    rows = (_fields(text, delimiter) for text in islice(filled, _WIDTH_SAMPLE_LINES))
    widths = Counter(len(row) for row in rows if row)
    if not widths:
        raise SourceUnreadable("empty-file", "The file has no records.")
    return max(widths, key=lambda width: (widths[width], width))


def _fields(text: str, delimiter: str) -> list[str] | None:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def _records(lines: Lines, layout: _Layout) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the records (RAW_SCHEMA) and the rejected lines, both in the file's order."""
    table = pl.DataFrame({"text": lines.text, "offset": lines.offset}).select(
        pl.int_range(1, pl.len() + 1).alias("line_no"), "offset", "text"
    )
    quoted = _parse_quoted(lines, layout)
    plain = table[layout.first :].filter(
        ~pl.col("text").str.contains('"', literal=True),
        ~pl.col("line_no").is_in(quoted.continuations),
        pl.col("text").str.strip_chars() != "",
    )
    cells = pl.col("text").str.split_exact(layout.delimiter, max(layout.places.values()))
    plain = plain.with_columns(cells=cells).select(
        "line_no",
        "offset",
        raw="text",
        width=pl.col("text").str.count_matches(layout.delimiter, literal=True).cast(pl.Int64) + 1,
        **{
            field: pl.col("cells").struct.field(f"field_{place}")
            for field, place in layout.places.items()
        },
    )
    records = pl.concat([plain, quoted.records]).with_columns(
        reason=pl.coalesce(
            pl.col("line_no").replace_strict(
                {place + 1: reason for place, reason in lines.undecodable.items()},
                default=None,
                return_dtype=pl.String,
            ),
            *_faults(layout),
        )
    )
    rejected = records.filter(pl.col("reason").is_not_null()).select(REJECTED_SCHEMA.names())
    rejected = pl.concat([rejected, quoted.rejected]).with_columns(printable(pl.col("raw")))
    absent = {field: pl.lit(None, pl.String) for field in RAW_FIELDS if field not in layout.places}
    frame = records.filter(pl.col("reason").is_null()).with_columns(**absent)
    return frame.select(RAW_SCHEMA.names()).sort("line_no"), rejected.sort("line_no")


def printable(raw: pl.Expr) -> pl.Expr:
    """Return a raw line as it can be stored and shown: bounded, without NUL."""
    return raw.str.slice(0, RAW_CHARS_MAX).str.replace_all("\0", "\ufffd", literal=True)


def _faults(layout: _Layout) -> list[pl.Expr]:
    longest = pl.max_horizontal(pl.col(field).str.len_chars() for field in layout.places)
    return [
        pl.when(pl.col("raw").str.contains("\0", literal=True)).then(
            pl.lit("the line contains a NUL byte")
        ),
        pl.when(pl.col("width") != layout.width).then(
            pl.format(f"{{}} columns where {layout.width} are expected", "width")
        ),
        pl.when(longest > FIELD_CHARS_MAX).then(pl.lit(_TOO_LONG)),
    ]


@dataclass(frozen=True, slots=True)
class _Quoted:
    """Records with quotes: those parsed, those rejected, and the lines inside their fields."""

    records: pl.DataFrame
    rejected: pl.DataFrame
    continuations: list[int]


def _parse_quoted(lines: Lines, layout: _Layout) -> _Quoted:
    """Parse the lines with quotes one by one; a field may run over several lines.

    Where quotes do not end well only the line that opened them is rejected, so that one stray
    quote cannot swallow what follows.
    """
    places = lines.text.str.contains('"', literal=True).arg_true().to_list()
    texts = lines.text.to_list() if places else []
    offsets = lines.offset.tolist() if places else []
    rows: list[tuple[int, int, str, list[str]]] = []
    bad: list[tuple[int, int, str, str]] = []
    continuations: list[int] = []
    next_free = layout.first
    for place in places:
        if place < next_free:
            continue
        raw, line_no, offset = texts[place], place + 1, offsets[place]
        fields, count = _quoted_record([raw], layout)
        if fields is None:
            fields, count = _quoted_record(texts[place : place + _RECORD_LINES_MAX], layout)
        next_free = place + count
        if fields is None:
            bad.append((line_no, offset, raw, _quote_fault(raw)))
            continue
        rows.append((line_no, offset, "\n".join(texts[place:next_free]), fields))
        continuations.extend(range(line_no + 1, line_no + count))
    return _Quoted(
        _in_columns(rows, layout),
        pl.DataFrame(bad, REJECTED_SCHEMA, orient="row"),
        continuations,
    )


def _in_columns(rows: list[tuple[int, int, str, list[str]]], layout: _Layout) -> pl.DataFrame:
    columns: dict[str, pl.Series] = {
        "line_no": pl.Series([row[0] for row in rows], dtype=pl.Int64),
        "offset": pl.Series([row[1] for row in rows], dtype=pl.Int64),
        "raw": pl.Series([row[2] for row in rows], dtype=pl.String),
        "width": pl.Series([len(row[3]) for row in rows], dtype=pl.Int64),
    }
    for field, place in layout.places.items():
        values = [row[3][place] if place < len(row[3]) else None for row in rows]
        columns[field] = pl.Series(values, dtype=pl.String)
    return pl.DataFrame(columns)


def _quoted_record(window: list[str], layout: _Layout) -> tuple[list[str] | None, int]:
    """Return the fields of the record at the window's start, and how many lines it takes."""
    source = window if len(window) == 1 else (line + "\n" for line in window)
    reader = csv.reader(source, delimiter=layout.delimiter, strict=True)
    try:
        fields = next(reader)
    except csv.Error:
        return None, 1
    if reader.line_num > 1 and len(fields) != layout.width:
        return None, 1
    return fields, reader.line_num


def _quote_fault(raw: str) -> str:
    if len(raw) > csv.field_size_limit():
        return _TOO_LONG
    return "a quoted field is not closed properly"

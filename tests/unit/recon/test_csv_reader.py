"""CSV files: bad lines are rejected one by one, bad files with a code and a sentence."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from recon_service.domain.config import BANK_CSV, SourceConfig, patched
from recon_service.domain.records import RawRead
from recon_service.readers.csv_reader import FIELD_CHARS_MAX, CSVReader
from recon_service.readers.errors import SourceUnreadable

HEADER = "txn_id,timestamp,amount,currency,description\n"
GOOD = "T1,2025-07-13,1.00,EUR,rent\n"


def parse(content: str | bytes, config: SourceConfig = BANK_CSV) -> RawRead:
    return CSVReader(config).parse(content.encode() if isinstance(content, str) else content)


def ids(read: RawRead) -> list[str]:
    return read.frame["txn_id"].to_list()


def reasons(read: RawRead) -> dict[int, str]:
    return dict(read.rejected.select("line_no", "reason").iter_rows())


def test_fields_come_as_they_stand_with_line_and_offset() -> None:
    read = parse(HEADER + GOOD + "T2,2025-07-14,-2.00,EUR,\n")
    assert read.frame.select("line_no", "offset", "txn_id", "amount", "description").rows() == [
        (2, len(HEADER), "T1", "1.00", "rent"),
        (3, len(HEADER + GOOD), "T2", "-2.00", ""),
    ]
    assert (read.lines, read.encoding) == (2, "utf-8")


def test_the_last_line_needs_no_newline_and_blank_lines_are_no_records() -> None:
    read = parse(HEADER + "\n" + GOOD.strip() + "\n   \nT2,2025-07-13,1,EUR,x")
    assert ids(read) == ["T1", "T2"]
    assert read.frame["line_no"].to_list() == [3, 5]
    assert read.lines == 2


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_understood(newline: str) -> None:
    read = parse((HEADER + GOOD + GOOD.replace("T1", "T2")).replace("\n", newline))
    assert ids(read) == ["T1", "T2"]
    assert read.frame["description"].to_list() == ["rent", "rent"]


def test_quotes_hold_delimiters_quotes_and_newlines() -> None:
    read = parse(HEADER + 'T1,d,1,EUR,"a, ""b""\nc"\n' + GOOD.replace("T1", "T2"))
    assert read.frame.select("line_no", "txn_id", "description").rows() == [
        (2, "T1", 'a, "b"\nc'),
        (4, "T2", "rent"),
    ]


def test_a_quote_inside_a_plain_field_is_a_letter() -> None:
    assert parse(HEADER + 'T1,d,1,EUR,5" pipe\n').frame["description"].to_list() == ['5" pipe']


def test_one_stray_quote_costs_one_line() -> None:
    read = parse(HEADER + 'T1,d,1,EUR,"open\n' + GOOD.replace("T1", "T2") * 3)
    assert ids(read) == ["T2"] * 3
    assert reasons(read) == {2: "a quoted field is not closed properly"}


def test_a_stray_quote_does_not_swallow_lines_up_to_the_next_one() -> None:
    lines = 'T1,d,1,EUR,"open\n' + GOOD.replace("T1", "T2") + 'T3,d,1,EUR,"closed"\n'
    read = parse(HEADER + lines)
    assert ids(read) == ["T2", "T3"]
    assert list(reasons(read)) == [2]


def test_bad_lines_are_rejected_with_number_and_reason_and_the_rest_goes_on() -> None:
    long = "x" * (FIELD_CHARS_MAX + 1)
    body = f"T1,d,1\nT2,d,1,EUR,a,b\nT3,d,1,EUR,n\0l\nT4,d,1,EUR,{long}\n{GOOD}"
    read = parse(HEADER + body)
    assert ids(read) == ["T1"]
    assert reasons(read) == {
        2: "3 columns where 5 are expected",
        3: "6 columns where 5 are expected",
        4: "the line contains a NUL byte",
        5: "a field has more than 10000 characters",
    }
    assert all("\0" not in raw and len(raw) <= 2_000 for raw in read.rejected["raw"])
    assert read.lines == 5


def test_bytes_that_are_not_utf_8_cost_their_line_only() -> None:
    read = parse(HEADER.encode() + b"T1,d,1,EUR,M\xfcller\n" + GOOD.replace("T1", "T2").encode())
    assert ids(read) == ["T2"]
    assert reasons(read) == {2: "byte 0xfc at position 13 is not valid utf-8"}


def test_auto_takes_byte_order_marks() -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        read = parse((HEADER + GOOD.replace("rent", "Größe")).encode(encoding))
        assert read.frame["description"].to_list() == ["Größe"]


def test_offsets_in_utf_16_count_bytes() -> None:
    content = (HEADER + GOOD).encode("utf-16")
    offset = parse(content).frame["offset"].item()
    assert content[offset:].decode("utf-16-le") == GOOD


def test_the_fallback_encoding_is_used_only_when_configured() -> None:
    content = (HEADER + GOOD.replace("rent", "Müller € 5")).encode("cp1252")
    fallback = patched(BANK_CSV, {"csv": {"fallback_encoding": "cp1252"}})
    assert parse(content, fallback).frame["description"].to_list() == ["Müller € 5"]
    assert parse((HEADER + GOOD).encode(), fallback).encoding == "utf-8"
    with pytest.raises(SourceUnreadable) as caught:
        parse(b"\xfc\n" + content.replace(b"txn", b"\xfc"))
    assert caught.value.code == "wrong-encoding"


@pytest.mark.parametrize(
    ("content", "code", "sentence"),
    [
        (b"", "empty-file", "empty"),
        (b" \n\r\n", "empty-file", "empty"),
        (b"\xef\xbb\xbf", "empty-file", "empty"),
        (b"txn_id,timestamp,amt,currency,description\n", "missing-column", "'amount'.*'amt'"),
        (
            b"txn_id,timestamp,amount,currency,description,amount\n",
            "duplicate-column",
            "'amount' 2 times",
        ),
        ((HEADER + GOOD).encode("utf-16-le"), "wrong-encoding", "UTF-16"),
        (b"\xfc\xfd\n\xfc", "wrong-encoding", "No line"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(content: bytes, code: str, sentence: str) -> None:
    with pytest.raises(SourceUnreadable, match=sentence) as caught:
        parse(content)
    assert caught.value.code == code


def test_a_utf_16_file_is_refused_where_the_source_says_utf_8() -> None:
    with pytest.raises(SourceUnreadable) as caught:
        parse((HEADER + GOOD).encode("utf-16"), patched(BANK_CSV, {"csv": {"encoding": "utf-8"}}))
    assert caught.value.code == "wrong-encoding"


def test_a_header_without_records_is_a_day_without_movement() -> None:
    assert parse(HEADER).lines == 0


def test_the_header_is_found_behind_a_preamble() -> None:
    config = patched(BANK_CSV, {"csv": {"find_header": True}})
    read = parse("My Bank\nAccount,1\n\n" + HEADER + GOOD, config)
    assert read.frame["line_no"].to_list() == [5]
    with pytest.raises(SourceUnreadable, match="is a header with the columns"):
        parse("My Bank\n" + GOOD, config)


def test_known_preambles_are_skipped() -> None:
    config = patched(BANK_CSV, {"csv": {"skip_lines": 2}})
    assert ids(parse("x,y\nz\n" + HEADER + GOOD, config)) == ["T1"]


def test_columns_by_position_need_no_header() -> None:
    columns: dict[str, Any] = {"txn_id": 1, "timestamp": 2, "amount": 3, "currency": 4}
    config = patched(
        BANK_CSV, {"columns": columns | {"description": None}, "csv": {"has_header": False}}
    )
    read = parse("T1,2025-07-13,1,EUR\nT2,bad\nT3,2025-07-13,1,EUR\n", config)
    assert ids(read) == ["T1", "T3"]
    assert reasons(read) == {2: "2 columns where 4 are expected"}
    with pytest.raises(SourceUnreadable, match="no column 4"):
        parse("a,b,c\n", config)


def test_a_file_is_read_with_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "bank.csv"
    path.write_text(HEADER + GOOD)
    read = CSVReader(BANK_CSV).read(path)
    assert read.sha256 == sha256((HEADER + GOOD).encode()).hexdigest()
    assert read.size_bytes == len(HEADER + GOOD)

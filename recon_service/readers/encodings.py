"""Turns the bytes of a file into lines of text, and knows where each line stood."""

import codecs
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.config import CsvFormat
from recon_service.readers.errors import SourceUnreadable

Ints = npt.NDArray[np.int64]

_REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True)
class Lines:
    """Physical lines without their ends; `offset` counts bytes in the file.

    `undecodable` are the positions of lines with bytes that the encoding does not have.
    """

    text: pl.Series
    offset: Ints
    undecodable: dict[int, str]
    encoding: str


def decoded_lines(content: bytes, format_: CsvFormat) -> Lines:
    """Split a file's content into lines of text.

    Raises SourceUnreadable `wrong-encoding` when no line can be decoded.
    """
    encoding, skip = _encoding(content, format_)
    if encoding == "utf-16":
        return _utf_16_lines(content)
    body = content[skip:]
    if body[:4096].count(0) > len(body[:4096]) // 4:
        raise SourceUnreadable(
            "wrong-encoding", f"The file is not {encoding}: it looks like UTF-16."
        )
    newline = b"\n" if b"\n" in body or b"\r" not in body else b"\r"
    offset = _starts(np.frombuffer(body, np.uint8), newline[0]) + skip
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        return _line_by_line(body.split(newline), offset, encoding)
    return Lines(_split(text, newline.decode()), offset, {}, encoding)


def _encoding(content: bytes, format_: CsvFormat) -> tuple[str, int]:
    """Return the encoding and the length of its byte order mark in this file."""
    marks = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    found = next((mark for mark in marks if content.startswith(mark)), None)
    if format_.encoding == "auto":
        if found is not None:
            return marks[found], len(found)
        if format_.fallback_encoding is None or _is_utf_8(content):
            return "utf-8", 0
        return format_.fallback_encoding, 0
    if format_.encoding == "utf-16":
        return "utf-16", 2
    if found is not None and marks[found] == "utf-16":
        raise SourceUnreadable(
            "wrong-encoding", f"The file is UTF-16, the source says {format_.encoding}."
        )
    is_utf_8 = format_.encoding in {"utf-8", "utf-8-sig"}
    return ("utf-8", 3 if found else 0) if is_utf_8 else (format_.encoding, 0)


def _is_utf_8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _utf_16_lines(content: bytes) -> Lines:
    """Decode UTF-16, little-endian unless the byte order mark says otherwise."""
    is_big = content.startswith(codecs.BOM_UTF16_BE)
    skip = 2 if is_big or content.startswith(codecs.BOM_UTF16_LE) else 0
    body = content[skip:]
    try:
        text = body.decode("utf-16-be" if is_big else "utf-16-le")
    except UnicodeDecodeError as error:
        raise SourceUnreadable("wrong-encoding", "The file is not valid UTF-16.") from error
    units = np.frombuffer(body, ">u2" if is_big else "<u2")
    newline = "\n" if "\n" in text or "\r" not in text else "\r"
    return Lines(_split(text, newline), _starts(units, ord(newline)) * 2 + skip, {}, "utf-16")


def _starts(units: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], newline: int) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(units == newline) + 1])


def _split(text: str, newline: str) -> pl.Series:
    return _without_return(pl.Series("text", [text]).str.split(newline).explode())


def _without_return(lines: pl.Series) -> pl.Series:
    return lines.str.strip_suffix("\r")


def _line_by_line(raw: list[bytes], offset: Ints, encoding: str) -> Lines:
    """Decode line by line, so that one bad line does not cost the others."""
    texts: list[str] = []
    undecodable: dict[int, str] = {}
    for place, line in enumerate(raw):
        try:
            texts.append(line.decode(encoding))
        except UnicodeDecodeError as error:
            byte = line[error.start]
            undecodable[place] = (
                f"byte 0x{byte:02x} at position {error.start + 1} is not valid {encoding}"
            )
            texts.append(line.decode(encoding, errors="replace"))
    filled = sum(1 for line in raw if line.strip())
    if len(undecodable) >= filled:
        raise SourceUnreadable("wrong-encoding", f"No line of the file is valid {encoding}.")
    return Lines(
        _without_return(pl.Series("text", texts, pl.String)), offset, undecodable, encoding
    )

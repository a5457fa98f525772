"""Writes a frame into a table by binary COPY: blocks are made while PostgreSQL takes those before.

A block is put together by columns. A row is the number of its fields, then each field's length (-1
for null) and its bytes; see https://www.postgresql.org/docs/current/sql-copy.html.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import asyncpg
import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import types
from sqlalchemy.dialects.postgresql import JSONB

from recon_service.tables import SCHEMA, metadata

BLOCK_ROWS = 25_000
_MESSAGE_BYTES = 256 * 1024
_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
# PostgreSQL counts days and microseconds from 2000-01-01.
_EPOCH_DAYS = 10_957
_EPOCH_MICROS = _EPOCH_DAYS * 86_400_000_000
_UUID_BYTES = 16
_WORD_BYTES = 8
_JSONB_VERSION = "\x01"

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A type whose values have `width` bytes, and how they are written end to end."""

    width: int
    written: Callable[[pl.Series], Bytes]


@dataclass(frozen=True, slots=True)
class _Texts:
    """A type that is written as text: what of each value, how all of it, and how long each is.

    `width` is 0 where that differs.
    """

    text: Callable[[pl.Expr], pl.Expr] = lambda value: value
    written: Callable[[str], bytes] = str.encode
    length: Callable[[pl.Expr], pl.Expr] = lambda value: value.str.len_bytes()
    width: int = 0


_Kind = _Numbers | _Texts


async def copy_rows(connection: asyncpg.Connection, table: str, rows: pl.DataFrame) -> None:
    """Append rows to a table of the schema `recon`; the frame's columns are the table's."""
    if rows.is_empty():
        return
    kinds = {
        column.name: _kind_of(table, column.name)
        for column in rows
        if column.null_count() < rows.height
    }
    # Fields of one width stand first, side by side, and are written together.
    names = sorted(kinds, key=lambda name: (kinds[name].width == 0, rows[name].null_count() > 0))
    await connection.copy_to_table(
        table,
        source=_blocks(rows.select(names), [kinds[name] for name in names]),
        columns=names,
        schema_name=SCHEMA,
        format="binary",
    )


async def _blocks(rows: pl.DataFrame, kinds: list[_Kind]) -> AsyncIterator[bytes]:
    """Yield the rows as COPY reads them, in small pieces, one block ahead of its reader."""
    loop = asyncio.get_running_loop()
    yield _BEGIN
    with ThreadPoolExecutor(1, "copy") as thread:
        ahead = None
        for part in rows.iter_slices(BLOCK_ROWS):
            following = loop.run_in_executor(thread, _block, part, kinds)
            if ahead is not None:
                for piece in _pieces(await ahead):
                    yield piece
            ahead = following
        if ahead is not None:
            for piece in _pieces(await ahead):
                yield piece
    yield _END


def _pieces(block: bytes) -> Iterator[bytes]:
    """Cut a block into messages that PostgreSQL reads one by one, and that fit into a cache."""
    for start in range(0, len(block), _MESSAGE_BYTES):
        yield block[start : start + _MESSAGE_BYTES]


def _block(rows: pl.DataFrame, kinds: list[_Kind]) -> bytes:
    """Return rows, at least one, as fields with their lengths.

    Rows with all their numbers, nearly all of most tables, are put together by themselves: most
    of their fields lie at the same place in each.
    """
    groups = [(where, _parts(part, kinds)) for where, part in _in_two(rows, kinds)]
    sizes = np.empty(rows.height, np.int64)
    for where, parts in groups:
        sizes[where] = np.sum([part.lengths for part in parts], axis=0)
    place = np.cumsum(sizes) - sizes
    whole = np.empty(int(sizes.sum()), np.uint8)
    for where, parts in groups:
        _weave(whole, place[where], parts)
    return whole.tobytes()


def _in_two(rows: pl.DataFrame, kinds: list[_Kind]) -> list[tuple[Ints, pl.DataFrame]]:
    """Return the places of rows without a null in a field of one width, and those of the others."""
    fixed = [column for column, kind in zip(rows, kinds, strict=True) if kind.width]
    nulls = [column.is_null().to_numpy() for column in fixed if column.null_count()]
    lacks = np.any(nulls, axis=0) if nulls else np.zeros(rows.height, np.bool_)
    if lacks.all() or not lacks.any():
        return [(np.arange(rows.height), rows)]
    places = np.flatnonzero(~lacks), np.flatnonzero(lacks)
    return [(where, rows[where]) for where in places]


def _parts(rows: pl.DataFrame, kinds: list[_Kind]) -> list["_Part"]:
    count = rows.height
    parts: list[_Part] = []
    fixed = [np.tile(_raw(np.array([len(kinds)]), ">i2"), (count, 1))]
    for data, lengths in _fields(rows, kinds):
        fixed.append(_raw(lengths, ">i4").reshape(count, -1))
        if (lengths == lengths[0]).all():
            fixed.append(data.reshape(count, -1))
        else:
            parts += [_Part.fixed(fixed), _Part(data, np.maximum(lengths, 0))]
            fixed = []
    return [*parts, _Part.fixed(fixed)] if fixed else parts


def _fields(rows: pl.DataFrame, kinds: list[_Kind]) -> Iterator[tuple[Bytes, Ints]]:
    """Yield of each column the bytes, end to end, and the length of each field; -1 for null."""
    told = [
        (name, kind)
        for name, kind in zip(rows.columns, kinds, strict=True)
        if isinstance(kind, _Texts)
    ]
    texts = rows.select(kind.text(pl.col(name)).str.join("").alias(name) for name, kind in told)
    lengths = rows.select(
        kind.length(pl.col(name)).cast(pl.Int64).fill_null(-1).alias(name)
        for name, kind in told
        if not kind.width
    )
    for values, kind in zip(rows, kinds, strict=True):
        if kind.width:
            length = np.where(values.is_null().to_numpy(), -1, kind.width)
        else:
            length = lengths[values.name].to_numpy()
        if isinstance(kind, _Numbers):
            yield kind.written(values.drop_nulls()), length
        else:
            yield np.frombuffer(kind.written(texts[values.name].item() or ""), np.uint8), length


@dataclass(frozen=True, slots=True)
class _Part:
    """Neighbouring fields of all rows: `lengths` bytes of each, one row per line if all alike."""

    data: Bytes
    lengths: Ints

    @classmethod
    def fixed(cls, columns: list[Bytes]) -> "_Part":
        rows = np.concatenate(columns, axis=1)
        return cls(rows, np.full(rows.shape[0], rows.shape[1], np.int64))


def _weave(whole: Bytes, place: Ints, parts: list[_Part]) -> None:
    """Write the parts of each row side by side, from its place on."""
    for part in parts:
        if part.data.ndim == 1:
            before = np.cumsum(part.lengths) - part.lengths
            where = np.repeat(place - before, part.lengths)
            where += np.arange(len(part.data))
            whole[where] = part.data
        else:
            _put(whole, place, part.data)
        place = place + part.lengths


def _put(whole: Bytes, place: Ints, rows: Bytes) -> None:
    """Write a row of bytes to each place, eight at a time: an index of each byte costs thrice."""
    width = rows.shape[1]
    words = width // _WORD_BYTES
    into = np.ndarray((len(whole) - _WORD_BYTES + 1,), "<u8", whole.data, strides=(1,))
    eights = np.ascontiguousarray(rows[:, : words * _WORD_BYTES]).view("<u8")
    for word in range(words):
        into[place + word * _WORD_BYTES] = eights[:, word]
    for byte in range(words * _WORD_BYTES, width):
        whole[place + byte] = rows[:, byte]


def _number(dtype: str) -> _Numbers:
    return _Numbers(np.dtype(dtype).itemsize, lambda values: _raw(values.to_numpy(), dtype))


def _counted(dtype: str, since: int) -> _Numbers:
    """Return how an instant or a day is written, as a number counted from `since`."""
    width = np.dtype(dtype).itemsize
    return _Numbers(width, lambda values: _raw(values.to_physical().to_numpy() - since, dtype))


def _raw(values: npt.NDArray[Any], dtype: str) -> Bytes:
    return np.ascontiguousarray(values.astype(dtype)).view(np.uint8)


_KINDS: dict[type[types.TypeEngine[Any]], _Kind] = {
    types.SmallInteger: _number(">i2"),
    types.BigInteger: _number(">i8"),
    types.Integer: _number(">i4"),
    types.Double: _number(">f8"),
    types.Boolean: _number("u1"),
    types.Date: _counted(">i4", _EPOCH_DAYS),
    types.DateTime: _counted(">i8", _EPOCH_MICROS),
    types.Uuid: _Texts(
        lambda value: value.str.replace_all("-", "", literal=True),
        written=bytes.fromhex,
        width=_UUID_BYTES,
    ),
    types.Text: _Texts(),
    JSONB: _Texts(
        lambda value: pl.lit(_JSONB_VERSION) + value,
        length=lambda value: value.str.len_bytes() + len(_JSONB_VERSION),
    ),
    # Given in hexadecimal digits.
    types.LargeBinary: _Texts(
        written=bytes.fromhex, length=lambda value: value.str.len_bytes() // 2
    ),
}


def _kind_of(table: str, column: str) -> _Kind:
    wanted = metadata.tables[f"{SCHEMA}.{table}"].c[column].type
    return next(kind for type_, kind in _KINDS.items() if isinstance(wanted, type_))

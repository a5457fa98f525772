"""Writes a frame into a table by binary COPY: blocks are made while PostgreSQL takes those before.

A block is put together by columns. A row is the number of its fields, then each field's length (-1
for null) and its bytes; see https://www.postgresql.org/docs/current/sql-copy.html.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
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
_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
# PostgreSQL counts days and microseconds from 2000-01-01.
_EPOCH_DAYS = 10_957
_EPOCH_MICROS = _EPOCH_DAYS * 86_400_000_000
_UUID_BYTES = 16
_JSONB_VERSION = "\x01"

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a type is written.

    `written` returns the bytes of values that are not null, end to end. Each has `width` bytes;
    where that is 0, `lengths` tells how many.
    """

    written: Callable[[pl.Series], bytes | Bytes]
    width: int = 0
    lengths: Callable[[pl.Series], pl.Series] = lambda values: values.str.len_bytes()


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
    """Yield the rows as COPY reads them, one block ahead of its reader."""
    loop = asyncio.get_running_loop()
    yield _BEGIN
    with ThreadPoolExecutor(1, "copy") as thread:
        ahead = None
        for part in rows.iter_slices(BLOCK_ROWS):
            following = loop.run_in_executor(thread, _block, part, kinds)
            if ahead is not None:
                yield await ahead
            ahead = following
        if ahead is not None:
            yield await ahead
    yield _END


def _block(rows: pl.DataFrame, kinds: list[_Kind]) -> bytes:
    """Return rows, at least one, as fields with their lengths."""
    count = rows.height
    parts: list[tuple[Bytes, Ints]] = []
    fixed = [np.tile(_raw(np.array([len(kinds)]), ">i2"), (count, 1))]
    for values, kind in zip(rows, kinds, strict=True):
        lengths = _lengths(values, kind)
        data = np.frombuffer(kind.written(values.drop_nulls()), np.uint8)
        fixed.append(_raw(lengths, ">i4").reshape(count, -1))
        if lengths[0] >= 0 and (lengths == lengths[0]).all():
            fixed.append(data.reshape(count, -1))
        else:
            parts += [_side_by_side(fixed), (data, np.maximum(lengths, 0))]
            fixed = [np.empty((count, 0), np.uint8)]
    return _woven([*parts, _side_by_side(fixed)])


def _side_by_side(columns: list[Bytes]) -> tuple[Bytes, Ints]:
    whole = np.concatenate(columns, axis=1)
    return whole.reshape(-1), np.full(whole.shape[0], whole.shape[1], np.int64)


def _woven(parts: list[tuple[Bytes, Ints]]) -> bytes:
    """Return the rows of each part, so many bytes of its data per row, joined row by row."""
    if len(parts) == 1:
        return parts[0][0].tobytes()
    sizes = np.sum([lengths for _, lengths in parts], axis=0)
    place = np.cumsum(sizes) - sizes
    whole = np.empty(int(sizes.sum()), np.uint8)
    for data, lengths in parts:
        before = np.cumsum(lengths) - lengths
        whole[np.repeat(place - before, lengths) + np.arange(len(data))] = data
        place += lengths
    return whole.tobytes()


def _lengths(values: pl.Series, kind: _Kind) -> Ints:
    """Return the length of each field; -1 for null."""
    if kind.width:
        lengths = np.where(values.is_null().to_numpy(), -1, kind.width)
    else:
        lengths = kind.lengths(values).cast(pl.Int64).fill_null(-1).to_numpy()
    whole: Ints = lengths.astype(np.int64)
    return whole


def _number(dtype: str) -> _Kind:
    return _Kind(lambda values: _raw(values.to_numpy(), dtype), np.dtype(dtype).itemsize)


def _counted(dtype: str, since: int) -> _Kind:
    """Return how an instant or a day is written, as a number counted from `since`."""
    width = np.dtype(dtype).itemsize
    return _Kind(lambda values: _raw(values.to_physical().to_numpy() - since, dtype), width)


def _raw(values: npt.NDArray[Any], dtype: str) -> Bytes:
    return np.ascontiguousarray(values.astype(dtype)).view(np.uint8)


def _text(values: pl.Series) -> str:
    text: str = values.str.join("").item()
    return text


def _uuids(values: pl.Series) -> bytes:
    return bytes.fromhex(_text(values.str.replace_all("-", "", literal=True)))


_KINDS: dict[type[types.TypeEngine[Any]], _Kind] = {
    types.SmallInteger: _number(">i2"),
    types.BigInteger: _number(">i8"),
    types.Integer: _number(">i4"),
    types.Double: _number(">f8"),
    types.Boolean: _number("u1"),
    types.Date: _counted(">i4", _EPOCH_DAYS),
    types.DateTime: _counted(">i8", _EPOCH_MICROS),
    types.Uuid: _Kind(_uuids, _UUID_BYTES),
    types.Text: _Kind(lambda texts: _text(texts).encode()),
    JSONB: _Kind(
        lambda documents: _text(_JSONB_VERSION + documents).encode(),
        lengths=lambda documents: documents.str.len_bytes() + len(_JSONB_VERSION),
    ),
    # Given in hexadecimal digits.
    types.LargeBinary: _Kind(
        lambda digits: bytes.fromhex(_text(digits)),
        lengths=lambda digits: digits.str.len_bytes() // 2,
    ),
}


def _kind_of(table: str, column: str) -> _Kind:
    wanted = metadata.tables[f"{SCHEMA}.{table}"].c[column].type
    return next(kind for type_, kind in _KINDS.items() if isinstance(wanted, type_))

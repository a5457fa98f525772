"""Reads the body of a batch: bytes in, rows of plain values out, in whatever process is free.

Checking thousands of transfers and hashing their keys takes as long as deciding and writing them.
In a process of its own it takes that time from another processor core; what comes back is packed
by `marshal`, which the interpreter reads many times as fast as it would make the same models.
"""

import marshal
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from asyncpg.pgproto import pgproto
from pydantic import TypeAdapter

from ledger_service.api.bodies import BATCH_ITEMS_MAX, BatchItem, BatchMode
from ledger_service.api.keys import batch_key, item_key
from ledger_service.domain.commands import Asked, Condition, Key, Transfer
from shared.ids import new_id
from shared.lean import read_json
from shared.money import Currencies

SLICE_ITEMS = 50
"""Items that are checked, decided or rendered before other requests get their turn."""
_QUERIES: dict[bytes, BatchMode] = {
    b"": "independent",
    b"mode=atomic": "atomic",
    b"mode=independent": "independent",
}


class ReadBatch(NamedTuple):
    """A batch that has the declared form: its rows in packed slices, and the key of the whole."""

    mode: BatchMode
    key: Key | None
    slices: list[bytes]


def read_batch(
    body: bytes, query: bytes, key: str | None, *, is_json: bool
) -> tuple[Any, ...] | None:
    """Return the fields of a ReadBatch; None for whatever needs a closer look.

    `body` is JSON, or NDJSON with the mode in `query`; `key` is the batch's Idempotency-Key.
    """
    try:
        mode, items = _mode_and_items(body, query, is_json=is_json)
        if not 1 <= len(items) <= BATCH_ITEMS_MAX:
            return None
        return tuple(pack_batch(mode, _items().validate_python(items), key))
    except ValueError:
        return None


def pack_batch(mode: BatchMode, items: Sequence[BatchItem], key: str | None) -> ReadBatch:
    """Return checked items as a batch, each with its own key or one made of the batch's."""
    rows = [_row(item, item_key(key, place, item)) for place, item in enumerate(items)]
    slices = [
        marshal.dumps(rows[start : start + SLICE_ITEMS])
        for start in range(0, len(rows), SLICE_ITEMS)
    ]
    return ReadBatch(mode, batch_key(key, mode, items), slices)


def first_source(batch: ReadBatch) -> UUID:
    """Return the account that the first transfer of the batch debits."""
    return UUID(bytes=marshal.loads(batch.slices[0])[0][0])  # noqa: S302 - we made it ourselves


def asked_of(packed: bytes, currencies: Currencies) -> list[Asked]:
    """Return the commands of one slice, each under a new transaction id."""
    known = currencies.scales
    uuid = pgproto.UUID
    return [
        Asked(
            Transfer(
                new_id(),
                uuid(source),
                uuid(destination),
                amount,
                currency,
                currency in known,
                reference,
                None if effective_at is None else datetime.fromisoformat(effective_at),
                metadata,
                tuple(Condition(uuid(one), *rest) for one, *rest in conditions)
                if conditions
                else (),
            ),
            None if key_hash is None else Key(key_hash, fingerprint),
        )
        for (
            source,
            destination,
            amount,
            currency,
            reference,
            effective_at,
            metadata,
            conditions,
            key_hash,
            fingerprint,
        ) in marshal.loads(packed)  # noqa: S302 - we made it ourselves
    ]


def _row(item: BatchItem, key: Key | None) -> tuple[Any, ...]:
    return (
        item.source_account_id.bytes,
        item.destination_account_id.bytes,
        item.amount,
        item.currency,
        item.reference,
        None if item.effective_at is None else item.effective_at.isoformat(),
        item.metadata,
        [(one.account_id.bytes, one.expected_position, one.min_balance_after) for one in conditions]
        if (conditions := item.conditions)
        else None,
        None if key is None else key.key_hash,
        None if key is None else key.fingerprint,
    )


@cache
def _items() -> TypeAdapter[list[BatchItem]]:
    return TypeAdapter(list[BatchItem])


def _mode_and_items(body: bytes, query: bytes, *, is_json: bool) -> tuple[BatchMode, list[Any]]:
    """Return mode and items; raise ValueError where the form is not the plain one."""
    if not is_json:
        if query not in _QUERIES:
            raise ValueError("a query that says more than the mode")
        return _QUERIES[query], [read_json(line) for line in body.splitlines() if line.strip()]
    read = read_json(body)
    if query or not isinstance(read, dict) or not read.keys() <= {"mode", "transfers"}:
        raise ValueError("not a batch")
    mode, items = read.get("mode", "independent"), read.get("transfers")
    if mode not in ("atomic", "independent") or not isinstance(items, list):
        raise ValueError("not a batch")
    return mode, items

"""Which part of the history the ledger's lists show, as query parameters."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from ledger_service.repositories.pages import Key
from ledger_service.repositories.rows import Range
from shared.errors import InvalidCursor
from shared.pagination import decode_cursor, encode_cursor
from shared.text import Instant, SafeStr

_Seq = Annotated[int | None, Query(ge=0, lt=2**63)]


async def history_range(
    effective_from: Annotated[Instant | None, Query(description="inclusive")] = None,
    effective_to: Annotated[Instant | None, Query(description="inclusive")] = None,
    after_seq: Annotated[_Seq, Query(description="exclusive")] = None,
    up_to_seq: Annotated[_Seq, Query(description="inclusive")] = None,
    reference: Annotated[SafeStr | None, Query(max_length=255)] = None,
) -> Range:
    """Return the part of the history that the query parameters name."""
    return Range(
        effective_from=effective_from,
        effective_to=effective_to,
        after_seq=after_seq,
        up_to_seq=up_to_seq,
        reference=reference,
    )


HistoryRange = Annotated[Range, Depends(history_range)]
AccountFilter = Annotated[UUID | None, Query(description="only this account's")]


def decode_key(kind: str, wanted: Range, cursor: str | None, *types: type) -> Key | None:
    """Return the key after which a page of `wanted` goes on; raise InvalidCursor.

    A page in the order of the effective time has that before the key `types` of the list.
    """
    if not wanted.pages_by_effective_time:
        return decode_cursor(kind, cursor, *types)
    key = decode_cursor(f"{kind} by time", cursor, str, *types)
    if key is None:
        return None
    try:
        effective_at = datetime.fromisoformat(key[0])
    except ValueError as error:
        raise InvalidCursor("the cursor is not one of ours; begin with the first page") from error
    if effective_at.tzinfo is None:
        raise InvalidCursor("the cursor is not one of ours; begin with the first page")
    return (effective_at, *key[1:])


def encode_key(kind: str, wanted: Range, key: Key | None) -> str | None:
    """Return the cursor of the page after `key`, None for none."""
    if key is None:
        return None
    if not wanted.pages_by_effective_time:
        return encode_cursor(kind, *key)
    return encode_cursor(f"{kind} by time", key[0].isoformat(), *key[1:])

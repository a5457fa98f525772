"""What all lists share: bounds of the history, cursors, pages of rendered rows, streams."""

from collections.abc import Callable
from datetime import UTC
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.repositories.rows import Range
from shared.pagination import CURSOR_CHARS_MAX, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX
from shared.streaming import CSV, NDJSON, offered_stream, open_stream
from shared.text import Instant, SafeStr

Limit = Annotated[int, Query(ge=1, le=PAGE_LIMIT_MAX, description="rows on a page")]
Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_CHARS_MAX, description="`next_cursor` of the page before"),
]
Accept = Annotated[
    str | None,
    Header(description=f"`{CSV}` or `{NDJSON}` streams the whole range instead of a page"),
]
_Seq = Annotated[int | None, Query(ge=0, lt=2**63)]
LIMIT_DEFAULT = PAGE_LIMIT_DEFAULT
STREAM_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {CSV: {"schema": {"type": "string"}}, NDJSON: {"schema": {"type": "string"}}},
        "description": "a page as JSON, or the whole range as a stream",
    }
}


async def history_range(
    effective_from: Annotated[Instant | None, Query(description="inclusive")] = None,
    effective_to: Annotated[Instant | None, Query(description="inclusive")] = None,
    after_seq: Annotated[_Seq, Query(description="exclusive")] = None,
    up_to_seq: Annotated[_Seq, Query(description="inclusive")] = None,
    reference: Annotated[SafeStr | None, Query(max_length=255)] = None,
) -> Range:
    """Return the part of the history that the query parameters name."""
    return Range(
        effective_from=effective_from and effective_from.astimezone(UTC),
        effective_to=effective_to and effective_to.astimezone(UTC),
        after_seq=after_seq,
        up_to_seq=up_to_seq,
        reference=reference,
    )


HistoryRange = Annotated[Range, Depends(history_range)]
AccountFilter = Annotated[UUID | None, Query(description="only this account's")]


def page_of_documents(
    request: Request, name: str, documents: list[str], next_cursor: str | None
) -> Response:
    """Return a page whose rows PostgreSQL rendered as JSON texts."""
    link = "null" if next_cursor is None else f'"{next_link(request, next_cursor)}"'
    cursor = "null" if next_cursor is None else f'"{next_cursor}"'
    rows = ",".join(documents)
    return Response(
        f'{{"{name}":[{rows}],"next_cursor":{cursor},"next":{link}}}',
        media_type="application/json",
    )


def next_link(request: Request, cursor: str) -> str:
    """Return the path and query of the page after this one."""
    url = request.url.include_query_params(cursor=cursor)
    return f"{url.path}?{url.query}"


async def stream_or_none(
    database: AsyncEngine, accept: str | None, statement_for: Callable[[str], Select[Any]]
) -> StreamingResponse | None:
    """Return the stream that `accept` asks for; `statement_for(media_type)` says of what."""
    media_type = offered_stream(accept)
    if media_type is None:
        return None
    return await open_stream(database, statement_for(media_type), media_type)

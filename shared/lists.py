"""What all lists have in common over HTTP: parameters, pages of rendered rows, links, streams."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Header, Query, Request, Response
from sqlalchemy import Select

from shared.pagination import CURSOR_CHARS_MAX, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX
from shared.streaming import CSV, NDJSON, StreamedResponse, Streams, offered_stream

LIMIT_DEFAULT = PAGE_LIMIT_DEFAULT
Limit = Annotated[int, Query(ge=1, le=PAGE_LIMIT_MAX, description="rows on a page")]
Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_CHARS_MAX, description="`next_cursor` of the page before"),
]
Accept = Annotated[
    str | None,
    Header(description=f"`{CSV}` or `{NDJSON}` streams the whole list instead of a page"),
]
STREAM_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {CSV: {"schema": {"type": "string"}}, NDJSON: {"schema": {"type": "string"}}},
        "description": "a page as JSON, or the whole list as a stream",
    }
}


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
    streams: Streams,
    accept: str | None,
    statement_for: Callable[[str], Select[Any]],
    *more: str,
) -> StreamedResponse | None:
    """Return the stream that `accept` asks for; `statement_for(media_type)` says of what.

    `more` are the media types that the list offers besides CSV and NDJSON.
    """
    media_type = offered_stream(accept, *more)
    if media_type is None:
        return None
    return await streams.response(statement_for(media_type), media_type)

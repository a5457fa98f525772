"""What all lists share: query parameters, pages and links."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header, Query, Request, Response

from recon_service.api.bodies import DATE_EXAMPLE, DATE_MAX, DATE_MIN, SOURCE_PATTERN
from shared.pagination import CURSOR_CHARS_MAX, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX
from shared.streaming import CSV, NDJSON

LIMIT_DEFAULT = PAGE_LIMIT_DEFAULT
Limit = Annotated[int, Query(ge=1, le=PAGE_LIMIT_MAX, description="rows on a page")]
Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_CHARS_MAX, description="`next_cursor` of the page before"),
]
Accept = Annotated[
    str | None, Header(description=f"`{CSV}` or `{NDJSON}` streams the whole instead of a page")
]
SourceQuery = Annotated[
    str | None,
    Query(pattern=SOURCE_PATTERN, openapi_examples={"shipped": {"value": "bank_csv"}}),
]
DateQuery = Annotated[
    date | None,
    Query(
        ge=DATE_MIN,
        le=DATE_MAX,
        description="the business date",
        openapi_examples={"demo": {"value": DATE_EXAMPLE}},
    ),
]
AttemptQuery = Annotated[
    int | None,
    Query(ge=1, lt=2**31, description="that attempt; left out: the one in force"),
]
RunQuery = Annotated[UUID | None, Query(description="only this run's, in force or not")]
STREAM_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {CSV: {"schema": {"type": "string"}}, NDJSON: {"schema": {"type": "string"}}},
        "description": "a page as JSON, or the whole as a stream",
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

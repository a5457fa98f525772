"""Which runs recon's lists show, as query parameters and in cursors."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from recon_service.api.bodies import DATE_EXAMPLE, DATE_MAX, DATE_MIN, SOURCE_PATTERN
from shared.errors import InvalidCursor
from shared.text import Day

SourceQuery = Annotated[
    str | None,
    Query(pattern=SOURCE_PATTERN, openapi_examples={"shipped": {"value": "bank_csv"}}),
]
DateQuery = Annotated[
    Day | None,
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


def run_id_of(text: str) -> UUID:
    """Return the id that a cursor holds; raise InvalidCursor if it is none."""
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidCursor("the cursor cannot be read; begin with the first page") from error

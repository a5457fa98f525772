"""Routes that read the log: its events and its head."""

from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from ledger_service.api.bodies import EventPage, HeadOut
from ledger_service.api.lists import AccountFilter, HistoryRange
from ledger_service.dependencies import Held
from ledger_service.repositories.accounts import head_now
from ledger_service.repositories.events import events_page, events_stream
from ledger_service.tables import MAIN_LEDGER_ID
from shared.errors import InvalidCursor
from shared.lists import (
    LIMIT_DEFAULT,
    STREAM_RESPONSES,
    Accept,
    Cursor,
    Limit,
    page_of_documents,
    stream_or_none,
)
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import problem_responses

router = APIRouter(prefix="/ledger", tags=["events"])


@router.get(
    "/events/",
    summary="List events",
    response_model=EventPage,
    responses=STREAM_RESPONSES | problem_responses(InvalidCursor),
)
async def list_events(
    request: Request,
    held: Held,
    wanted: HistoryRange,
    account_id: AccountFilter = None,
    accept: Accept = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """Every debit and credit, of all accounts or of one, in the order of the history.

    `seq` has no gaps and its order is the order of commits: a reader that asks for
    `after_seq=<last seen>` never misses an event.
    """
    last_seen = decode_cursor("events", cursor, int, int)
    wanted = replace(wanted, account_id=account_id)
    statement_for = partial(events_stream, MAIN_LEDGER_ID, wanted)
    if stream := await stream_or_none(held.streams, accept, statement_for):
        return stream
    documents, last = await events_page(
        held.database,
        MAIN_LEDGER_ID,
        wanted,
        after=last_seen,
        limit=limit,
    )
    following = None if last is None else encode_cursor("events", *last)
    return page_of_documents(request, "events", documents, following)


@router.get(
    "/head",
    summary="Get the end of the history",
    response_model=HeadOut,
    responses=problem_responses(),
)
async def get_head(held: Held) -> dict[str, Any]:
    """The last entry's `seq`: a reader that stays at or below it sees one fixed history."""
    head = await head_now(held.database, MAIN_LEDGER_ID)
    return {"ledger": head.name, "seq": head.last_seq, "recorded_at": head.last_recorded_at}

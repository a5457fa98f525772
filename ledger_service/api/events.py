"""Routes that read the log: its events and its head."""

from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from ledger_service.api.bodies import EventPage, HeadOut
from ledger_service.api.follow import SSE_CONTENT, Follow, LastEventId, followed
from ledger_service.api.lists import AccountFilter, HistoryRange, decode_key, encode_key
from ledger_service.dependencies import Held
from ledger_service.repositories.accounts import head_now
from ledger_service.repositories.events import events_page, events_stream
from shared.errors import InvalidCursor, QueueFull
from shared.lists import (
    LIMIT_DEFAULT,
    STREAM_RESPONSES,
    Accept,
    Cursor,
    Limit,
    page_of_documents,
    stream_or_none,
)
from shared.problems import problem_responses
from shared.streaming import TSV

router = APIRouter(prefix="/ledger", tags=["events"])
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": STREAM_RESPONSES[200]["content"]
        | {TSV: {"schema": {"type": "string"}}}
        | SSE_CONTENT,
        "description": "a page as JSON, the whole list as a stream, or the feed",
    },
    204: {"description": "`follow` again after its end at `up_to_seq`: nothing will come"},
    **problem_responses(InvalidCursor, QueueFull),
}


@router.get(
    "/events/",
    summary="List events",
    response_model=EventPage,
    responses=_RESPONSES,
)
async def list_events(
    request: Request,
    held: Held,
    wanted: HistoryRange,
    account_id: AccountFilter = None,
    accept: Accept = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    follow: Follow = False,
    last_event_id: LastEventId = None,
) -> Response:
    """Every debit and credit, of all accounts or of one, in the order of the history.

    `seq` has no gaps and its order is the order of commits: a reader that asks for
    `after_seq=<last seen>` never misses an event. With an effective bound and no account,
    reference or `after_seq`, pages are in the order of (`effective_at`, `seq`, `line`). A page may
    be short though more follow: only the one without `next_cursor` is the last.

    `follow=true` sends what is there and goes on with what is posted, as Server-Sent Events. A
    reader that comes back with the last id it saw as `Last-Event-ID`, as EventSource does by
    itself, misses nothing and sees nothing twice:

        curl -N 'http://127.0.0.1:8000/ledger/events/?follow=true' -H 'Last-Event-ID: 42-1'

    `Accept: text/tab-separated-values` streams what reconciliation needs in a third of the bytes:
    amounts in minor units, instants in microseconds since 1970, texts as JSON.
    """
    wanted = replace(wanted, account_id=account_id)
    if follow:
        return await followed(held.feed, wanted, last_event_id, cursor=cursor)
    after = decode_key("events", wanted, cursor, int, int)
    statement_for = partial(events_stream, held.ledger_id, wanted)
    if stream := await stream_or_none(held.streams, accept, statement_for, TSV):
        return stream
    documents, last = await events_page(
        held.database, held.ledger_id, wanted, after=after, limit=limit
    )
    following = encode_key("events", wanted, last)
    return page_of_documents(request, "events", documents, following)


@router.get(
    "/head",
    summary="Get the end of the history",
    response_model=HeadOut,
    responses=problem_responses(),
)
async def get_head(held: Held) -> dict[str, Any]:
    """The last entry's `seq`: a reader that stays at or below it sees one fixed history."""
    head = await head_now(held.database, held.ledger_id)
    return {"ledger": head.name, "seq": head.last_seq, "recorded_at": head.last_recorded_at}

"""Server-Sent Events: how a follower of the feed says where it stands, and what it is sent."""

import re
from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import Header, Query, Response

from ledger_service.feed import Feed
from ledger_service.repositories.events import FollowedEvent, Position
from ledger_service.repositories.pages import LINE_MAX
from ledger_service.repositories.rows import Range
from shared.errors import InvalidRequest
from shared.streaming import Sink, StreamedResponse

SSE = "text/event-stream"
RETRY_MS = 1_000
_HEARTBEAT = b": nothing new\n\n"
_EVENT_ID = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,5}))?", re.ASCII)
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_EXAMPLE = """retry: 1000

id: 42-1
event: event
data: {"transaction_id":"01980b5c-7001-7b2c-8e3d-0d4f4d1f2a12","seq":42,"line":1,…}

"""
Follow = Annotated[
    bool,
    Query(
        description=f"send what is there and then what comes, as `{SSE}`, whatever `Accept` says; "
        "goes with `account_id`, `after_seq` and `up_to_seq`, at which it ends"
    ),
]
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="with `follow`: the last `id` seen, `<seq>-<line>` or `<seq>`; "
        "wins over `after_seq`",
    ),
]
SSE_CONTENT: dict[str, Any] = {SSE: {"schema": {"type": "string"}, "example": _EXAMPLE}}


async def followed(
    feed: Feed, wanted: Range, last_event_id: str | None, *, cursor: str | None
) -> Response:
    """Return the events after the follower's position as they come; raise InvalidRequest.

    Who comes back after the end gets a 204, which tells an EventSource to stay away.
    """
    if cursor or wanted.effective_from or wanted.effective_to or wanted.reference:
        raise InvalidRequest(
            "`follow` goes with `account_id`, `after_seq` and `up_to_seq`, and no other filter"
        )
    after = _position(last_event_id, wanted.after_seq)
    account_id, up_to_seq = wanted.account_id, wanted.up_to_seq
    if (
        last_event_id
        and up_to_seq is not None
        and await feed.is_over(account_id=account_id, after=after, up_to_seq=up_to_seq)
    ):
        return Response(status_code=204)

    async def produce(sink: Sink) -> None:
        first = f"retry: {RETRY_MS}\n\n".encode()
        pages = feed.follow(account_id=account_id, after=after, up_to_seq=up_to_seq)
        async with aclosing(pages):
            async for page in pages:
                await sink(first + (_messages(page) if page else _HEARTBEAT))
                first = b""

    return StreamedResponse(produce, media_type=SSE, headers=_HEADERS, compressible=False)


def _position(last_event_id: str | None, after_seq: int | None) -> Position:
    if not last_event_id:  # EventSource sends none at first, or an empty one
        return Position(after_seq or 0, LINE_MAX if after_seq else 0)
    found = _EVENT_ID.fullmatch(last_event_id)
    seq, line = (int(found[1]), int(found[2] or LINE_MAX)) if found else (-1, 0)
    if not (0 <= seq < 2**63 and line <= LINE_MAX):
        raise InvalidRequest("Last-Event-ID is `<seq>-<line>` or `<seq>` of an event")
    return Position(seq, line)


def _messages(page: Sequence[FollowedEvent]) -> bytes:
    # A JSON text of PostgreSQL holds no line break, so that it is one line of data.
    return "".join(
        f"id: {event.position.seq}-{event.position.line}\nevent: event\ndata: {event.document}\n\n"
        for event in page
    ).encode()

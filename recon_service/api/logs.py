"""Routes that read decisions, rejected lines and breaks."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from recon_service.api.bodies import LogPath
from recon_service.api.decision_bodies import BreakPage, LogEntryOut, LogPage, RejectedPage
from recon_service.api.lists import AttemptQuery, DateQuery, RunQuery, SourceQuery
from recon_service.dependencies import Held
from recon_service.domain.errors import UnknownLogEntry
from recon_service.repositories import logs
from recon_service.repositories.logs import LogFilter, RunFilter
from shared.errors import InvalidCursor
from shared.lists import LIMIT_DEFAULT, STREAM_RESPONSES, Accept, Cursor, Limit, page_of_documents
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import problem_responses
from shared.streaming import offered_stream

router = APIRouter(prefix="/recon", tags=["decisions"])
State = Literal["open", "suggested", "timing", "outside", "resolved", "withdrawn"]


@router.get(
    "/logs/",
    summary="List decisions",
    response_model=LogPage,
    responses=STREAM_RESPONSES | problem_responses(InvalidCursor),
)
async def list_logs(
    request: Request,
    held: Held,
    source: SourceQuery = None,
    date: DateQuery = None,
    matched: Annotated[bool | None, Query(description="true: decided automatically")] = None,
    decision: Annotated[Literal["auto", "suggested", "unmatched", "netted"] | None, Query()] = None,
    match_type: Annotated[
        Literal["exact", "fuzzy", "group", "netted", "none"] | None, Query()
    ] = None,
    run_id: RunQuery = None,
    attempt: AttemptQuery = None,
    accept: Accept = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """The match log, one row per decided record, of the attempts in force unless told otherwise.

    `matched` is true where the decision is `auto`; suggested rows name their counterpart too. A
    dry run's decisions are shown by its `run_id`.
    """
    after = decode_cursor("logs", cursor, int)
    wanted = LogFilter(RunFilter(source, date, attempt, run_id), matched, decision, match_type)
    if media_type := offered_stream(accept):
        return await held.streams.response(logs.log_stream(wanted, media_type), media_type)
    documents, last = await logs.log_page(
        held.database, wanted, after=after[0] if after else 0, limit=limit
    )
    following = None if last is None else encode_cursor("logs", last)
    return page_of_documents(request, "logs", documents, following)


@router.get(
    "/logs/{log_id}",
    summary="Get a decision",
    response_model=LogEntryOut,
    responses=problem_responses(UnknownLogEntry),
)
async def get_log_entry(log_id: LogPath, held: Held) -> Response:
    """One decision with its evidence, of whatever attempt."""
    document = await logs.find_log_entry(held.database, log_id)
    if document is None:
        raise UnknownLogEntry(f"the match log has no entry {log_id}", log_id=log_id)
    return Response(document, media_type="application/json")


@router.get(
    "/rejected/",
    summary="List lines that could not be read",
    response_model=RejectedPage,
    responses=problem_responses(InvalidCursor),
)
async def list_rejected(
    request: Request,
    held: Held,
    source: SourceQuery = None,
    date: DateQuery = None,
    run_id: RunQuery = None,
    attempt: AttemptQuery = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """Each line with its number and the reason."""
    after = decode_cursor("rejected", cursor, str, int)
    documents, last = await logs.rejected_page(
        held.database, RunFilter(source, date, attempt, run_id), after=after, limit=limit
    )
    following = None if last is None else encode_cursor("rejected", *last)
    return page_of_documents(request, "rejected", documents, following)


@router.get(
    "/breaks/",
    summary="List breaks",
    response_model=BreakPage,
    responses=problem_responses(InvalidCursor),
)
async def list_breaks(
    request: Request,
    held: Held,
    status: Annotated[list[State] | None, Query(max_length=6)] = None,
    side: Annotated[Literal["external", "ledger"] | None, Query()] = None,
    source: SourceQuery = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """Records and ledger items without a counterpart; open and suggested ones if not told.

    `timing` items are too young to be missed, `outside` ones lie beside the days reconciled.
    """
    after = decode_cursor("breaks", cursor, str, str, str)
    documents, last = await logs.break_page(
        held.database,
        states=status or ["open", "suggested"],
        side=side,
        source=source,
        after=after,
        limit=limit,
    )
    following = None if last is None else encode_cursor("breaks", *last)
    return page_of_documents(request, "breaks", documents, following)

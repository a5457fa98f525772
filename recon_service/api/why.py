"""Routes that explain: why a decision was made, and why a record stayed alone."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Response

from recon_service.api.bodies import RECORD_EXAMPLE, LogPath
from recon_service.api.lists import RunQuery
from recon_service.api.why_bodies import WhyOut, WhyUnmatchedOut
from recon_service.dependencies import Held
from recon_service.domain.errors import LedgerUnavailable, UnknownLogEntry, UnknownRecord
from recon_service.explanations.page import CONTENT_SECURITY_POLICY, why_page
from recon_service.explanations.story import explain
from recon_service.readers.ledger_items import LedgerUnreadable
from recon_service.repositories.atomic import plain
from recon_service.repositories.explanations import find_logged
from recon_service.why_unmatched import why_unmatched
from shared.problems import problem_responses
from shared.streaming import preferred

router = APIRouter(prefix="/recon", tags=["decisions"])
HTML, SVG = "text/html", "image/svg+xml"
_TEXT = {"schema": {"type": "string"}}
_SHOWN: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {HTML: _TEXT, SVG: _TEXT},
        "description": "the story as JSON, as a page with its picture, or the picture alone",
    }
}
_HEADERS = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Vary": "Accept"}
RecordPath = Annotated[UUID, Path(openapi_examples={"a record": {"value": RECORD_EXAMPLE}})]


@router.get(
    "/logs/{log_id}/why",
    summary="Explain a decision",
    response_model=WhyOut,
    responses=_SHOWN | problem_responses(UnknownLogEntry),
)
async def why(
    log_id: LogPath,
    held: Held,
    response: Response,
    accept: Annotated[
        str | None,
        Header(description=f"`{HTML}` shows a page, `{SVG}` a picture of how it adds up"),
    ] = None,
) -> Any:
    """What a decision was based on, from the evidence that was stored with it.

    By evidence: each feature's level in words and its bits, the running total, rivals, and the
    probability that they add up to. Exact: the conditions that held. Groups: members, their sum
    and how many other solutions there were.
    """
    async with plain(held.database) as connection:
        logged = await find_logged(connection, log_id)
    if logged is None:
        raise UnknownLogEntry(f"the match log has no entry {log_id}", log_id=log_id)
    story = explain(logged)
    match preferred(accept):
        case "text/html":
            return Response(why_page(story), media_type=HTML, headers=_HEADERS)
        case "image/svg+xml":
            return Response(story.picture(), media_type=SVG, headers=_HEADERS)
    response.headers["Vary"] = "Accept"
    return story.document()


@router.get(
    "/records/{record_id}/why-unmatched",
    summary="Explain why a record has no counterpart",
    response_model=WhyUnmatchedOut,
    responses=problem_responses(UnknownRecord, LedgerUnavailable),
)
async def why_not(record_id: RecordPath, held: Held, run_id: RunQuery = None) -> dict[str, Any]:
    """The nearest ledger items, the first gate that each failed, and what would match.

    The ledger is read afresh around the record, wider than the gates. `change` is the smallest
    change of the policy that was tried on these rows and matches the record; what it does to the
    whole statement a dry run tells. Without `run_id` the last run in force that decided the record
    is meant.
    """
    try:
        return await why_unmatched(held.engine, record_id, run_id)
    except LedgerUnreadable as error:
        raise LedgerUnavailable(error.detail, reason=error.code) from error

"""Routes that show whole matches and compare runs."""

import json
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Query, Request, Response

from recon_service.api.bodies import RUN_EXAMPLE
from recon_service.api.decision_bodies import ComparisonOut, GroupPage
from recon_service.api.lists import AttemptQuery, DateQuery, RunQuery, SourceQuery, run_id_of
from recon_service.dependencies import Held
from recon_service.domain.errors import RunsNotComparable, UnknownRun
from recon_service.repositories import compare, groups, views
from recon_service.repositories.atomic import plain
from recon_service.repositories.logs import RunFilter
from shared.errors import InvalidCursor
from shared.lists import LIMIT_DEFAULT, Cursor, Limit, next_link, page_of_documents
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import problem_responses

router = APIRouter(prefix="/recon", tags=["decisions"])
Compared = Annotated[UUID, Query(openapi_examples={"a run": {"value": RUN_EXAMPLE}})]


@router.get(
    "/groups/",
    summary="List matches of more than two",
    response_model=GroupPage,
    responses=problem_responses(InvalidCursor),
)
async def list_groups(
    request: Request,
    held: Held,
    source: SourceQuery = None,
    date: DateQuery = None,
    match_type: Annotated[Literal["group", "netted"] | None, Query()] = None,
    decision: Annotated[Literal["auto", "suggested", "netted"] | None, Query()] = None,
    run_id: RunQuery = None,
    attempt: AttemptQuery = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """Matches that are not one-to-one, with all members: groups, and what cancels itself out.

    Of the attempts in force unless told otherwise. Ledger items that cancel each other out are
    shown here alone: the match log is about records.
    """
    after = decode_cursor("groups", cursor, str, str)
    if after is not None:
        run_id_of(after[0])
    found, last = await groups.group_page(
        held.database,
        RunFilter(source, date, attempt, run_id),
        match_type=match_type,
        decision=decision,
        after=after,
        limit=limit,
    )
    following = None if last is None else encode_cursor("groups", *last)
    return page_of_documents(request, "groups", [_document(one) for one in found], following)


@router.get(
    "/compare",
    summary="Compare two runs",
    response_model=ComparisonOut,
    responses=problem_responses(UnknownRun, RunsNotComparable, InvalidCursor),
)
async def compare_runs(
    request: Request,
    held: Held,
    base: Compared,
    other: Compared,
    change: Annotated[Literal["gained", "lost", "changed"] | None, Query()] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """What `other` decided otherwise than `base`, record by record; two runs of one source.

    Gained: matched in `other` alone. Lost: matched in `base` alone. Changed: matched with another
    counterpart, or suggested where it was not. A dry run beside the run in force shows what its
    policy would do. `totals` come with the first page.
    """
    after = decode_cursor("compare", cursor, str)
    async with plain(held.database) as connection:
        found = [await _finished(connection, run_id) for run_id in (base, other)]
        if found[0].source != found[1].source:
            raise RunsNotComparable(
                f"the runs are of {found[0].source} and of {found[1].source}",
                sources=[run.source for run in found],
            )
        totals = await compare.totals(connection, base, other) if after is None else None
        page = await compare.differences(
            connection,
            base,
            other,
            change=change,
            after=run_id_of(after[0]) if after else None,
            limit=limit,
        )
    following = None if page.last is None else encode_cursor("compare", page.last)
    return {
        "base": _about(found[0]),
        "other": _about(found[1]),
        "totals": totals,
        "differences": page.differences,
        "next_cursor": following,
        "next": following and next_link(request, following),
    }


async def _finished(connection: asyncpg.Connection, run_id: UUID) -> views.ShownRun:
    run = await views.find_run(connection, run_id)
    if run is None:
        raise UnknownRun(f"there is no run {run_id}", run_id=str(run_id))
    if run.status != "finished":
        raise RunsNotComparable(f"run {run_id} is {run.status}", run_id=str(run_id))
    return run


def _about(run: views.ShownRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "source": run.source,
        "date": run.date,
        "attempt": run.attempt,
        "dry_run": run.facts["dry_run"],
        "policy": run.facts["policy"],
    }


def _document(group: dict[str, Any]) -> str:
    members = group.pop("members")
    return json.dumps(group)[:-1] + f',"members":{members}}}'

"""Routes of runs: ask for one, follow it, read its summary."""

import asyncio
import json
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Literal

import asyncpg
from fastapi import APIRouter, Query, Request, Response

from recon_service.api.bodies import (
    DatePath,
    RunAccepted,
    RunBody,
    RunPage,
    RunPath,
    RunWithEventsOut,
    StatusOut,
    SummariesOut,
    SummaryOut,
)
from recon_service.api.lists import AttemptQuery, DateQuery, SourceQuery, run_id_of
from recon_service.api.validation import validated
from recon_service.dependencies import Held, Resources
from recon_service.domain.config import patched
from recon_service.domain.errors import (
    DateInFuture,
    InvalidPolicy,
    InvalidStatement,
    LaterRunDepends,
    NoSummary,
    RunNotFinished,
    RunQueueFull,
    UnknownRun,
    UnknownSource,
)
from recon_service.domain.run import Input, InputKind, WhatIf
from recon_service.readers.errors import SourceUnreadable
from recon_service.readers.files import resolve_in_inbox
from recon_service.repositories import runs, views
from recon_service.repositories.atomic import atomic, plain
from recon_service.repositories.idempotency import first_answer, keep_answer
from recon_service.repositories.sources import Source, find_source, lock_source
from recon_service.repositories.uploads import upload_exists
from shared.errors import InvalidCursor, KeyInFlight, KeyReused
from shared.idempotency import REPLAYED_HEADER, KeyHeader, identify
from shared.lists import LIMIT_DEFAULT, Cursor, Limit, next_link
from shared.logging import current_request_id
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import body_responses, problem_responses
from shared.strict_json import StrictJSONRoute

router = APIRouter(prefix="/recon", tags=["runs"], route_class=StrictJSONRoute)


@router.post(
    "/run",
    status_code=202,
    summary="Reconcile a statement",
    response_model=RunAccepted,
    responses=body_responses()
    | problem_responses(
        UnknownSource,
        InvalidStatement,
        InvalidPolicy,
        DateInFuture,
        LaterRunDepends,
        RunQueueFull,
        KeyReused,
        KeyInFlight,
    ),
)
async def ask_for_run(body: RunBody, held: Held, key: KeyHeader) -> Response:
    """Queue a run. It is a new attempt if the date was reconciled before, and supersedes it.

    A dry run decides as if it superseded it, by another policy where one is given, and puts
    nothing in force. Runs of one source never overlap. With an `Idempotency-Key` a retry gets the
    first answer.
    """
    identified = identify(key, "run", body.model_dump(mode="json"))
    async with atomic(held.database) as connection:
        if kept := await first_answer(connection, identified):
            return _accepted(kept.document, replayed=True)
        source = await lock_source(connection, body.source)
        if source is None:
            raise _unknown(body.source)
        require_past(body.date, source, held)
        what_if = _what_if(source, body)
        statement = await _statement(connection, source, body, held)
        requested = await runs.request_run(
            connection,
            source=source,
            business_date=body.date,
            trigger="manual",
            statement=statement,
            request_id=current_request_id(),
            queue_max=held.settings.queue_max,
            what_if=what_if,
        )
        assert requested is not None, "only a nightly run can be there already"
        run_id, attempt = requested
        day = body.date.isoformat()
        of_date = f"/recon/status/{day}?source={source.name}&attempt={attempt}"
        document = {
            "run_id": run_id,
            "source": source.name,
            "date": day,
            "attempt": attempt,
            "dry_run": body.dry_run,
            "status": "queued",
            "status_url": f"/recon/runs/{run_id}" if body.dry_run else of_date,
        }
        text = json.dumps(document)
        await keep_answer(connection, identified, 202, text)
    held.wake()
    return _accepted(text)


@router.get(
    "/status/{date}",
    summary="Follow the runs of a date",
    response_model=StatusOut,
    responses=problem_responses(UnknownSource),
)
async def status_of_date(
    date: DatePath, held: Held, source: SourceQuery = None, attempt: AttemptQuery = None
) -> dict[str, Any]:
    """The run in force of each source; where none has finished, its latest attempt."""
    async with plain(held.database) as connection:
        found = await views.runs_of_date(connection, date, source=source, attempt=attempt)
        under_way = await views.runs_under_way(connection, date, source=source)
        if not found and source is not None and await find_source(connection, source) is None:
            raise _unknown(source)
    return {
        "date": date,
        "runs": [
            run_document(run)
            | {
                "active": [
                    {
                        "run_id": other.run_id,
                        "attempt": other.attempt,
                        "status": other.status,
                        "phase": other.phase,
                        "progress": other.facts["progress"],
                        "counts": other.counts,
                    }
                    for other in under_way
                    if other.source == run.source and other.run_id != run.run_id
                ]
            }
            for run in found
        ],
    }


@router.get(
    "/summary/{date}",
    summary="Read the result of a date",
    response_model=SummariesOut,
    responses=problem_responses(NoSummary),
)
async def summary_of_date(
    date: DatePath, held: Held, source: SourceQuery = None, attempt: AttemptQuery = None
) -> dict[str, Any]:
    """What the finished runs of a date counted, with the equations that they have proven."""
    async with plain(held.database) as connection:
        found = await views.summaries_of_date(connection, date, source=source, attempt=attempt)
    if not found:
        of_source = "" if source is None else f" of {source}"
        raise NoSummary(f"no finished run{of_source} for {date} has a summary")
    return {"date": date, "summaries": found}


@router.get(
    "/runs/",
    summary="List runs",
    response_model=RunPage,
    responses=problem_responses(InvalidCursor),
)
async def list_runs(
    request: Request,
    held: Held,
    source: SourceQuery = None,
    date: DateQuery = None,
    status: Annotated[Literal["queued", "running", "finished", "failed"] | None, Query()] = None,
    dry_run: Annotated[bool | None, Query(description="only (no) dry runs")] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Every attempt, newest first, superseded and failed ones and dry runs too."""
    before = decode_cursor("runs", cursor, str)
    async with plain(held.database) as connection:
        found, more = await views.list_runs(
            connection,
            source=source,
            day=date,
            status=status,
            dry_run=dry_run,
            before=run_id_of(before[0]) if before else None,
            limit=limit,
        )
    following = encode_cursor("runs", found[-1].run_id) if more else None
    return {
        "runs": [run_document(run) for run in found],
        "next_cursor": following,
        "next": following and next_link(request, following),
    }


@router.get(
    "/runs/{run_id}",
    summary="Get a run with its history",
    response_model=RunWithEventsOut,
    responses=problem_responses(UnknownRun),
)
async def get_run(run_id: RunPath, held: Held) -> dict[str, Any]:
    """A run and all that happened to it."""
    async with plain(held.database) as connection:
        found = await views.find_run(connection, run_id)
        if found is None:
            raise UnknownRun(f"there is no run {run_id}", run_id=str(run_id))
        events = await views.run_events(connection, run_id)
    return run_document(found) | {"events": events}


@router.get(
    "/runs/{run_id}/summary",
    summary="Read the result of a run",
    response_model=SummaryOut,
    responses=problem_responses(UnknownRun, RunNotFinished),
)
async def summary_of_run(run_id: RunPath, held: Held) -> dict[str, Any]:
    """What a finished run counted, in force or not, a dry run's too."""
    async with plain(held.database) as connection:
        found = await views.summary_of_run(connection, run_id)
        run = None if found else await views.find_run(connection, run_id)
    if found is not None:
        return found
    if run is None:
        raise UnknownRun(f"there is no run {run_id}")
    raise RunNotFinished(f"run {run_id} is {run.status}", run_status=run.status)


def run_document(run: views.ShownRun) -> dict[str, Any]:
    """Return a run as RunOut shows it."""
    document = asdict(run)
    facts: dict[str, Any] = document.pop("facts")
    return document | facts


def require_past(day: date, source: Source, held: Resources) -> None:
    """Raise DateInFuture for a day that has not begun in the source's zone."""
    today = held.clock().astimezone(source.config.zone).date()
    if day > today:
        raise DateInFuture(
            f"{day} has not begun in {source.config.time_zone}, where it is {today}",
            today=today.isoformat(),
        )


def _what_if(source: Source, body: RunBody) -> WhatIf | None:
    """Return what a dry run tries out. Raises InvalidPolicy."""
    if not body.dry_run:
        return None
    policy = body.policy or {}
    validated(lambda: patched(source.config, {"policy": policy}), InvalidPolicy)
    return WhatIf(policy)


async def _statement(
    connection: asyncpg.Connection, source: Source, body: RunBody, held: Resources
) -> Input:
    """Return the statement that a request means. Raises InvalidStatement."""
    if source.config.kind == "api":
        if body.file_path is not None or body.upload_id is not None:
            raise InvalidStatement(f"{source.name} reads from its URL, not from files")
        return Input(InputKind.API, source.config.url_for(body.date) or "")
    if body.upload_id is not None:
        if not await upload_exists(connection, body.upload_id):
            raise InvalidStatement(f"there is no upload {body.upload_id}", reason="not-found")
        return Input(InputKind.UPLOAD, body.upload_id)
    name = body.file_path or source.config.path_for(body.date)
    if name is None:
        raise InvalidStatement(f"{source.name} names no path: give file_path or upload_id")
    try:
        await asyncio.to_thread(resolve_in_inbox, held.settings.inbox, name)
    except SourceUnreadable as error:
        raise InvalidStatement(error.detail, reason=error.code) from error
    return Input(InputKind.INBOX, name)


def _accepted(document: str, *, replayed: bool = False) -> Response:
    run_id = json.loads(document)["run_id"]
    headers = {"Location": f"/recon/runs/{run_id}"}
    if replayed:
        headers[REPLAYED_HEADER] = "true"
    return Response(document, 202, headers=headers, media_type="application/json")


def _unknown(name: str) -> UnknownSource:
    return UnknownSource(f"there is no source {name}", source=name)

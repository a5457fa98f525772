"""Routes of periods: open, close, open again, get, list, and what was posted late."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from ledger_service.api.answers import json_text, refusal_error
from ledger_service.api.documents.periods import late_document, period_document
from ledger_service.api.keys import body_key
from ledger_service.api.models_periods import (
    ChangedPeriodOut,
    ClosePeriodBody,
    LatePage,
    OpenPeriodBody,
    PeriodId,
    PeriodOut,
    PeriodPage,
    ReopenPeriodBody,
)
from ledger_service.api.submit import DryRun, dry_run_answer, submit
from ledger_service.dependencies import Held, Resources
from ledger_service.domain.commands import ClosePeriod, OpenPeriod
from ledger_service.domain.model import LatePolicy, Period, PeriodStatus
from ledger_service.domain.refusals import Refusal
from ledger_service.repositories.periods import find_period, late_page, periods_page
from shared.errors import InvalidCursor, KeyInFlight, KeyReused, NotFound, QueueFull
from shared.idempotency import KeyHeader
from shared.ids import new_id
from shared.lists import LIMIT_DEFAULT, Cursor, Limit, next_link
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import body_responses, problem_responses
from shared.strict_json import StrictJSONRoute

PERIOD_PATH = "/ledger/period/"
router = APIRouter(prefix="/ledger/period", tags=["periods"], route_class=StrictJSONRoute)


def _refusals(*refusals: Refusal) -> dict[int | str, dict[str, object]]:
    return body_responses() | problem_responses(
        *map(refusal_error, refusals), KeyReused, KeyInFlight, QueueFull
    )


@router.post(
    "/",
    status_code=201,
    summary="Open a period",
    response_model=ChangedPeriodOut,
    responses=dry_run_answer(ChangedPeriodOut)
    | _refusals(Refusal.PERIOD_EMPTY, Refusal.PERIOD_OVERLAPS),
)
async def open_period(
    body: OpenPeriodBody, held: Held, key: KeyHeader, dry_run: DryRun = False
) -> Response:
    """Name a stretch of effective time, so that it can be reported and closed.

    Time need not belong to any period, and periods never overlap.
    """
    command = OpenPeriod(new_id(), body.name, body.starts_at, body.ends_at, body.metadata)
    asked_under = body_key(key, "open period", body.model_dump(mode="json"))
    return await submit(held, command, asked_under, PERIOD_PATH, dry_run=dry_run)


@router.post(
    "/{period_id}/close",
    status_code=201,
    summary="Close a period",
    response_model=ChangedPeriodOut,
    responses=dry_run_answer(ChangedPeriodOut)
    | _refusals(Refusal.UNKNOWN_PERIOD, Refusal.PERIOD_CLOSED, Refusal.PERIOD_NOT_OVER),
)
async def close_period(
    period_id: PeriodId, body: ClosePeriodBody, held: Held, key: KeyHeader, dry_run: DryRun = False
) -> Response:
    """Close a period that has ended: softly to be warned of late postings, hard for good.

    A posting without `effective_at` is never late. Adjusting transactions count in a softly closed
    period without a warning.
    """
    command = ClosePeriod(
        new_id(),
        period_id,
        PeriodStatus(body.status),
        body.late or LatePolicy.REFUSE,
        body.metadata,
    )
    asked = body.model_dump(mode="json") | {"period_id": str(period_id)}
    path = f"{PERIOD_PATH}{period_id}/close"
    return await submit(held, command, body_key(key, "close period", asked), path, dry_run=dry_run)


@router.post(
    "/{period_id}/reopen",
    status_code=201,
    summary="Open a softly closed period again",
    response_model=ChangedPeriodOut,
    responses=dry_run_answer(ChangedPeriodOut)
    | _refusals(Refusal.UNKNOWN_PERIOD, Refusal.PERIOD_CLOSED, Refusal.PERIOD_NOT_CLOSED),
)
async def reopen_period(
    period_id: PeriodId, body: ReopenPeriodBody, held: Held, key: KeyHeader, dry_run: DryRun = False
) -> Response:
    """Take a soft close back. A hard one is final."""
    command = ClosePeriod(new_id(), period_id, PeriodStatus.OPEN, LatePolicy.REFUSE, body.metadata)
    asked = body.model_dump(mode="json") | {"period_id": str(period_id)}
    path = f"{PERIOD_PATH}{period_id}/reopen"
    return await submit(held, command, body_key(key, "reopen period", asked), path, dry_run=dry_run)


@router.get(
    "/",
    summary="List periods",
    response_model=PeriodPage,
    responses=problem_responses(InvalidCursor),
)
async def list_periods(
    request: Request, held: Held, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> Response:
    """Periods in the order of their beginnings."""
    found, more = await periods_page(
        held.database, held.ledger_id, after=_after(cursor), limit=limit
    )
    following = _cursor_of(found[-1]) if more else None
    document = {
        "periods": [_period_out(one, held) for one in found],
        "next_cursor": following,
        "next": following and next_link(request, following),
    }
    return Response(json_text(document), media_type="application/json")


@router.get(
    "/{period_id}",
    summary="Get a period",
    response_model=PeriodOut,
    responses=problem_responses(NotFound),
)
async def get_period(period_id: PeriodId, held: Held) -> Response:
    """A period as its entries left it."""
    document = _period_out(await period_or_404(held, period_id), held)
    return Response(json_text(document), media_type="application/json")


@router.get(
    "/{period_id}/late",
    summary="List what was posted late into a period",
    response_model=LatePage,
    responses=problem_responses(NotFound, InvalidCursor),
)
async def list_late(
    request: Request,
    period_id: PeriodId,
    held: Held,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """Transactions that count in the period but were recorded after its end, by `seq`.

    `adjusting` tells those that adjust the period from those that were merely late; `dating` says
    what a closed period did to one.
    """
    period = await period_or_404(held, period_id)
    after = decode_cursor("late", cursor, int)
    entries, last = await late_page(
        held.database, held.ledger_id, period, after_seq=after[0] if after else 0, limit=limit
    )
    following = None if last is None else encode_cursor("late", last)
    document = {
        "period_id": str(period_id),
        "late": [late_document(entry) for entry in entries],
        "next_cursor": following,
        "next": following and next_link(request, following),
    }
    return Response(json_text(document), media_type="application/json")


async def period_or_404(held: Resources, period_id: UUID) -> Period:
    """Return one period. Raises NotFound."""
    period = await find_period(held.database, held.ledger_id, period_id)
    if period is None:
        raise NotFound(f"there is no period {period_id}", period_id=str(period_id))
    return period


def _period_out(period: Period, held: Resources) -> dict[str, Any]:
    return period_document(period) | {"ledger": held.ledger_name}


def _cursor_of(period: Period) -> str:
    return encode_cursor("periods", period.starts_at.isoformat(), str(period.period_id))


def _after(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return the key after which a page goes on. Raises InvalidCursor."""
    key = decode_cursor("periods", cursor, str, str)
    if key is None:
        return None
    try:
        return datetime.fromisoformat(key[0]).astimezone(UTC), UUID(key[1])
    except ValueError as error:
        raise InvalidCursor("the cursor is not one of ours; begin with the first page") from error

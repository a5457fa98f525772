"""Routes of holds: place, increase, capture, release, void, get, list."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from ledger_service.api.answers import refusal_error
from ledger_service.api.conditions import conditions_of
from ledger_service.api.documents.holds import hold_history_document, shown_hold_document
from ledger_service.api.keys import body_key
from ledger_service.api.lists import AccountFilter
from ledger_service.api.models_holds import (
    CaptureHoldBody,
    CaptureOut,
    ChangedHoldOut,
    HoldHistoryOut,
    HoldId,
    HoldPage,
    IncreaseHoldBody,
    PlaceHoldBody,
    ReleaseHoldBody,
    VoidHoldBody,
)
from ledger_service.api.submit import DryRun, dry_run_answer, submit
from ledger_service.dependencies import Held
from ledger_service.domain.commands import (
    CaptureHold,
    IncreaseHold,
    Key,
    PlaceHold,
    ReleaseHold,
)
from ledger_service.domain.model import HoldStatus
from ledger_service.domain.refusals import Refusal
from ledger_service.repositories.holds import find_hold, holds_page
from shared.clock import utc_now
from shared.errors import InvalidCursor, KeyInFlight, KeyReused, NotFound, QueueFull
from shared.idempotency import KeyHeader
from shared.ids import new_id
from shared.lists import LIMIT_DEFAULT, Cursor, Limit, next_link
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import body_responses, problem_responses
from shared.strict_json import StrictJSONRoute

HOLD_PATH = "/ledger/hold/"
router = APIRouter(prefix="/ledger/hold", tags=["holds"], route_class=StrictJSONRoute)
StatusFilter = Annotated[HoldStatus | None, Query(description="only holds that are this now")]
_OF_AMOUNTS = (
    Refusal.AMOUNT_MALFORMED,
    Refusal.AMOUNT_SCALE,
    Refusal.AMOUNT_NOT_POSITIVE,
    Refusal.AMOUNT_TOO_LARGE,
)
_OF_ACCOUNTS = (
    Refusal.ACCOUNT_CLOSED,
    Refusal.ACCOUNT_FROZEN,
    Refusal.INSUFFICIENT_FUNDS,
    Refusal.ABOVE_CEILING,
)
_OF_ANY_HOLD = (Refusal.UNKNOWN_HOLD, Refusal.HOLD_NOT_OPEN, Refusal.HOLD_EXPIRED)


def _refusals(*refusals: Refusal) -> dict[int | str, dict[str, object]]:
    return body_responses() | problem_responses(
        *map(refusal_error, refusals + _OF_AMOUNTS), KeyReused, KeyInFlight, QueueFull
    )


@router.post(
    "/",
    status_code=201,
    summary="Place a hold",
    response_model=ChangedHoldOut,
    responses=dry_run_answer(ChangedHoldOut)
    | _refusals(
        Refusal.SAME_ACCOUNT,
        Refusal.UNKNOWN_ACCOUNT,
        Refusal.UNKNOWN_CURRENCY,
        Refusal.CURRENCY_MISMATCH,
        Refusal.EXPIRY_NOT_IN_FUTURE,
        Refusal.CONDITION_FAILED,
        *_OF_ACCOUNTS,
    ),
)
async def place_hold(
    body: PlaceHoldBody, held: Held, key: KeyHeader, dry_run: DryRun = False
) -> Response:
    """Keep an amount of the source for the destination; nothing moves yet.

    What is held counts against the source's floor and the destination's ceiling, unless these
    bound what is posted. The hold ends when all of it is captured, when it is voided, or at the
    instant at which it expires.
    """
    held = await held.of_account(body.source_account_id)
    scale = held.currencies.scale_of(body.currency)
    command = PlaceHold(
        new_id(),
        body.source_account_id,
        body.destination_account_id,
        body.amount,
        body.currency,
        scale is not None,
        "0" if body.over_capture is None else body.over_capture.of(body.amount, scale),
        body.ends_at(utc_now),
        body.reference,
        body.metadata,
        conditions_of(body.conditions),
    )
    asked_under = body_key(key, "place hold", body.model_dump(mode="json"))
    return await submit(held, command, asked_under, HOLD_PATH, dry_run=dry_run)


@router.post(
    "/{hold_id}/increase",
    status_code=201,
    summary="Increase a hold",
    response_model=ChangedHoldOut,
    responses=dry_run_answer(ChangedHoldOut)
    | _refusals(*_OF_ANY_HOLD, Refusal.EXPIRY_NOT_IN_FUTURE, Refusal.EXPIRY_EARLIER, *_OF_ACCOUNTS),
)
async def increase_hold(
    hold_id: HoldId, body: IncreaseHoldBody, held: Held, key: KeyHeader, dry_run: DryRun = False
) -> Response:
    """Keep more, and until later if that is asked for. What is added needs funds."""
    command = IncreaseHold(new_id(), hold_id, body.amount, body.ends_at(utc_now), body.metadata)
    asked_under = _key(key, "increase hold", hold_id, body)
    return await submit(held, command, asked_under, _path(hold_id, "increase"), dry_run=dry_run)


@router.post(
    "/{hold_id}/capture",
    status_code=201,
    summary="Capture a hold or a part of it",
    response_model=CaptureOut,
    responses=dry_run_answer(CaptureOut)
    | _refusals(
        *_OF_ANY_HOLD,
        Refusal.HOLD_EXCEEDED,
        Refusal.EFFECTIVE_IN_FUTURE,
        Refusal.PERIOD_CLOSED,
        *_OF_ACCOUNTS,
    ),
)
async def capture_hold(
    hold_id: HoldId,
    held: Held,
    key: KeyHeader,
    body: CaptureHoldBody | None = None,
    dry_run: DryRun = False,
) -> Response:
    """Move money from the source to the destination: all that the hold keeps, or an amount.

    The rest stays held unless the capture is `final`. Up to `over_capture` beyond what the hold
    keeps may be captured; that part needs funds. What ends the hold makes it `captured`.
    """
    body = body or CaptureHoldBody(effective_at=None)
    command = CaptureHold(
        new_id(),
        hold_id,
        body.amount,
        body.final,
        body.reference,
        body.effective_at,
        body.metadata,
    )
    asked_under = _key(key, "capture hold", hold_id, body)
    return await submit(held, command, asked_under, _path(hold_id, "capture"), dry_run=dry_run)


@router.post(
    "/{hold_id}/release",
    status_code=201,
    summary="Release a part of a hold",
    response_model=ChangedHoldOut,
    responses=dry_run_answer(ChangedHoldOut) | _refusals(*_OF_ANY_HOLD, Refusal.HOLD_EXCEEDED),
)
async def release_hold(
    hold_id: HoldId, body: ReleaseHoldBody, held: Held, key: KeyHeader, dry_run: DryRun = False
) -> Response:
    """Give back a part of what the hold keeps; giving back all of it voids the hold."""
    command = ReleaseHold(new_id(), hold_id, body.amount, body.metadata)
    asked_under = _key(key, "release hold", hold_id, body)
    return await submit(held, command, asked_under, _path(hold_id, "release"), dry_run=dry_run)


@router.post(
    "/{hold_id}/void",
    status_code=201,
    summary="Void a hold",
    response_model=ChangedHoldOut,
    responses=dry_run_answer(ChangedHoldOut) | _refusals(*_OF_ANY_HOLD),
)
async def void_hold(
    hold_id: HoldId,
    held: Held,
    key: KeyHeader,
    body: VoidHoldBody | None = None,
    dry_run: DryRun = False,
) -> Response:
    """Give back all that the hold keeps and end it. What was captured before stays."""
    body = body or VoidHoldBody()
    command = ReleaseHold(new_id(), hold_id, None, body.metadata)
    asked_under = _key(key, "void hold", hold_id, body)
    return await submit(held, command, asked_under, _path(hold_id, "void"), dry_run=dry_run)


@router.get(
    "/",
    summary="List holds",
    response_model=HoldPage,
    responses=problem_responses(InvalidCursor),
)
async def list_holds(
    request: Request,
    held: Held,
    account_id: AccountFilter = None,
    status: StatusFilter = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Holds in the order of their ids; of an account those on either side."""
    after = decode_cursor("holds", cursor, str)
    found, more = await holds_page(
        held.database,
        held.ledger_id,
        now=utc_now(),
        account_id=account_id,
        status=status,
        after=_hold_id(after[0]) if after else None,
        limit=limit,
    )
    following = encode_cursor("holds", str(found[-1].hold.hold_id)) if more else None
    return {
        "holds": [shown_hold_document(one) for one in found],
        "next_cursor": following,
        "next": following and next_link(request, following),
    }


@router.get(
    "/{hold_id}",
    summary="Get a hold",
    response_model=HoldHistoryOut,
    response_model_exclude_unset=True,
    responses=problem_responses(NotFound),
)
async def get_hold(hold_id: HoldId, held: Held) -> dict[str, Any]:
    """A hold as it stands now, with what was done to it: of very much only the last part."""
    found = await find_hold(held.database, held.ledger_id, hold_id, now=utc_now())
    if found is None:
        raise NotFound(f"there is no hold {hold_id}", hold_id=str(hold_id))
    return hold_history_document(found)


def _key(
    key: str | None,
    operation: str,
    hold_id: UUID,
    body: IncreaseHoldBody | CaptureHoldBody | ReleaseHoldBody | VoidHoldBody,
) -> Key | None:
    return body_key(key, operation, body.model_dump(mode="json") | {"hold_id": str(hold_id)})


def _path(hold_id: UUID, operation: str) -> str:
    return f"{HOLD_PATH}{hold_id}/{operation}"


def _hold_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidCursor("the cursor is not one of ours; begin with the first page") from error

"""Routes of accounts: open, get, list."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import RowMapping

from ledger_service.api.answers import ACCOUNT_PATH, json_text, refusal_error
from ledger_service.api.bodies import AccountId
from ledger_service.api.documents.accounts import account_document
from ledger_service.api.keys import opening_key
from ledger_service.api.metadata_filters import AccountMetadata, UndeclaredMetadataKey
from ledger_service.api.models_accounts import (
    CODE_CHARS_MAX,
    CODE_PATTERN,
    AccountOut,
    AccountPage,
    OpenAccountBody,
    Status,
)
from ledger_service.api.submit import DryRun, dry_run_answer, submit
from ledger_service.dependencies import Held
from ledger_service.domain.commands import OpenAccount
from ledger_service.domain.model import AccountFacts, Direction, Freeze, LimitsOn
from ledger_service.domain.refusals import Refusal
from ledger_service.repositories.account_lists import AccountFilter, accounts_page
from ledger_service.repositories.accounts import find_account
from ledger_service.settings import TYPE_PATTERN
from shared.errors import InvalidCursor, KeyInFlight, KeyReused, NotFound, QueueFull
from shared.idempotency import KeyHeader
from shared.ids import new_id
from shared.lists import LIMIT_DEFAULT, Cursor, Limit, next_link
from shared.money import CURRENCY_PATTERN
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import body_responses, problem_responses
from shared.strict_json import StrictJSONRoute

router = APIRouter(prefix="/ledger/account", tags=["accounts"], route_class=StrictJSONRoute)
_OPEN_REFUSALS = (
    Refusal.UNKNOWN_CURRENCY,
    Refusal.UNKNOWN_ACCOUNT_TYPE,
    Refusal.CODE_IN_USE,
    Refusal.LIMITS_CROSSED,
    Refusal.AMOUNT_MALFORMED,
    Refusal.AMOUNT_SCALE,
    Refusal.AMOUNT_NOT_POSITIVE,
    Refusal.AMOUNT_TOO_LARGE,
)


@router.post(
    "/",
    status_code=201,
    summary="Open an account",
    response_model=AccountOut,
    responses=dry_run_answer(AccountOut)
    | body_responses()
    | problem_responses(*map(refusal_error, _OPEN_REFUSALS), KeyReused, KeyInFlight, QueueFull),
)
async def open_account(
    body: OpenAccountBody, held: Held, key: KeyHeader, dry_run: DryRun = False
) -> Response:
    """Open an account of one currency. Currency and type are fixed; the rest can be changed."""
    command = OpenAccount(
        account_id=new_id(),
        currency=body.currency,
        scale=held.currencies.scale_of(body.currency),
        type=body.type,
        overdraft_limit=_overdraft_limit(body, held),
        metadata=body.metadata,
        normal_side=held.settings.normal_side_of(body.type),
        ceiling=body.ceiling,
        limits_on=body.limits_on or LimitsOn.AVAILABLE,
        code=body.code,
    )
    return await submit(held, command, opening_key(key, body), ACCOUNT_PATH, dry_run=dry_run)


@router.get(
    "/",
    summary="List accounts",
    response_model=AccountPage,
    responses=problem_responses(InvalidCursor, UndeclaredMetadataKey),
)
async def list_accounts(
    request: Request,
    held: Held,
    metadata: AccountMetadata,
    under: Annotated[
        str | None,
        Query(
            pattern=CODE_PATTERN,
            max_length=CODE_CHARS_MAX,
            description="only the account with this code and those below it in the chart",
        ),
    ] = None,
    type: Annotated[str | None, Query(pattern=TYPE_PATTERN)] = None,  # noqa: A002
    status: Annotated[Status | None, Query()] = None,
    currency: Annotated[str | None, Query(pattern=CURRENCY_PATTERN)] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Accounts in the order in which they were opened; in that of their codes with `under` alone.

    A page may be short though more follow: only the one without `next_cursor` is the last.
    """
    wanted = AccountFilter(under, type, status, currency, metadata)
    kind = "accounts by code" if wanted.pages_by_code else "accounts"
    after = decode_cursor(kind, cursor, str if wanted.pages_by_code else int)
    rows, last = await accounts_page(
        held.database, held.ledger_id, wanted, after=after, limit=limit
    )
    following = None if last is None else encode_cursor(kind, *last)
    return {
        "accounts": [_account_out(row, held.ledger_name) for row in rows],
        "next_cursor": following,
        "next": following and next_link(request, following),
    }


@router.get(
    "/{account_id}",
    summary="Get an account",
    response_model=AccountOut,
    responses=problem_responses(NotFound),
)
async def get_account(account_id: AccountId, held: Held) -> Response:
    """An account as its entries made it. Its `ETag` is the version that `If-Match` asks for."""
    row = await find_account(held.database, held.ledger_id, account_id)
    if row is None:
        raise no_account(account_id)
    document = _account_out(row, held.ledger_name)
    headers = {"ETag": f'"{row["version"]}"'}
    return Response(json_text(document), headers=headers, media_type="application/json")


def _overdraft_limit(body: OpenAccountBody, held: Held) -> str | None:
    """Return the decimal limit of the overdraft, "0" where it is refused, None where unlimited."""
    if body.overdraft is None:
        policy, limit = held.settings.overdraft.get(body.type, "refused"), None
    else:
        policy, limit = body.overdraft.policy, body.overdraft.limit
    if policy == "allowed":
        return None
    if policy == "refused":
        return "0"
    return limit or policy


def _account_out(row: Mapping[str, Any] | RowMapping, ledger: str) -> dict[str, Any]:
    """Return the account in a row of accounts as AccountOut shows it."""
    account_id, opened_at = row["account_id"], row["opened_at"]
    facts = AccountFacts(
        account_id=account_id if isinstance(account_id, UUID) else UUID(account_id),
        currency=row["currency"],
        scale=row["scale"],
        type=row["type"],
        normal_side=Direction(row["normal_side"]),
        floor_minor=row["floor_minor"],
        ceiling_minor=row["ceiling_minor"],
        limits_on=LimitsOn(row["limits_on"]),
        frozen=Freeze(row["frozen"]),
        is_closed=row["status"] == "closed",
        code=row["code"],
        version=row["version"],
    )
    if isinstance(opened_at, str):
        opened_at = datetime.fromisoformat(opened_at)
    document = account_document(facts, row["metadata"], row["opened_seq"], opened_at)
    return document | {"ledger": ledger}


def no_account(account_id: UUID) -> NotFound:
    return NotFound(f"there is no account {account_id}", account_id=str(account_id))

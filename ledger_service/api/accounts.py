"""Routes of accounts: open, get, list, balance."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy import RowMapping

from ledger_service.api.answers import ACCOUNT_PATH, refusal_error
from ledger_service.api.bodies import (
    AccountId,
    AccountOut,
    AccountPage,
    BalanceOut,
    OpenAccountBody,
)
from ledger_service.api.documents.accounts import account_document
from ledger_service.api.keys import body_key
from ledger_service.api.submit import submit
from ledger_service.dependencies import Held
from ledger_service.domain.commands import OpenAccount
from ledger_service.domain.model import AccountFacts, Direction, Freeze, LimitsOn
from ledger_service.domain.refusals import Refusal
from ledger_service.repositories.accounts import (
    BalanceNow,
    accounts_page,
    balance_now,
    find_account,
)
from shared.errors import InvalidCursor, KeyInFlight, KeyReused, NotFound, QueueFull
from shared.idempotency import KeyHeader
from shared.ids import new_id
from shared.lists import LIMIT_DEFAULT, Cursor, Limit, next_link
from shared.money import format_minor
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import body_responses, problem_responses
from shared.strict_json import StrictJSONRoute

router = APIRouter(prefix="/ledger/account", tags=["accounts"], route_class=StrictJSONRoute)
_OPEN_REFUSALS = (
    Refusal.UNKNOWN_CURRENCY,
    Refusal.AMOUNT_MALFORMED,
    Refusal.AMOUNT_SCALE,
    Refusal.AMOUNT_TOO_LARGE,
)


@router.post(
    "/",
    status_code=201,
    summary="Open an account",
    response_model=AccountOut,
    responses=body_responses()
    | problem_responses(*map(refusal_error, _OPEN_REFUSALS), KeyReused, KeyInFlight, QueueFull),
)
async def open_account(body: OpenAccountBody, held: Held, key: KeyHeader) -> Response:
    """Open an account of one currency. Its type and overdraft are fixed from then on."""
    command = OpenAccount(
        account_id=new_id(),
        currency=body.currency,
        scale=held.currencies.scale_of(body.currency),
        type=body.type,
        overdraft_limit=_overdraft_limit(body, held),
        metadata=body.metadata,
    )
    asked_under = body_key(key, "open account", body.model_dump(mode="json"))
    return await submit(held, command, asked_under, ACCOUNT_PATH)


@router.get(
    "/",
    summary="List accounts",
    response_model=AccountPage,
    responses=problem_responses(InvalidCursor),
)
async def list_accounts(
    request: Request, held: Held, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> dict[str, Any]:
    """Accounts in the order in which they were opened."""
    after = decode_cursor("accounts", cursor, int)
    rows, last = await accounts_page(
        held.database, held.ledger_id, after_seq=after[0] if after else None, limit=limit
    )
    following = None if last is None else encode_cursor("accounts", last)
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
async def get_account(account_id: AccountId, held: Held) -> dict[str, Any]:
    """An account as its entries made it."""
    row = await find_account(held.database, held.ledger_id, account_id)
    if row is None:
        raise _no_account(account_id)
    return _account_out(row, held.ledger_name)


@router.get(
    "/{account_id}/balance",
    summary="Get an account's balance",
    response_model=BalanceOut,
    responses=problem_responses(NotFound),
)
async def get_balance(account_id: AccountId, held: Held) -> Response:
    """The balance now: credits less debits. A debited account of type `internal` is negative."""
    found = await balance_now(held.probes, held.ledger_id, account_id)
    if found is None:
        raise _no_account(account_id)
    return Response(_balance_text(account_id, found), media_type="application/json")


def _balance_text(account_id: UUID, found: BalanceNow) -> str:
    """Return BalanceOut as JSON, written out: no member holds what JSON would escape."""
    balance = format_minor(found.credits_minor - found.debits_minor, found.scale)
    debits = format_minor(found.debits_minor, found.scale)
    return (
        f'{{"account_id":"{account_id}","currency":"{found.currency}","balance":"{balance}",'
        f'"debits":"{debits}","credits":"{format_minor(found.credits_minor, found.scale)}",'
        f'"position":{found.position},"seq":{found.seq}}}'
    )


def _overdraft_limit(body: OpenAccountBody, held: Held) -> str | None:
    """Return the decimal limit of the overdraft, "0" where it is refused, None where unlimited."""
    if body.overdraft is None:
        policy, limit = held.settings.overdraft[body.type], None
    else:
        policy, limit = body.overdraft.policy, body.overdraft.limit
    if policy == "allowed":
        return None
    if policy == "refused":
        return "0"
    return limit or policy


def _account_out(row: RowMapping, ledger: str) -> dict[str, Any]:
    facts = AccountFacts(
        account_id=row["account_id"],
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
    document = account_document(facts, row["metadata"], row["opened_seq"], row["opened_at"])
    return document | {"ledger": ledger}


def _no_account(account_id: UUID) -> NotFound:
    return NotFound(f"there is no account {account_id}", account_id=str(account_id))

"""Routes of balances: of one account now or then, and of many at one cut through the history."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from ledger_service.api.accounts import no_account
from ledger_service.api.answers import json_text
from ledger_service.api.bodies import AccountId
from ledger_service.api.cuts import AsOf, AtSeq, SeqNotReached, cut_of, seq_of
from ledger_service.api.models_balances import (
    AccountIds,
    BalanceOut,
    BalancePage,
    PastBalanceOut,
)
from ledger_service.dependencies import Held, Resources
from ledger_service.repositories.balances import (
    BalanceNow,
    BalanceThen,
    balance_now,
    balances_at,
)
from shared.clock import instant_text, utc_now
from shared.errors import InvalidCursor, NotFound
from shared.lists import LIMIT_DEFAULT, Cursor, Limit, next_link
from shared.money import format_minor
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import problem_responses

router = APIRouter(prefix="/ledger", tags=["balances"])


@router.get(
    "/account/{account_id}/balance",
    summary="Get an account's balance",
    response_model=BalanceOut | PastBalanceOut,
    responses=problem_responses(NotFound, SeqNotReached),
)
async def get_balance(
    account_id: AccountId, held: Held, at_seq: AtSeq = None, as_of: AsOf = None
) -> Response:
    """The balance on the account's normal side: now with what holds keep, or as it was.

    `at_seq` counts what was recorded by then, `as_of` what counts by then whenever it was
    recorded; with both, what was known at the one of the other. A hold whose time is over keeps
    nothing, though its entry may come a little later.
    """
    if at_seq is not None or as_of is not None:
        return await _balance_then(held, account_id, at_seq, as_of)
    found = await balance_now(held.probes, held.ledger_id, account_id, utc_now())
    if found is None:
        raise no_account(account_id)
    return Response(_balance_text(account_id, found), media_type="application/json")


@router.get(
    "/balances",
    summary="List balances of one moment",
    response_model=BalancePage,
    responses=problem_responses(InvalidCursor, SeqNotReached),
)
async def list_balances(
    request: Request,
    held: Held,
    at_seq: AtSeq = None,
    as_of: AsOf = None,
    account_ids: AccountIds = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """What is posted to many accounts, in the order of their opening, all at one cut.

    The links carry the first page's `seq`: whatever is posted meanwhile, pages and accounts agree,
    and the balances of all accounts of a currency sum to zero (credits less debits).
    """
    kind = f"balances {'' if as_of is None else as_of.isoformat()}"
    key = decode_cursor(kind, cursor, int, int)
    seq, after = (await seq_of(held, at_seq), 0) if key is None else key
    cut = await cut_of(held, await seq_of(held, seq), as_of=as_of)
    found, more = await balances_at(
        held.database,
        held.ledger_id,
        cut,
        account_ids=account_ids,
        after_opened_seq=after,
        limit=limit,
    )
    following = encode_cursor(kind, seq, found[-1].opened_seq) if more else None
    document = {
        "seq": seq,
        "as_of": as_of and instant_text(as_of),
        "balances": [_row(one) for one in found],
        "next_cursor": following,
        "next": following and next_link(request, following),
    }
    return Response(json_text(document), media_type="application/json")


async def _balance_then(
    held: Resources, account_id: UUID, at_seq: int | None, as_of: datetime | None
) -> Response:
    seq = await seq_of(held, at_seq)
    cut = await cut_of(held, seq, as_of=as_of)
    found, _ = await balances_at(
        held.database, held.ledger_id, cut, account_ids=[account_id], limit=1
    )
    if not found:
        raise no_account(account_id)
    row = _row(found[0])
    document = {name: row[name] for name in ("account_id", "currency", "normal_side", "balance")}
    document |= {"seq": seq, "as_of": as_of and instant_text(as_of)}
    return Response(json_text(document), media_type="application/json")


def _row(found: BalanceThen) -> dict[str, Any]:
    return {
        "account_id": str(found.account_id),
        "code": found.code,
        "type": found.type,
        "currency": found.currency,
        "normal_side": found.normal_side,
        "balance": format_minor(found.sign * found.balance_minor, found.scale),
    }


def _balance_text(account_id: UUID, found: BalanceNow) -> str:
    """Return BalanceOut as JSON, written out: no member holds what JSON would escape."""
    scale, balance_minor = found.scale, found.sign * (found.credits_minor - found.debits_minor)
    pending_minor = found.held_debits_minor if found.sign > 0 else found.held_credits_minor
    return (
        f'{{"account_id":"{account_id}","currency":"{found.currency}",'
        f'"normal_side":"{found.normal_side}","balance":"{format_minor(balance_minor, scale)}",'
        f'"pending_debits":"{format_minor(found.held_debits_minor, scale)}",'
        f'"pending_credits":"{format_minor(found.held_credits_minor, scale)}",'
        f'"available":"{format_minor(balance_minor - pending_minor, scale)}",'
        f'"debits":"{format_minor(found.debits_minor, scale)}",'
        f'"credits":"{format_minor(found.credits_minor, scale)}",'
        f'"position":{found.position},"seq":{found.seq}}}'
    )

"""Routes that change an account, and tell what was changed."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from ledger_service.api.accounts import no_account
from ledger_service.api.answers import ACCOUNT_PATH, refusal_error
from ledger_service.api.bodies import AccountId
from ledger_service.api.documents.accounts import changed_account_document
from ledger_service.api.keys import body_key
from ledger_service.api.models_accounts import (
    AccountChangeOut,
    AccountHistoryPage,
    ChangeAccountBody,
)
from ledger_service.api.submit import DryRun, submit
from ledger_service.dependencies import Held
from ledger_service.domain.commands import ChangeAccount, Limits
from ledger_service.domain.refusals import Refusal
from ledger_service.repositories.account_history import changes_page
from ledger_service.repositories.accounts import find_account
from shared.errors import InvalidCursor, InvalidRequest, KeyInFlight, KeyReused, NotFound, QueueFull
from shared.idempotency import KeyHeader
from shared.ids import new_id
from shared.lists import LIMIT_DEFAULT, Cursor, Limit, next_link
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import body_responses, problem_responses
from shared.strict_json import StrictJSONRoute

router = APIRouter(prefix="/ledger/account", tags=["accounts"], route_class=StrictJSONRoute)
_VERSION = re.compile(r'"?([0-9]{1,18})"?', re.ASCII)
_REFUSALS = (
    Refusal.VERSION_MISMATCH,
    Refusal.CODE_IN_USE,
    Refusal.CODE_FIXED,
    Refusal.ACCOUNT_NOT_EMPTY,
    Refusal.LIMITS_CROSSED,
    Refusal.AMOUNT_MALFORMED,
    Refusal.AMOUNT_SCALE,
    Refusal.AMOUNT_NOT_POSITIVE,
    Refusal.AMOUNT_TOO_LARGE,
)


@router.patch(
    "/{account_id}",
    summary="Change an account",
    response_model=AccountChangeOut,
    responses=body_responses()
    | problem_responses(
        NotFound, *map(refusal_error, _REFUSALS), KeyReused, KeyInFlight, QueueFull
    ),
)
async def change_account(
    account_id: AccountId,
    body: ChangeAccountBody,
    held: Held,
    key: KeyHeader,
    dry_run: DryRun = False,
    if_match: Annotated[
        str | None,
        Header(description='the version that was seen, as in `ETag`: `"3"`; 412 if it is past'),
    ] = None,
) -> Response:
    """Set limits, freeze, close and open again, give a code, replace the metadata.

    Limits bound movements from now on: a balance that lies beyond one stays, and may move towards
    it. A closed account takes no event; the rest of it can still be changed.
    """
    if await find_account(held.database, held.ledger_id, account_id) is None:
        raise no_account(account_id)
    version = _version(if_match)
    limits = body.limits
    command = ChangeAccount(
        entry_id=new_id(),
        account_id=account_id,
        expected_version=version,
        limits=None if limits is None else Limits(limits.floor, limits.ceiling, limits.on),
        freeze=body.frozen,
        is_closed=None if body.status is None else body.status == "closed",
        code=body.code,
        metadata=body.metadata,
    )
    asked = body.model_dump(mode="json", exclude_unset=True)
    asked_under = body_key(key, f"change account {account_id} at {version}", asked)
    path = f"{ACCOUNT_PATH}{account_id}"
    answer = await submit(held, command, asked_under, path, dry_run=dry_run)
    if answer.status_code == 201:  # nothing was made that has an address of its own
        answer.status_code = 200
    return answer


@router.get(
    "/{account_id}/history",
    summary="List the changes of an account",
    response_model=AccountHistoryPage,
    responses=problem_responses(NotFound, InvalidCursor),
)
async def list_changes(
    request: Request,
    account_id: AccountId,
    held: Held,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """The account as its opening and each change left it, the earliest first."""
    row = await find_account(held.database, held.ledger_id, account_id)
    if row is None:
        raise no_account(account_id)
    after = decode_cursor("account changes", cursor, int)
    entries, last = await changes_page(
        held.database,
        held.ledger_id,
        account_id,
        opened_seq=row["opened_seq"],
        after_seq=after[0] if after else None,
        limit=limit,
    )
    following = None if last is None else encode_cursor("account changes", last)
    return {
        "changes": [
            changed_account_document(entry) | {"ledger": held.ledger_name} for entry in entries
        ],
        "next_cursor": following,
        "next": following and next_link(request, following),
    }


def _version(if_match: str | None) -> int | None:
    """Return the version that `If-Match` names; `*` is any. Raises InvalidRequest."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = _VERSION.fullmatch(if_match.strip())
    if found is None:
        raise InvalidRequest('If-Match is one version, as in ETag: "3"', if_match=if_match[:100])
    return int(found[1])

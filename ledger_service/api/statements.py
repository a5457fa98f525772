"""The route of statements of account, as JSON, CSV and PDF."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from ledger_service.api.accounts import no_account
from ledger_service.api.bodies import AccountId
from ledger_service.api.cuts import AtSeq, SeqNotReached, seq_of
from ledger_service.api.documents.statements import statement_text
from ledger_service.api.formats import (
    Format,
    file_response,
    file_responses,
    wanted_format,
)
from ledger_service.api.models_statements import StatementOut
from ledger_service.dependencies import Held, Resources
from ledger_service.domain.statements import Statement
from ledger_service.reports.statement_csv import statement_csv
from ledger_service.reports.statement_pdf import statement_pdf
from ledger_service.repositories.balances import balances_at, cut_at, recorded_at
from ledger_service.repositories.statements import account_shown, movements
from shared.errors import AppError, InvalidRequest, NotFound
from shared.lists import Accept
from shared.problems import problem_responses
from shared.text import Instant

LINES_MAX = 10_000
LINES_ON_LOOP_MAX = 500
"""Statements with more are written elsewhere, so that nobody else waits for them."""
router = APIRouter(prefix="/ledger/account", tags=["statements"])
From = Annotated[
    Instant | None, Query(alias="from", description="effective, inclusive; else the beginning")
]
To = Annotated[Instant | None, Query(alias="to", description="effective, exclusive; else no end")]
_WRITERS: dict[str, Callable[[Statement], str | bytes]] = {
    "json": statement_text,
    "csv": statement_csv,
    "pdf": statement_pdf,
}


class StatementTooLong(AppError):
    code, title, status = "statement_too_long", "The statement has too many movements", 422


@router.get(
    "/{account_id}/statement",
    summary="Get a statement of account",
    response_model=StatementOut,
    responses=file_responses("csv", "pdf")
    | problem_responses(NotFound, StatementTooLong, SeqNotReached),
)
async def get_statement(
    account_id: AccountId,
    held: Held,
    from_at: From = None,
    to_at: To = None,
    at_seq: AtSeq = None,
    format: Format = None,  # noqa: A002
    accept: Accept = None,
) -> Response:
    """Opening balance, each movement with the balance after it, closing balance.

    Movements are in the order in which they count, late ones marked. The next statement opens
    with what this one closes with if it begins where this one ends and has the same `at_seq`;
    without, something may have been backdated meanwhile.
    """
    if from_at is not None and to_at is not None and from_at > to_at:
        raise InvalidRequest("`from` lies after `to`")
    statement = await _statement(held, account_id, from_at, to_at, await seq_of(held, at_seq))
    wanted = wanted_format(format, accept)
    write = _WRITERS[wanted]
    if wanted == "pdf" or len(statement.movements) > LINES_ON_LOOP_MAX:
        written = await held.workers(write, statement)
    else:
        written = write(statement)
    if wanted == "json":
        return Response(written, media_type="application/json")
    return file_response(written, wanted, f"statement-{account_id}")


async def _statement(
    held: Resources,
    account_id: AccountId,
    from_at: datetime | None,
    to_at: datetime | None,
    seq: int,
) -> Statement:
    """Read a statement. Raises NotFound, StatementTooLong."""
    database, ledger_id = held.database, held.ledger_id
    account = await account_shown(database, ledger_id, account_id, seq=seq)
    if account is None:
        raise no_account(account_id)
    found = await movements(
        database, ledger_id, account_id, seq=seq, from_at=from_at, to_at=to_at, limit=LINES_MAX
    )
    if len(found) > LINES_MAX:
        raise StatementTooLong(
            f"more than {LINES_MAX} movements count in this time; ask for a shorter one, or for "
            "the account's events as a stream",
            lines_max=LINES_MAX,
        )
    opening_minor = 0
    if from_at is not None:
        cut = await cut_at(database, ledger_id, seq=seq, before=from_at)
        (opening,), _ = await balances_at(
            database, ledger_id, cut, account_ids=[account_id], limit=1
        )
        opening_minor = opening.sign * opening.balance_minor
    when = await recorded_at(database, ledger_id, seq)
    return Statement(held.ledger_name, account, seq, when, from_at, to_at, opening_minor, found)

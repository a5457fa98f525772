"""The route of the trial balance, as JSON and CSV."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from ledger_service.api.cuts import AsOf, AtSeq, SeqNotReached, cut_of, seq_of
from ledger_service.api.documents.trial_balance import trial_balance_text
from ledger_service.api.formats import (
    TableFormat,
    file_response,
    file_responses,
    wanted_format,
)
from ledger_service.api.models_trial_balance import TrialBalanceOut
from ledger_service.api.periods import period_or_404
from ledger_service.dependencies import Held
from ledger_service.domain.trial_balance import TrialBalance
from ledger_service.reports.trial_balance_csv import trial_balance_csv
from ledger_service.repositories.balances import cut_at
from ledger_service.repositories.trial_balance import trial_balance_lines
from shared.errors import AppError, InvalidRequest, NotFound
from shared.lists import Accept
from shared.problems import problem_responses

LINES_MAX = 20_000
LINES_ON_LOOP_MAX = 500
DEPTH_MAX = 50
router = APIRouter(prefix="/ledger", tags=["statements"])
PeriodFilter = Annotated[
    UUID | None,
    Query(description="opening, movements, adjustments and closing of this period"),
]
Depth = Annotated[
    int | None,
    Query(
        ge=1,
        le=DEPTH_MAX,
        description="sum up by so many names of the accounts' codes (1: `assets`, 2: "
        "`assets:bank`); accounts without a code by their type",
    ),
]
Zeros = Annotated[bool, Query(description="also accounts on which nothing is and nothing moved")]


class TrialBalanceTooLong(AppError):
    code, title, status = "trial_balance_too_long", "The trial balance has too many lines", 422


@router.get(
    "/trial-balance",
    summary="Get the trial balance",
    response_model=TrialBalanceOut,
    responses=file_responses("csv")
    | problem_responses(NotFound, TrialBalanceTooLong, SeqNotReached),
)
async def get_trial_balance(
    held: Held,
    as_of: AsOf = None,
    at_seq: AtSeq = None,
    period_id: PeriodFilter = None,
    depth: Depth = None,
    zeros: Zeros = False,
    format: TableFormat = None,  # noqa: A002
    accept: Accept = None,
) -> Response:
    """Every account in the debit or the credit column, and the equal sums of each currency.

    Of now, as effective (`as_of`), as recorded (`at_seq`), or both; or of a period, with what it
    opened with, what moved, what was adjusted, and what it closed with.
    """
    if as_of is not None and period_id is not None:
        raise InvalidRequest("a period has an end of its own: leave `as_of` out")
    seq = await seq_of(held, at_seq)
    period = None if period_id is None else await period_or_404(held, period_id)
    if period is None:
        cut = await cut_of(held, seq, as_of=as_of)
    else:
        cut = await cut_at(held.database, held.ledger_id, seq=seq, before=period.starts_at)
    lines = await trial_balance_lines(
        held.database, held.ledger_id, cut, period=period, depth=depth, zeros=zeros, limit=LINES_MAX
    )
    if len(lines) > LINES_MAX:
        raise TrialBalanceTooLong(
            f"there are more than {LINES_MAX} lines; sum them up with `depth`", lines_max=LINES_MAX
        )
    found = TrialBalance(held.ledger_name, seq, as_of, period, lines)
    wanted = wanted_format(format, accept)
    write = trial_balance_csv if wanted == "csv" else trial_balance_text
    text = await held.workers(write, found) if len(lines) > LINES_ON_LOOP_MAX else write(found)
    if wanted == "csv":
        return file_response(text, wanted, "trial-balance")
    return Response(text, media_type="application/json")

"""The routes that post transactions of many legs, exchange money and reverse."""

from fastapi import APIRouter, Response

from ledger_service.api.answers import refusal_error
from ledger_service.api.bodies import TransactionId
from ledger_service.api.conditions import conditions_of
from ledger_service.api.keys import body_key
from ledger_service.api.models_postings import (
    ExchangeBody,
    PartBody,
    PostingOut,
    ReverseBody,
    ShownPosting,
    ShownTransfer,
    TransactionBody,
)
from ledger_service.api.submit import DryRun, dry_run_answer, submit
from ledger_service.api.transactions import get_transaction
from ledger_service.dependencies import Held
from ledger_service.domain.commands import Exchange, LineAsked, PartAsked, Reverse, Transact
from ledger_service.domain.model import Direction
from ledger_service.domain.refusals import Refusal
from shared.errors import KeyInFlight, KeyReused, NotFound, QueueFull
from shared.idempotency import KeyHeader
from shared.ids import new_id
from shared.problems import body_responses, problem_responses
from shared.strict_json import StrictJSONRoute

TRANSACTION_PATH = "/ledger/transaction/"
EXCHANGE_PATH = "/ledger/exchange/"
router = APIRouter(prefix="/ledger", tags=["transactions"], route_class=StrictJSONRoute)
_OF_ANY_POSTING = (
    Refusal.ACCOUNT_CLOSED,
    Refusal.ACCOUNT_FROZEN,
    Refusal.AMOUNT_MALFORMED,
    Refusal.AMOUNT_SCALE,
    Refusal.AMOUNT_NOT_POSITIVE,
    Refusal.AMOUNT_TOO_LARGE,
    Refusal.EFFECTIVE_IN_FUTURE,
    Refusal.PERIOD_CLOSED,
    Refusal.INSUFFICIENT_FUNDS,
    Refusal.ABOVE_CEILING,
)
_OF_NAMED_ACCOUNTS = (
    Refusal.SAME_ACCOUNT,
    Refusal.UNKNOWN_ACCOUNT,
    Refusal.CURRENCY_MISMATCH,
    Refusal.CONDITION_FAILED,
)


def _refusals(*refusals: Refusal) -> dict[int | str, dict[str, object]]:
    return body_responses() | problem_responses(
        *map(refusal_error, refusals + _OF_ANY_POSTING), KeyReused, KeyInFlight, QueueFull
    )


@router.post(
    "/transaction/",
    status_code=201,
    summary="Post a transaction of many legs",
    response_model=PostingOut,
    responses=dry_run_answer(PostingOut)
    | _refusals(*_OF_NAMED_ACCOUNTS, Refusal.UNBALANCED, Refusal.SHARES_UNDIVIDABLE),
)
async def post_transaction(
    body: TransactionBody, held: Held, key: KeyHeader, dry_run: DryRun = False
) -> Response:
    """Post debits and credits that balance in each currency, all or none.

    Parts with a `share` divide what the other side of their currency has more than the amounts of
    their own side, by the largest remainder. Floors and ceilings bound the net effect of all lines.
    """
    held = await held.of_account(body.debits[0].account_id)
    command = Transact(
        new_id(),
        tuple(
            _asked(part, direction)
            for direction, parts in (
                (Direction.DEBIT, body.debits),
                (Direction.CREDIT, body.credits),
            )
            for part in parts
        ),
        body.reference,
        body.effective_at,
        body.metadata,
        body.adjusting,
        conditions_of(body.conditions),
    )
    asked_under = body_key(key, "post transaction", body.model_dump(mode="json"))
    return await submit(held, command, asked_under, TRANSACTION_PATH, dry_run=dry_run)


@router.post(
    "/exchange/",
    status_code=201,
    summary="Exchange one currency for another",
    response_model=PostingOut,
    responses=dry_run_answer(PostingOut) | _refusals(*_OF_NAMED_ACCOUNTS, Refusal.RATE_MISMATCH),
)
async def post_exchange(
    body: ExchangeBody, held: Held, key: KeyHeader, dry_run: DryRun = False
) -> Response:
    """Sell an amount of the source's currency for one of the destination's.

    What is bought is the exact product of amount and rate, rounded half to even, or one minor unit
    beside it; the rounding account takes that difference.
    """
    held = await held.of_account(body.source_account_id)
    command = Exchange(
        new_id(),
        body.source_account_id,
        body.destination_account_id,
        body.sold_exchange_account_id,
        body.bought_exchange_account_id,
        body.rounding_account_id,
        body.sold,
        body.bought,
        body.rate,
        body.rate_source,
        body.reference,
        body.effective_at,
        body.metadata,
        conditions_of(body.conditions),
    )
    asked_under = body_key(key, "exchange", body.model_dump(mode="json"))
    return await submit(held, command, asked_under, EXCHANGE_PATH, dry_run=dry_run)


@router.post(
    "/transaction/{transaction_id}/reverse",
    status_code=201,
    summary="Reverse a transaction or a part of it",
    response_model=PostingOut,
    responses=dry_run_answer(PostingOut)
    | _refusals(
        Refusal.UNKNOWN_TRANSACTION,
        Refusal.UNBALANCED,
        Refusal.NOT_REVERSIBLE,
        Refusal.REVERSAL_EXCEEDS,
        Refusal.REVERSAL_NEEDS_LINES,
    ),
)
async def reverse_transaction(
    transaction_id: TransactionId,
    body: ReverseBody,
    held: Held,
    key: KeyHeader,
    dry_run: DryRun = False,
) -> Response:
    """Post the opposite of what is left of a transaction, of an amount, or of some lines.

    Never more than was posted, however many reversals there are. The rules of the accounts hold:
    what was spent cannot be taken back.
    """
    command = Reverse(
        new_id(),
        transaction_id,
        body.amount,
        tuple(LineAsked(line.line, line.amount) for line in body.lines),
        body.reference,
        body.effective_at,
        body.metadata,
    )
    asked = body.model_dump(mode="json") | {"transaction_id": str(transaction_id)}
    path = f"{TRANSACTION_PATH}{transaction_id}/reverse"
    return await submit(held, command, body_key(key, "reverse", asked), path, dry_run=dry_run)


router.get(
    "/transaction/{transaction_id}",
    summary="Get a transaction",
    response_model=ShownTransfer | ShownPosting,
    responses=problem_responses(NotFound),
)(get_transaction)


def _asked(part: PartBody, direction: Direction) -> PartAsked:
    return PartAsked(part.account_id, direction, part.amount, part.share)

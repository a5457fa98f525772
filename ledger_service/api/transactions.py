"""Routes that read transactions."""

from functools import partial

from fastapi import APIRouter, Request, Response

from ledger_service.api.answers import json_text, transaction_text
from ledger_service.api.bodies import TransactionId, TransactionPage
from ledger_service.api.documents.transactions import transfer_reversals, with_reversals
from ledger_service.api.lists import HistoryRange, decode_key, encode_key
from ledger_service.api.models_postings import ShownPosting, ShownTransfer
from ledger_service.dependencies import Held
from ledger_service.domain.entries import Transferred
from ledger_service.repositories.transactions import (
    find_reversals,
    find_transaction,
    transactions_page,
    transactions_stream,
)
from shared.errors import InvalidCursor, NotFound, QueueFull
from shared.lists import (
    LIMIT_DEFAULT,
    STREAM_RESPONSES,
    Accept,
    Cursor,
    Limit,
    page_of_documents,
    stream_or_none,
)
from shared.problems import problem_responses

router = APIRouter(prefix="/ledger/transactions", tags=["transactions"])


@router.get(
    "/",
    summary="List transactions",
    response_model=TransactionPage,
    responses=STREAM_RESPONSES | problem_responses(InvalidCursor, QueueFull),
)
async def list_transactions(
    request: Request,
    held: Held,
    wanted: HistoryRange,
    accept: Accept = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """Transactions in the order of the history, one row each.

    With an effective bound and no reference or `after_seq`, pages are in the order of
    (`effective_at`, `seq`). A page may be short though more follow: only the one without
    `next_cursor` is the last. Streams are in the order of `seq`.
    """
    after = decode_key("transactions", wanted, cursor, int)
    statement_for = partial(transactions_stream, held.ledger_id, wanted)
    if stream := await stream_or_none(held.streams, accept, statement_for):
        return stream
    documents, last = await transactions_page(
        held.database, held.ledger_id, wanted, after=after, limit=limit
    )
    following = encode_key("transactions", wanted, last)
    return page_of_documents(request, "transactions", documents, following)


@router.get(
    "/{transaction_id}",
    summary="Get a transaction",
    response_model=ShownTransfer | ShownPosting,
    responses=problem_responses(NotFound),
)
async def get_transaction(transaction_id: TransactionId, held: Held) -> Response:
    """A transaction as it was posted, what reverses it, and what is left to reverse."""
    entry = await find_transaction(held.database, held.ledger_id, transaction_id)
    if entry is None:
        raise NotFound(
            f"there is no transaction {transaction_id}", transaction_id=str(transaction_id)
        )
    reversals = await find_reversals(held.database, held.ledger_id, transaction_id)
    if isinstance(entry.body, Transferred):
        members = json_text(transfer_reversals(entry.body, reversals))
        text = f"{transaction_text(entry)[:-1]},{members[1:]}"
    else:
        text = json_text(with_reversals(entry, reversals))
    return Response(text, media_type="application/json")

"""Routes that read transactions."""

from dataclasses import fields
from decimal import Decimal
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from ledger_service.api.answers import json_text, transaction_text
from ledger_service.api.bodies import TransactionId, TransactionPage
from ledger_service.api.documents.transactions import transfer_reversals, with_reversals
from ledger_service.api.lists import AccountFilter, HistoryRange, decode_key, encode_key
from ledger_service.api.metadata_filters import TransactionMetadata, UndeclaredMetadataKey
from ledger_service.api.models_postings import ShownPosting, ShownTransfer
from ledger_service.dependencies import Held
from ledger_service.domain.entries import Transferred
from ledger_service.repositories.rows import Range
from ledger_service.repositories.transactions import (
    TransactionRange,
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
from shared.money import CURRENCY_PATTERN
from shared.problems import problem_responses
from shared.text import SafeStr

router = APIRouter(prefix="/ledger/transactions", tags=["transactions"])
Kind = Literal["transfer", "transaction", "exchange", "reversal", "hold_captured"]
AmountBound = Annotated[
    SafeStr | None,
    Query(
        pattern=r"^[0-9]{1,18}(\.[0-9]{1,18})?$",
        description="inclusive, of what was moved in `currency`, else in any one",
    ),
]


async def transaction_range(
    wanted: HistoryRange,
    metadata: TransactionMetadata,
    account_id: AccountFilter = None,
    kind: Annotated[Kind | None, Query(description="only of this kind")] = None,
    currency: Annotated[
        str | None, Query(pattern=CURRENCY_PATTERN, description="only what moved this one")
    ] = None,
    amount_from: AmountBound = None,
    amount_to: AmountBound = None,
) -> TransactionRange:
    """Return the transactions that the query parameters name."""
    bounds = {field.name: getattr(wanted, field.name) for field in fields(Range)}
    return TransactionRange(
        **bounds | {"account_id": account_id},
        kind=kind,
        currency=currency,
        amount_from=None if amount_from is None else Decimal(amount_from),
        amount_to=None if amount_to is None else Decimal(amount_to),
        metadata=metadata,
    )


WantedTransactions = Annotated[TransactionRange, Depends(transaction_range)]


@router.get(
    "/",
    summary="List transactions",
    response_model=TransactionPage,
    responses=STREAM_RESPONSES | problem_responses(InvalidCursor, UndeclaredMetadataKey, QueueFull),
)
async def list_transactions(
    request: Request,
    held: Held,
    wanted: WantedTransactions,
    accept: Accept = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """Transactions of all kinds in the order of the history, one row each; all filters together.

    With an effective bound and no reference, account, metadata or `after_seq`, pages are in the
    order of (`effective_at`, `seq`). A page may be short though more follow: only the one without
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

"""The route that moves money."""

from fastapi import APIRouter, Response
from uuid_utils.compat import uuid7

from ledger_service.api.answers import refusal_error
from ledger_service.api.bodies import PostedOut, TransferBody
from ledger_service.api.submit import submit
from ledger_service.dependencies import Held
from ledger_service.domain.commands import Transfer
from ledger_service.domain.refusals import Refusal
from shared.errors import KeyInFlight, KeyReused, QueueFull
from shared.idempotency import KeyHeader, identify
from shared.problems import body_responses, problem_responses
from shared.strict_json import StrictJSONRoute

router = APIRouter(prefix="/ledger/transfer", tags=["transactions"], route_class=StrictJSONRoute)


@router.post(
    "/",
    status_code=201,
    summary="Transfer money",
    response_model=PostedOut,
    responses=body_responses()
    | problem_responses(*map(refusal_error, Refusal), KeyReused, KeyInFlight, QueueFull),
)
async def transfer(body: TransferBody, held: Held, key: KeyHeader) -> Response:
    """Debit the source and credit the destination, both or neither.

    A refusal (422) names its rule in `code` and carries the numbers. With an `Idempotency-Key` a
    retry gets the first answer again, whether it was accepted or refused.
    """
    command = Transfer(
        transaction_id=uuid7(),
        source_account_id=body.source_account_id,
        destination_account_id=body.destination_account_id,
        amount=body.amount,
        currency=body.currency,
        currency_known=held.currencies.scale_of(body.currency) is not None,
        reference=body.reference,
        effective_at=body.effective_at,
        metadata=body.metadata,
    )
    return await submit(held, command, identify(key, "transfer", body.model_dump(mode="json")))

"""The route that moves money."""

from fastapi import APIRouter, Response
from pydantic import TypeAdapter

from ledger_service.api.answers import TRANSFER_PATH, refusal_error, render
from ledger_service.api.bodies import PostedOut, TransferBody
from ledger_service.api.conditions import conditions_of
from ledger_service.api.keys import transfer_key
from ledger_service.api.submit import DryRun, dry_run_answer, held_for, submit
from ledger_service.dependencies import Held, Resources
from ledger_service.domain.batch import Declined, Group, Posted
from ledger_service.domain.commands import Asked, Transfer
from ledger_service.domain.refusals import Refusal
from shared.errors import KeyInFlight, KeyReused, QueueFull
from shared.idempotency import REPLAYED, KeyHeader, plain_key
from shared.ids import new_id
from shared.lean import LeanAnswer, LeanRequest, read_json
from shared.problems import MEDIA_TYPE, body_responses, problem_responses
from shared.strict_json import StrictJSONRoute

router = APIRouter(prefix="/ledger/transfer", tags=["transactions"], route_class=StrictJSONRoute)


@router.post(
    "/",
    status_code=201,
    summary="Transfer money",
    response_model=PostedOut,
    responses=dry_run_answer(PostedOut)
    | body_responses()
    | problem_responses(*map(refusal_error, Refusal), KeyReused, KeyInFlight, QueueFull),
)
async def transfer(
    body: TransferBody, held: Held, key: KeyHeader, dry_run: DryRun = False
) -> Response:
    """Debit the source and credit the destination, both or neither.

    A refusal (422) names its rule in `code` and carries the numbers. With an `Idempotency-Key` a
    retry gets the first answer again, whether it was accepted or refused.
    """
    held = await held.of_account(body.source_account_id)
    command = transfer_command(body, held)
    return await submit(held, command, transfer_key(key, body), TRANSFER_PATH, dry_run=dry_run)


def transfer_command(body: TransferBody, held: Resources) -> Transfer:
    """Return the command that `body` asks for, under a new transaction id."""
    return Transfer(
        new_id(),
        body.source_account_id,
        body.destination_account_id,
        body.amount,
        body.currency,
        held.currencies.scale_of(body.currency) is not None,
        body.reference,
        body.effective_at,
        body.metadata,
        conditions_of(body.conditions) if body.conditions else (),
    )


class LeanTransfer:
    """The same operation for the lean lane: what it cannot take goes the ordinary way."""

    def __init__(self, body_bytes_max: int) -> None:
        self.body_bytes_max = body_bytes_max
        self._bodies = TypeAdapter(TransferBody)

    async def __call__(self, request: LeanRequest) -> LeanAnswer | None:
        if not request.is_json:
            return None
        try:
            key = plain_key(request.header(b"idempotency-key"))
            body = self._bodies.validate_python(read_json(request.body))
        except ValueError:
            return None
        held = await held_for(request, body.source_account_id)
        if held is None:
            return None
        asked = Asked(transfer_command(body, held), transfer_key(key, body))
        (outcome,) = await held.processor.submit(Group((asked,)))
        status, document = render(outcome, TRANSFER_PATH, held.ledger_name)
        is_replayed = isinstance(outcome, Posted | Declined) and outcome.is_replayed
        media_type = "application/json" if status < 400 else MEDIA_TYPE
        headers = REPLAYED if is_replayed else ()
        return LeanAnswer(status, document.encode(), headers, media_type)

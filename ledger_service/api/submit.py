"""Hands a command to the processor and gives its answer back as it was committed."""

from fastapi import Response

from ledger_service.dependencies import Resources
from ledger_service.domain.commands import Command
from shared.idempotency import REPLAYED_HEADER, IdempotencyKey
from shared.problems import MEDIA_TYPE


async def submit(held: Resources, command: Command, key: IdempotencyKey | None) -> Response:
    """Return the committed answer, byte for byte the same however often its key comes again."""
    outcome = await held.processor.submit(command, key)
    answer = outcome.answer
    return Response(
        answer.document,
        answer.status,
        headers={REPLAYED_HEADER: "true"} if outcome.replayed else None,
        media_type="application/json" if answer.status < 400 else MEDIA_TYPE,
    )

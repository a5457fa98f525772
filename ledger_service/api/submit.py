"""Hands a command to the processor and gives its answer back as it was committed."""

from fastapi import Response

from ledger_service.api.answers import render
from ledger_service.dependencies import Resources
from ledger_service.domain.batch import Declined, Group, Posted
from ledger_service.domain.commands import Asked, Command, Key
from shared.idempotency import REPLAYED_HEADER
from shared.problems import MEDIA_TYPE


async def submit(held: Resources, command: Command, key: Key | None, path: str) -> Response:
    """Return the committed answer, byte for byte the same however often its key comes again."""
    (outcome,) = await held.processor.submit(Group((Asked(command, key),)))
    answer = render(outcome, path)
    is_replayed = isinstance(outcome, Posted | Declined) and outcome.is_replayed
    return Response(
        answer.document,
        answer.status,
        headers={REPLAYED_HEADER: "true"} if is_replayed else None,
        media_type="application/json" if answer.status < 400 else MEDIA_TYPE,
    )

"""Hands a command to the processor and gives its answer back as it was committed."""

from typing import Annotated

from fastapi import Query, Response

from ledger_service.api.answers import render
from ledger_service.dependencies import Resources
from ledger_service.domain.batch import Declined, Group, Posted
from ledger_service.domain.commands import Asked, Command, Key
from shared.idempotency import REPLAYED_HEADER
from shared.problems import MEDIA_TYPE

DryRun = Annotated[
    bool,
    Query(description="decide now as ever, answer with what would be, and write nothing"),
]


async def submit(
    held: Resources, command: Command, key: Key | None, path: str, *, dry_run: bool = False
) -> Response:
    """Return the committed answer, byte for byte the same however often its key comes again.

    A dry run is decided in its turn, by the same fold, and forgotten: 200 instead of 201.
    """
    group = Group((Asked(command, key),), is_dry=dry_run)
    (outcome,) = await held.processor.submit(group)
    answer = render(outcome, path)
    is_replayed = isinstance(outcome, Posted | Declined) and outcome.is_replayed
    is_accepted = answer.status < 400
    return Response(
        answer.document,
        200 if dry_run and is_accepted else answer.status,
        headers={REPLAYED_HEADER: "true"} if is_replayed else None,
        media_type="application/json" if is_accepted else MEDIA_TYPE,
    )

"""Hands a command to the processor and gives its answer back as it was committed."""

import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel

from ledger_service.api.answers import render
from ledger_service.dependencies import Resources
from ledger_service.domain.batch import Declined, Group, Posted
from ledger_service.domain.commands import Asked, Command, Key
from shared.idempotency import REPLAYED_HEADER
from shared.lean import LeanRequest
from shared.problems import MEDIA_TYPE

DryRun = Annotated[
    bool,
    Query(description="decide now as ever, answer with what would be, and write nothing"),
]
_LEDGER_ALONE = re.compile(rb"ledger=([a-z][a-z0-9-]{0,62})")


def dry_run_answer(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Declare what a command that answers 201 with `model` answers to a dry run."""
    return {200: {"model": model, "description": "What would be; nothing is written (`dry_run`)"}}


async def held_for(request: LeanRequest, account_id: UUID) -> Resources | None:
    """Return what is held for the ledger that a request in the lean lane means.

    None where the query says anything else; `account_id` is that of the first debit.
    """
    held: Resources = request.state.resources
    if not request.query:
        return await held.of_account(account_id)
    named = _LEDGER_ALONE.fullmatch(request.query)
    return None if named is None else await held.named(named[1].decode())


async def submit(
    held: Resources, command: Command, key: Key | None, path: str, *, dry_run: bool = False
) -> Response:
    """Return the committed answer, byte for byte the same however often its key comes again.

    A dry run is decided in its turn, by the same fold, and forgotten: 200 instead of 201.
    """
    group = Group((Asked(command, key),), is_dry=dry_run)
    (outcome,) = await held.processor.submit(group)
    answer = render(outcome, path, held.ledger_name)
    is_replayed = isinstance(outcome, Posted | Declined) and outcome.is_replayed
    is_accepted = answer.status < 400
    return Response(
        answer.document,
        200 if dry_run and is_accepted else answer.status,
        headers={REPLAYED_HEADER: "true"} if is_replayed else None,
        media_type="application/json" if is_accepted else MEDIA_TYPE,
    )

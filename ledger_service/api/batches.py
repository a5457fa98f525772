"""The route that moves money in thousands of transfers at a time."""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from ledger_service.api.batch_reader import (
    ReadBatch,
    asked_of,
    first_source,
    pack_batch,
    read_batch,
)
from ledger_service.api.bodies import BatchBody, BatchMode, BatchOut
from ledger_service.api.submit import DryRun
from ledger_service.api.verdicts import BatchRefused, Verdicts, batch_refused, raise_if_reused
from ledger_service.dependencies import Held, Resources
from ledger_service.domain.batch import Group, Outcome, Posted
from ledger_service.domain.commands import Key
from shared.errors import AppError, InvalidRequest, KeyInFlight, KeyReused, QueueFull
from shared.idempotency import KeyHeader, plain_key
from shared.lean import LeanAnswer, LeanRequest
from shared.problems import body_responses, problem_responses
from shared.streaming import NDJSON
from shared.strict_json import StrictJSONRoute, StrictRequest

CHUNK_SLICES = 40
"""Slices of an independent batch that are committed together: single ones come in between."""
_WITH_LEDGER = re.compile(rb"(?:(mode=[a-z]+)&)?ledger=([a-z][a-z0-9-]{0,62})")
OTHER_PROCESS_BYTES_MIN = 131_072
"""A smaller body is read faster than it is sent to another process."""


class _LinesRequest(StrictRequest):
    """A request of NDJSON lines, read as the JSON body that says the same."""

    async def json(self) -> Any:
        transfers = []
        for number, line in enumerate((await self.body()).splitlines(), 1):
            if line.strip():
                try:
                    transfers.append(self.read(line))
                except ValueError as error:
                    raise HTTPException(400, f"line {number} is not JSON: {error}") from None
        mode = self.query_params.get("mode", "independent")
        return {"mode": mode, "transfers": transfers}


def _once(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


class BatchRoute(StrictJSONRoute):
    """A route that takes NDJSON as well."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_lines(request: Request) -> Response:
            media_type = request.headers.get("content-type", "").partition(";")[0]
            if media_type.strip().lower() != NDJSON:
                return await handle(request)
            if not (await request.body()).strip():
                raise InvalidRequest("the body holds no transfer")
            headers = [
                (name, b"application/json" if name == b"content-type" else value)
                for name, value in request.scope["headers"]
            ]
            scope = {**request.scope, "headers": headers}
            return await handle(_LinesRequest(scope, _once(await request.body())))

        return handle_lines


router = APIRouter(prefix="/ledger/batch", tags=["transactions"], route_class=BatchRoute)


@router.post(
    "/",
    summary="Transfer money many times",
    response_model=BatchOut,
    responses={
        207: {"model": BatchOut, "description": "Some transfers were posted and some were not"}
    }
    | body_responses()
    | problem_responses(BatchRefused, KeyReused, KeyInFlight, QueueFull),
    openapi_extra={
        "requestBody": {
            "content": {
                NDJSON: {
                    "schema": {
                        "type": "string",
                        "description": "one transfer a line, and `?mode=` in the query",
                    }
                }
            }
        }
    },
)
async def post_batch(
    body: BatchBody,
    held: Held,
    key: KeyHeader,
    mode: Annotated[
        BatchMode | None, Query(description="for NDJSON, which has no place for it")
    ] = None,
    dry_run: DryRun = False,
    accept: Annotated[
        str | None, Header(description=f"`{NDJSON}` gives the verdicts alone, one a line")
    ] = None,
) -> Response:
    """Post up to 10,000 transfers, with a verdict on each, in order.

    `independent`: a refusal touches no other transfer; 200 if all verdicts are alike, else 207.
    `atomic`: one refusal and nothing is posted; the 422 names it by `index`. With an
    `Idempotency-Key` for the batch, or one in each item, a repeated request posts only what the
    first did not, and gets the same verdicts.
    """
    if mode is not None and mode != body.mode:
        raise InvalidRequest("`?mode=` is for NDJSON; the body says otherwise")
    batch = pack_batch(body.mode, body.transfers, key)
    if dry_run:
        answer = await _try(held, batch, as_lines=_wants_lines(accept))
    else:
        answer = await _post(held, batch, as_lines=_wants_lines(accept))
    return Response(answer.body, answer.status, media_type=answer.media_type)


class LeanBatch:
    """The same operation for the lean lane; a large body is read in another process."""

    def __init__(self, body_bytes_max: int) -> None:
        self.body_bytes_max = body_bytes_max

    async def __call__(self, request: LeanRequest) -> LeanAnswer | None:
        held: Resources = request.state.resources
        query = request.query
        if named := _WITH_LEDGER.fullmatch(query):
            held, query = await held.named(named[2].decode()), named[1] or b""
        is_lines = request.headers.get(b"content-type") == NDJSON.encode()
        try:
            key = plain_key(request.header(b"idempotency-key"))
        except ValueError:
            return None
        if not (request.is_json or is_lines):
            return None
        read = partial(read_batch, request.body, query, key, is_json=not is_lines)
        is_large = len(request.body) >= OTHER_PROCESS_BYTES_MIN
        try:
            fields = await held.workers(read) if is_large else read()
        except BrokenProcessPool:  # the process was killed: the ordinary route reads it here
            return None
        if fields is None:
            return None
        as_lines = _wants_lines(request.header(b"accept"))
        return await _post(held, ReadBatch(*fields), as_lines=as_lines)


async def _try(held: Resources, batch: ReadBatch, *, as_lines: bool) -> LeanAnswer:
    """Return the verdicts that the batch would get now, decided together and then forgotten."""
    held = await held.of_account(first_source(batch))
    asked = [one for packed in batch.slices for one in asked_of(packed, held.currencies)]
    is_atomic = batch.mode == "atomic"
    outcomes = await held.processor.submit(Group(asked, is_atomic=is_atomic, is_dry=True))
    if is_atomic and not isinstance(outcomes[0], Posted):
        raise batch_refused(outcomes[0])
    verdicts = Verdicts()
    verdicts.add(outcomes)
    return verdicts.answer(batch.mode, as_lines=as_lines)


async def _post(held: Resources, batch: ReadBatch, *, as_lines: bool) -> LeanAnswer:
    held = await held.of_account(first_source(batch))
    key = None if batch.key is None else Key(*batch.key)
    verdicts = Verdicts()
    if batch.mode == "independent":
        await _post_in_chunks(held, batch.slices, key, verdicts)
    else:
        asked = [one for packed in batch.slices for one in asked_of(packed, held.currencies)]
        outcomes = await held.processor.submit(Group(asked, key, is_atomic=True))
        raise_if_reused(outcomes)
        if not isinstance(outcomes[0], Posted):
            raise batch_refused(outcomes[0])
        verdicts.add(outcomes)
    return verdicts.answer(batch.mode, as_lines=as_lines)


class _Chunk(NamedTuple):
    groups: Sequence[Group]
    answered: "asyncio.Task[list[list[Outcome] | AppError]]"


async def _post_in_chunks(
    held: Resources, slices: Sequence[bytes], key: Key | None, verdicts: Verdicts
) -> None:
    """Post an independent batch. Raises the first error if nothing of it got a verdict.

    One chunk waits in the queue while the one before is written, so that there is always
    something to decide meanwhile. What comes behind those two is not tried once one has failed.
    """
    under_way: deque[_Chunk] = deque()
    errors: list[AppError] = []
    for start in range(0, len(slices), CHUNK_SLICES):
        chunk = slices[start : start + CHUNK_SLICES]
        if errors:
            while under_way:
                errors += await _add_verdicts(under_way.popleft(), verdicts)
            for packed in chunk:
                verdicts.add([errors[-1]] * len(asked_of(packed, held.currencies)))
            continue
        under_way.append(await _send(held, chunk, key, is_first=start == 0))
        if len(under_way) > 1:
            errors += await _add_verdicts(under_way.popleft(), verdicts)
    while under_way:
        errors += await _add_verdicts(under_way.popleft(), verdicts)
    if errors and not verdicts.are_any:
        raise errors[0]


async def _send(
    held: Resources, slices: Sequence[bytes], key: Key | None, *, is_first: bool
) -> _Chunk:
    """Put a chunk into the queue. Raises QueueFull."""
    groups = []
    for packed in slices:
        groups.append(Group(asked_of(packed, held.currencies), key))
        await asyncio.sleep(0)
    return _Chunk(groups, held.processor.submit_many(groups, is_admitted=not is_first))


async def _add_verdicts(chunk: _Chunk, verdicts: Verdicts) -> list[AppError]:
    """Add the verdicts on a chunk, and return the errors that stand in place of some."""
    answered = await chunk.answered
    for group, outcomes in zip(chunk.groups, answered, strict=True):
        if isinstance(outcomes, AppError):
            verdicts.add([outcomes] * len(group.asked))
            continue
        raise_if_reused(outcomes)
        verdicts.add(outcomes)
        await asyncio.sleep(0)
    return [one for one in answered if isinstance(one, AppError)]


def _wants_lines(accept: str | None) -> bool:
    return accept is not None and NDJSON in accept

"""The route that moves money in thousands of transfers at a time."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from ledger_service.api.bodies import BATCH_ITEMS_MAX, BatchBody, BatchItem, BatchMode, BatchOut
from ledger_service.api.keys import batch_key, item_key
from ledger_service.api.transfers import transfer_command
from ledger_service.api.verdicts import BatchRefused, Verdicts, batch_refused, raise_if_reused
from ledger_service.dependencies import Held, Resources
from ledger_service.domain.batch import Group, Posted
from ledger_service.domain.commands import Asked, Key
from shared.errors import AppError, InvalidRequest, KeyInFlight, KeyReused, QueueFull
from shared.idempotency import KeyHeader, plain_key
from shared.lean import LeanAnswer, LeanRequest, read_json
from shared.problems import body_responses, problem_responses
from shared.streaming import NDJSON
from shared.strict_json import StrictJSONRoute, StrictRequest

CHUNK_ITEMS = 2_000
"""Transfers of an independent batch that are committed together: single ones come in between."""
SLICE_ITEMS = 250
"""Items that are checked, decided or rendered before other requests get their turn."""
_QUERIES: dict[bytes, BatchMode] = {
    b"": "independent",
    b"mode=atomic": "atomic",
    b"mode=independent": "independent",
}


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
    answer = await _post(held, body.mode, body.transfers, key, as_lines=_wants_lines(accept))
    return Response(answer.body, answer.status, media_type=answer.media_type)


class LeanBatch:
    """The same operation for the lean lane, checked a slice at a time."""

    def __init__(self, body_bytes_max: int) -> None:
        self.body_bytes_max = body_bytes_max
        self._slices = TypeAdapter(list[BatchItem])

    async def __call__(self, request: LeanRequest) -> LeanAnswer | None:
        try:
            key = plain_key(request.header(b"idempotency-key"))
            mode, items = self._read(request)
            if not 1 <= len(items) <= BATCH_ITEMS_MAX:
                return None
            transfers: list[BatchItem] = []
            for start in range(0, len(items), SLICE_ITEMS):
                transfers += self._slices.validate_python(items[start : start + SLICE_ITEMS])
                await asyncio.sleep(0)
        except ValueError:
            return None
        held: Resources = request.state.resources
        as_lines = _wants_lines(request.header(b"accept"))
        return await _post(held, mode, transfers, key, as_lines=as_lines)

    def _read(self, request: LeanRequest) -> tuple[BatchMode, list[Any]]:
        """Return mode and items; raise ValueError for whatever needs a closer look."""
        if request.is_json and not request.query:
            read = read_json(request.body)
            if isinstance(read, dict) and read.keys() <= {"mode", "transfers"}:
                mode, items = read.get("mode", "independent"), read.get("transfers")
                if mode in ("atomic", "independent") and isinstance(items, list):
                    return mode, items
        elif request.headers.get(b"content-type") == NDJSON.encode() and request.query in _QUERIES:
            lines = request.body.splitlines()
            return _QUERIES[request.query], [read_json(line) for line in lines if line.strip()]
        raise ValueError("not of the plain form")


async def _post(
    held: Resources,
    mode: BatchMode,
    items: Sequence[BatchItem],
    key: str | None,
    *,
    as_lines: bool,
) -> LeanAnswer:
    whole = batch_key(key, mode, items)
    verdicts = Verdicts()
    if mode == "independent":
        await _post_in_chunks(held, items, key, whole, verdicts)
    else:
        group = Group(_asked(held, items, key), whole, is_atomic=True)
        outcomes = await held.processor.submit(group)
        raise_if_reused(outcomes)
        if not isinstance(outcomes[0], Posted):
            raise batch_refused(outcomes[0])
        verdicts.add(outcomes)
    return verdicts.answer(mode, as_lines=as_lines)


async def _post_in_chunks(
    held: Resources,
    items: Sequence[BatchItem],
    key: str | None,
    whole: Key | None,
    verdicts: Verdicts,
) -> None:
    """Post an independent batch; what comes after a chunk that failed is not tried."""
    for start in range(0, len(items), CHUNK_ITEMS):
        groups = []
        for place in range(start, min(start + CHUNK_ITEMS, len(items)), SLICE_ITEMS):
            groups.append(
                Group(_asked(held, items[place : place + SLICE_ITEMS], key, place), whole)
            )
            await asyncio.sleep(0)
        answered = await held.processor.submit_many(groups, is_admitted=start > 0)
        errors = [one for one in answered if isinstance(one, AppError)]
        if start == 0 and len(errors) == len(groups):
            raise errors[0]
        for group, outcomes in zip(groups, answered, strict=True):
            if isinstance(outcomes, AppError):
                verdicts.add([outcomes] * len(group.asked))
                continue
            raise_if_reused(outcomes)
            verdicts.add(outcomes)
            await asyncio.sleep(0)
        if errors:
            verdicts.add([errors[-1]] * (len(items) - len(verdicts)))
            return


def _asked(
    held: Resources, items: Sequence[BatchItem], key: str | None, start: int = 0
) -> list[Asked]:
    return [
        Asked(transfer_command(item, held), item_key(key, place, item))
        for place, item in enumerate(items, start)
    ]


def _wants_lines(accept: str | None) -> bool:
    return accept is not None and NDJSON in accept

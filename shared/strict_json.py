"""Reads JSON bodies strictly: an object that names a key twice means two things and is refused."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException


class _StrictRequest(Request):
    async def json(self) -> Any:
        return json.loads(
            await self.body(),
            object_pairs_hook=_refuse_repeated_keys,
            parse_constant=_refuse_constant,
        )


class StrictJSONRoute(APIRoute):
    """A route whose body may not repeat a key, nor hold NaN or Infinity."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return handle_strictly


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise HTTPException(400, "the body names a key twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise HTTPException(400, f"the body holds {name}, which is not JSON")

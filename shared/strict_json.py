"""Reads JSON bodies strictly: an object that names a key twice means two things and is refused."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException


class StrictRequest(Request):
    """A request whose JSON may not repeat a key, nor hold NaN or Infinity."""

    async def json(self) -> Any:
        return self.read(await self.body())

    @staticmethod
    def read(text: bytes) -> Any:
        """Return the JSON value; raise HTTPException (400) or ValueError."""
        return json.loads(
            text, object_pairs_hook=_refuse_repeated_keys, parse_constant=_refuse_constant
        )


class StrictJSONRoute(APIRoute):
    """A route whose body may not repeat a key, nor hold NaN or Infinity."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            if isinstance(request, StrictRequest):
                return await handle(request)
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise HTTPException(400, "the body names a key twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise HTTPException(400, f"the body holds {name}, which is not JSON")

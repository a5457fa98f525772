"""A lane of its own for the hottest routes: the same operations without a framework's cost.

An ordinary FastAPI route spends more time on parsing, dependencies, middleware and responses than
PostgreSQL does on a transfer. A lean route is offered each request to its path before all that. It
takes those it can answer; any other (malformed, too large, unusual) it declines, and the request
goes on to the ordinary route of the same path, which answers, or refuses, as Swagger describes.
"""

import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import jiter
import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import State
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid4

from shared.errors import AppError, InternalError
from shared.problems import MEDIA_TYPE, problem_body

SLOW_SECONDS = 1.0
log = structlog.get_logger()
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_JSON_TYPE = re.compile(rb'application/json(;\s*charset="?utf-8"?)?', re.IGNORECASE)


class LeanAnswer(NamedTuple):
    """A status, a body of JSON, and headers beyond those that every answer has."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    media_type: str = "application/json"


class LeanRequest(NamedTuple):
    """What a lean route sees of a request: the application's state, headers, and the whole body."""

    state: State
    headers: Mapping[bytes, bytes]
    query: bytes
    body: bytes

    def header(self, name: bytes) -> str | None:
        """Return a header as text, None where it was not sent."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def is_json(self) -> bool:
        return bool(_JSON_TYPE.fullmatch(self.headers.get(b"content-type", b"")))


class LeanRoute(Protocol):
    """An operation that answers what it can, up to `body_bytes_max`, and declines with None."""

    body_bytes_max: int

    async def __call__(self, request: LeanRequest) -> LeanAnswer | None: ...


def read_json(text: bytes) -> Any:
    """Return the value; raise ValueError if it is not JSON, or names a key twice."""
    return jiter.from_json(text, allow_inf_nan=False, catch_duplicate_keys=True)


class LeanLane:
    """An ASGI application that offers POST requests to lean routes before anything else sees them.

    Their successes are counted in the metrics but not logged one by one: the journal has them.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        state: State,
        routes: Mapping[str, LeanRoute],
        fixed_headers: Mapping[str, str],
        requests: Counter,
        seconds: Histogram,
    ) -> None:
        self._app = app
        self._state = state
        self._routes = {path: (path, route) for path, route in routes.items()}
        self._routes |= {path.rstrip("/"): (path, route) for path, route in routes.items()}
        self._fixed_headers = [
            (name.lower().encode(), value.encode()) for name, value in fixed_headers.items()
        ]
        self._requests = requests
        self._seconds = {path: seconds.labels("POST", path) for path in routes}
        self._children: dict[tuple[str, int], Counter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if found is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        path, route = found
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = str(uuid4()).encode()
        messages = await _messages(receive, route.body_bytes_max)
        answer = None
        if _is_whole(messages) and len(headers) == len(scope["headers"]):  # none is repeated
            body = b"".join([message.get("body", b"") for message in messages])
            request = LeanRequest(self._state, headers, scope["query_string"], body)
            answer = await self._answer(path, route, request, request_id)
        if answer is None:
            await self._app(scope, _again(messages, receive), send)
            return
        await self._send(send, answer, request_id)
        self._record(path, answer.status, time.perf_counter() - started, request_id)

    async def _answer(
        self, path: str, route: LeanRoute, request: LeanRequest, request_id: bytes
    ) -> LeanAnswer | None:
        try:
            return await route(request)
        except AppError as error:
            return _problem(error, path)
        except Exception as error:
            log.error("unexpected_error", exc_info=error, request_id=request_id.decode())
            detail = "the error is in the service's log under this request's id"
            return _problem(InternalError(detail), path)

    async def _send(self, send: Send, answer: LeanAnswer, request_id: bytes) -> None:
        status, body, more, media_type = answer
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", request_id),
            *self._fixed_headers,
            *more,
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _record(self, path: str, status: int, seconds: float, request_id: bytes) -> None:
        self._seconds[path].observe(seconds)
        count = self._children.get((path, status))
        if count is None:
            count = self._children[path, status] = self._requests.labels("POST", path, status)
        count.inc()
        if status >= 400 or seconds > SLOW_SECONDS:
            log.info(
                "request",
                method="POST",
                path=path,
                status=status,
                ms=round(seconds * 1000, 2),
                request_id=request_id.decode(),
            )


def _problem(error: AppError, path: str) -> LeanAnswer:
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if error.retry_after_seconds is not None:
        headers = ((b"retry-after", str(error.retry_after_seconds).encode()),)
    return LeanAnswer(error.status, problem_body(error, path), headers, MEDIA_TYPE)


async def _messages(receive: Receive, bytes_max: int) -> list[Message]:
    """Return the messages of a body, or the first ones of a body that is too large."""
    messages, length = [], 0
    while True:
        message = await receive()
        messages.append(message)
        length += len(message.get("body", b""))
        if not message.get("more_body", False) or length > bytes_max:
            return messages


def _is_whole(messages: list[Message]) -> bool:
    last = messages[-1]
    return last["type"] == "http.request" and not last.get("more_body", False)


def _again(taken: list[Message], receive: Receive) -> Receive:
    """Return a `receive` that first gives the messages again that were already taken."""
    messages = taken[::-1]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again

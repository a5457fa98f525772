"""Builds a service's FastAPI application: limits, request ids, problems, docs, probes, metrics."""

import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import PlainTextResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.lean import LeanLane, LeanRoute
from shared.problems import install_problem_handlers

REQUEST_ID_HEADER = "X-Request-ID"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Metrics:
    """A service's Prometheus registry with what every service counts."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    requests: Counter = field(init=False)
    seconds: Histogram = field(init=False)

    def __post_init__(self) -> None:
        ProcessCollector(registry=self.registry)
        labels = ("method", "route", "status")
        requests = Counter("http_requests", "answers", labels, registry=self.registry)
        seconds = Histogram(
            "http_request_seconds", "time to answer", ("method", "route"), registry=self.registry
        )
        object.__setattr__(self, "requests", requests)
        object.__setattr__(self, "seconds", seconds)


class _Service(FastAPI):
    """A FastAPI application with a lane in front of all that the framework does to a request."""

    lane: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.lane(scope, receive, send)

    async def call_framework(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request that no lean route takes."""
        await super().__call__(scope, receive, send)


def create_service(
    *,
    title: str,
    description: str,
    version: str,
    routers: Sequence[APIRouter],
    body_bytes_max: int,
    body_bytes_max_by_path: Mapping[str, int | None] = MappingProxyType({}),
    lean_routes: Mapping[str, LeanRoute] = MappingProxyType({}),
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    readiness: Callable[[FastAPI], Awaitable[dict[str, Any]]],
    examples: Callable[[FastAPI], Awaitable[Mapping[str, str]]],
) -> FastAPI:
    """Return an application with `routers` and all that every service has.

    `readiness` returns facts for /readyz or raises Unavailable (503). Bodies are capped;
    `body_bytes_max_by_path` has other caps, None where a route counts for itself. `lean_routes` are
    offered the POST requests to their paths first, see shared/lean.py. `examples` maps ids in the
    OpenAPI document to ids that exist, so that its examples work when pressed. `app.state.metrics`
    holds the Metrics; paths answer with and without their trailing slash.
    """
    app = _Service(
        title=title,
        description=description,
        version=version,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.router.routes += _offline_pages(title)
    app.state.metrics = Metrics()
    app.state.routers = routers
    install_problem_handlers(app)
    for router in routers:
        app.include_router(router)
    _add_probes(app, readiness)
    _serve_openapi(app, examples)
    app.add_middleware(
        _BodyLimitMiddleware, bytes_max=body_bytes_max, by_path=body_bytes_max_by_path
    )
    app.add_middleware(_SlashMiddleware, collections=_collection_paths(routers))
    app.add_middleware(_RequestMiddleware, metrics=app.state.metrics)
    app.lane = LeanLane(
        app.call_framework,
        state=app.state,
        routes=lean_routes,
        fixed_headers=_SECURITY_HEADERS,
        requests=app.state.metrics.requests,
        seconds=app.state.metrics.seconds,
    )
    return app


def _offline_pages(title: str) -> list[BaseRoute]:
    """Return the routes of Swagger UI and ReDoc with their assets, which need no other host."""
    offline: FastAPI = FastAPIOffline(title=title)
    ours = ("/static-offline-docs", "/docs", "/redoc")
    return [route for route in offline.router.routes if getattr(route, "path", "").startswith(ours)]


def _add_probes(app: FastAPI, readiness: Callable[[FastAPI], Awaitable[dict[str, Any]]]) -> None:
    @app.get("/livez", tags=["operations"], summary="Tell whether the process runs")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/readyz",
        tags=["operations"],
        summary="Tell whether the service can work",
        responses={503: {"description": "Problem: the service cannot work now"}},
    )
    async def readyz() -> dict[str, Any]:
        return {"status": "ok", **await readiness(app)}

    @app.get(
        "/metrics",
        tags=["operations"],
        summary="Figures in Prometheus' text format",
        response_class=PlainTextResponse,
    )
    async def metrics() -> Response:
        return Response(generate_latest(app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _serve_openapi(
    app: FastAPI, examples: Callable[[FastAPI], Awaitable[Mapping[str, str]]]
) -> None:
    """Serve the OpenAPI document with examples that exist in this database."""
    path = app.openapi_url or "/openapi.json"
    app.router.routes[:] = [
        route for route in app.router.routes if getattr(route, "path", None) != path
    ]

    @app.get(path, include_in_schema=False)
    async def openapi() -> Response:
        document = json.dumps(app.openapi())
        for placeholder, existing in (await examples(app)).items():
            document = document.replace(placeholder, existing)
        return Response(document, media_type="application/json")


def _collection_paths(routers: Sequence[APIRouter]) -> frozenset[str]:
    paths = (getattr(route, "path", "") for router in routers for route in router.routes)
    return frozenset(path for path in paths if path.endswith("/"))


class _SlashMiddleware:
    """Lets every path be written with or without a trailing slash, without a redirect."""

    def __init__(self, app: ASGIApp, collections: frozenset[str]) -> None:
        self._app = app
        self._collections = collections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            if path + "/" in self._collections:
                scope["path"] = path + "/"
            elif path.endswith("/") and path not in self._collections:
                shorter = path[:-1]
                if shorter and not shorter.endswith("/"):  # an empty last part names nothing
                    scope["path"] = shorter
        await self._app(scope, receive, send)


class _BodyLimitMiddleware:
    """Stops reading a body at its limit; the error is raised to the route, so it is a problem.

    FastAPI's own limit answers in plain text and without the request's id.
    """

    def __init__(self, app: ASGIApp, bytes_max: int, by_path: Mapping[str, int | None]) -> None:
        self._app = app
        self._bytes_max = bytes_max
        self._by_path = by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_http = scope["type"] == "http"
        bytes_max = self._by_path.get(scope["path"], self._bytes_max) if is_http else None
        if bytes_max is None:
            await self._app(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > bytes_max:
                raise HTTPException(413, f"the body has more than {bytes_max} bytes")
            return message

        await self._app(scope, receive_counted, send)


class _RequestMiddleware:
    """Gives each request an id, measures it, logs it, and sets the security headers."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        offered = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = offered if _REQUEST_ID.fullmatch(offered) else str(uuid.uuid4())
        started = time.perf_counter()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                for name, value in _SECURITY_HEADERS.items():
                    headers[name] = value
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_headers)
            except ClientDisconnect:
                log.info("client_left", path=scope["path"])
            finally:
                self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(scope["method"], route, status).inc()
        self._metrics.seconds.labels(scope["method"], route).observe(seconds)
        if route not in {"/livez", "/readyz", "/metrics"}:
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round(seconds * 1000, 2),
            )

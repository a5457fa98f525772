"""Renders every error as an RFC 9457 `application/problem+json` document."""

import asyncio
import socket
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match

from shared.errors import AppError, DatabaseUnavailable, InvalidRequest

MEDIA_TYPE = "application/problem+json"
_TYPE_BASE = "urn:kairon:problem:"
_STATUS_CODES = {
    400: ("malformed_request", "The request cannot be read"),
    404: ("not_found", "There is no such thing"),
    405: ("method_not_allowed", "The path does not take this method"),
    413: ("body_too_large", "The body is larger than the service takes"),
    415: ("unsupported_media_type", "The body is not of a media type that this path takes"),
}
_DATABASE_ERRORS = (
    DBAPIError,
    PoolTimeout,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_ERRORS_SHOWN_MAX = 20
_INPUT_SHOWN_CHARS_MAX = 100
log = structlog.get_logger()


class Problem(BaseModel):
    """An error as RFC 9457 describes it; members beyond these depend on `code`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:kairon:problem:not_found"])
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(description="stable name of the error, made for programs")


def install_problem_handlers(app: FastAPI) -> None:
    """Make `app` answer every error, expected or not, as a problem document."""
    app.add_exception_handler(AppError, _render_app_error)
    app.add_exception_handler(RequestValidationError, _render_validation_error)
    app.add_exception_handler(HTTPException, _render_http_exception)
    for unreachable in (
        DBAPIError,
        PoolTimeout,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
    ):
        app.add_exception_handler(unreachable, _render_database_error)
    app.add_exception_handler(OSError, _render_database_error)
    app.add_exception_handler(Exception, _render_unexpected)


def problem_responses(*errors: type[AppError]) -> dict[int | str, dict[str, Any]]:
    """Declare `errors`, and those that any operation may answer, for a route's `responses=`."""
    codes: dict[int, list[str]] = {500: ["internal_error"], 503: [DatabaseUnavailable.code]}
    declared: tuple[type[AppError], ...] = (InvalidRequest, *errors)
    for error in declared:
        codes.setdefault(error.status, []).append(error.code)
    return {
        status: {
            "model": Problem,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            "description": "Problem: " + ", ".join(f"`{name}`" for name in dict.fromkeys(names)),
        }
        for status, names in sorted(codes.items())
    }


def body_responses() -> dict[int | str, dict[str, Any]]:
    """Declare what any operation with a JSON body may answer beyond `problem_responses`."""
    return {
        status: {
            "model": Problem,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            "description": f"Problem: `{_STATUS_CODES[status][0]}`",
        }
        for status in (400, 413, 415)
    }


def problem_document(error: AppError, instance: str) -> dict[str, Any]:
    """Return the members of the problem document for `error` at the path `instance`."""
    return {
        **error.extensions,
        "type": _TYPE_BASE + error.code,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": instance,
        "code": error.code,
    }


def problem_body(error: AppError, instance: str) -> bytes:
    """Return the bytes of the problem document for `error`, as every route sends them."""
    return bytes(JSONResponse(problem_document(error, instance)).body)


def _respond(
    request: Request,
    *,
    status: int,
    code: str,
    title: str,
    detail: str,
    headers: dict[str, str] | None = None,
    **extensions: Any,
) -> JSONResponse:
    document = {
        **extensions,
        "type": _TYPE_BASE + code,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": _printable(request.url.path),
        "code": code,
    }
    return JSONResponse(document, status, headers=headers, media_type=MEDIA_TYPE)


async def _render_app_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    document = problem_document(error, _printable(request.url.path))
    return JSONResponse(document, error.status, headers=headers, media_type=MEDIA_TYPE)


async def _render_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if any(tuple(one["loc"]) == ("body",) for one in errors) and not _is_json(request):
        return await _render_http_exception(
            request, HTTPException(415, "send the body as application/json")
        )
    shown = [
        {
            "location": [_printable(str(part)) for part in one["loc"]],
            "message": _printable(str(one["msg"])),
            "kind": one["type"],
        }
        for one in errors[:_ERRORS_SHOWN_MAX]
    ]
    first = shown[0]
    return _respond(
        request,
        status=422,
        code=InvalidRequest.code,
        title=InvalidRequest.title,
        detail=f"{'.'.join(first['location'])}: {first['message']}",
        errors=shown,
    )


async def _render_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = _allowed_methods(request)
    code, title = _STATUS_CODES.get(error.status_code, (f"http_{error.status_code}", error.detail))
    return _respond(
        request,
        status=error.status_code,
        code=code,
        title=title,
        detail=str(error.detail),
        headers=headers,
    )


async def _render_database_error(request: Request, error: Exception) -> JSONResponse:
    """A lost or refused connection is a 503 that may be retried; any other one is our mistake."""
    if not is_connection_trouble(error):
        return await _render_unexpected(request, error)
    log.warning("database_unavailable", error=repr(error))
    return await _render_app_error(
        request, DatabaseUnavailable("the database does not answer; try again later")
    )


async def _render_unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected_error", exc_info=error)
    return _respond(
        request,
        status=500,
        code="internal_error",
        title="The service made a mistake",
        detail="the error is in the service's log under this request's id",
    )


def is_connection_trouble(error: BaseException) -> bool:
    """Tell whether `error` means that the database could not be reached or went away."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        return error.orig is not None and is_connection_trouble(error.orig.__cause__ or error.orig)
    if isinstance(error, ValueError):  # asyncpg's own refusal of a value is an InterfaceError too
        return False
    return isinstance(
        error,
        (
            ConnectionError,
            socket.gaierror,
            PoolTimeout,
            asyncio.TimeoutError,
            asyncpg.PostgresConnectionError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            asyncpg.OperatorInterventionError,
            asyncpg.InsufficientResourcesError,
            asyncpg.CannotConnectNowError,
            asyncpg.ReadOnlySQLTransactionError,  # a standby that took over the address
        ),
    )


def _allowed_methods(request: Request) -> str:
    """Return every method of the path; the router itself names only those of its first route."""
    allowed: set[str] = set()
    for router in request.app.state.routers:
        for route in router.routes:
            if route.matches(request.scope)[0] is not Match.NONE:
                allowed |= route.methods
    return ", ".join(sorted(allowed)) or "GET"


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def _printable(text: str) -> str:
    """Cut `text` and replace what UTF-8 cannot carry, so that echoing it is always safe."""
    return text[:_INPUT_SHOWN_CHARS_MAX].encode("utf-8", "backslashreplace").decode()

"""The errors that every service can answer with; each class is one stable problem `code`.

AppError
├── InvalidRequest          422  the request does not have the declared form
├── InvalidCursor           422  a page cursor that we did not make
├── NotFound                404
├── Conflict                409
│   └── KeyInFlight         409  the first request under this Idempotency-Key is still under way
├── KeyReused               422  the Idempotency-Key came with another request before
├── InternalError           500  a mistake of the service itself; the log has its trace
└── Unavailable             503  try again later; safe with the same Idempotency-Key
    ├── QueueFull           503
    └── DatabaseUnavailable 503
"""

from typing import Any, ClassVar


class AppError(Exception):
    """A refusal with a stable `code`, a `title`, an HTTP `status` and facts as extensions.

    `extensions` become members of the problem document: numbers and ids that let a program act on
    the refusal without reading its sentence.
    """

    code: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]
    retry_after_seconds: ClassVar[int | None] = None

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extensions = extensions


class InvalidRequest(AppError):
    code, title, status = "invalid_request", "The request does not have the declared form", 422


class InvalidCursor(AppError):
    code, title, status = "invalid_cursor", "The cursor is not one of ours", 422


class NotFound(AppError):
    code, title, status = "not_found", "There is no such thing", 404


class Conflict(AppError):
    code, title, status = "conflict", "The request conflicts with the present state", 409


class KeyInFlight(Conflict):
    code, title = "idempotency_key_in_flight", "The first request under this key is under way"
    retry_after_seconds = 1


class KeyReused(AppError):
    code, title, status = "idempotency_key_reused", "The key belongs to another request", 422


class InternalError(AppError):
    code, title, status = "internal_error", "The service made a mistake", 500


class Unavailable(AppError):
    code, title, status = "unavailable", "The service cannot answer now", 503
    retry_after_seconds = 1


class QueueFull(Unavailable):
    code, title = "queue_full", "More work is waiting than the service takes"


class DatabaseUnavailable(Unavailable):
    code, title = "database_unavailable", "The database does not answer"

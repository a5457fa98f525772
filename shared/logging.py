"""JSON logs on standard error, one line an event, with the request id that caused it."""

import logging
import sys
from typing import Any

import structlog

SECRET_KEYS = frozenset({"authorization", "password", "api_key", "database_url", "iban", "secret"})


def configure_logging(service: str, level: str = "INFO") -> None:
    """Send every log line of this process, the libraries' too, through one JSON renderer."""
    shared_steps: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
    ]
    structlog.configure(
        processors=[*shared_steps, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared_steps,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _name_service(service),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = name != "uvicorn.access"
    for name in ("httpx", "httpcore", "apscheduler"):
        logging.getLogger(name).setLevel("WARNING")


def current_request_id() -> str | None:
    """Return the id of the request that this task serves, None outside of one."""
    found: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return found


def _name_service(service: str) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        return {"service": service, **event}

    return add


def _redact(_logger: Any, _method: str, event: Any) -> Any:
    for key in event.keys() & SECRET_KEYS:
        event[key] = "***"
    return event

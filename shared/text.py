"""Text that PostgreSQL and JSON can both carry."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

_REFUSED = re.compile("[\\0\ud800-\udfff]")
JSON_DEPTH_MAX = 8
JSON_ITEMS_MAX = 500
JSON_TEXT_CHARS_MAX = 4_000
JSON_INTEGER_MAX = 2**53 - 1
JSON_FRACTION_MIN = 1e-15
YEAR_MIN = 1900


def require_storable(text: str) -> str:
    """Return `text`; raise ValueError if it holds NUL or a lone surrogate."""
    if _REFUSED.search(text):
        raise ValueError("holds a NUL character or a lone surrogate")
    return text


def require_storable_json(value: dict[str, Any]) -> dict[str, Any]:
    """Return `value`; raise ValueError if any part of it cannot be stored and read back alike.

    Bounds depth, number of items and lengths; refuses NaN, infinities and numbers beyond 2^53-1
    or below 1e-15, which other JSON readers would change.
    """
    items_left = JSON_ITEMS_MAX
    pending: list[tuple[Any, int]] = [(value, 1)]
    while pending:
        part, depth = pending.pop()
        items_left -= 1
        if items_left < 0:
            raise ValueError(f"holds more than {JSON_ITEMS_MAX} values")
        if depth > JSON_DEPTH_MAX:
            raise ValueError(f"is nested deeper than {JSON_DEPTH_MAX}")
        if isinstance(part, dict):
            for key, inner in part.items():
                _require_text(key)
                pending.append((inner, depth + 1))
        elif isinstance(part, list):
            pending.extend((inner, depth + 1) for inner in part)
        else:
            _require_scalar(part)
    return value


def _require_scalar(part: Any) -> None:
    if isinstance(part, str):
        _require_text(part)
    elif isinstance(part, float | int) and not abs(part) <= JSON_INTEGER_MAX:
        raise ValueError("holds a number beyond 2^53-1; send it as a string")
    elif isinstance(part, float) and 0 < abs(part) < JSON_FRACTION_MIN:
        raise ValueError(f"holds a number below {JSON_FRACTION_MIN}; send it as a string")


def _require_text(text: str) -> None:
    require_storable(text)
    if len(text) > JSON_TEXT_CHARS_MAX:
        raise ValueError(f"holds a text of more than {JSON_TEXT_CHARS_MAX} characters")


def _require_rfc3339(value: Any) -> Any:
    """Let a text of RFC 3339 with offset pass; numbers and half dates would be guessed at."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("is not an RFC 3339 time with offset, like 2025-07-13T10:00:00Z")
    return value


def _require_day(value: Any) -> Any:
    """Let a text of the form YYYY-MM-DD pass; a number would be taken for seconds since 1970."""
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("is not a day like 2025-07-13")
    if not isinstance(value, str | date):
        raise ValueError("is not a day like 2025-07-13")
    return value


_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)


def _within_calendar(instant: datetime) -> datetime:
    """Return the instant in UTC; the calendar's ends cannot be stored or converted safely."""
    try:
        in_utc = instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("lies beyond the calendar") from error
    if in_utc.year < YEAR_MIN:
        raise ValueError(f"lies before the year {YEAR_MIN}")
    return in_utc


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
Day = Annotated[date, BeforeValidator(_require_day, json_schema_input_type=str)]
Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_require_rfc3339, json_schema_input_type=str),
    AfterValidator(_within_calendar),
]
SafeStr = Annotated[str, AfterValidator(require_storable)]
Metadata = Annotated[
    dict[str, Any],
    AfterValidator(require_storable_json),
    Field(description="free JSON that travels with the entry; never read by a rule"),
]

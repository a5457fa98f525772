"""The one place that asks the operating system for the time."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current instant, aware, in UTC."""
    return datetime.now(UTC)


def instant_text(instant: datetime) -> str:
    """Return an aware instant as RFC 3339 in UTC with microseconds."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

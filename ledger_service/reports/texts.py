"""How reports write amounts, days and what people wrote."""

from datetime import UTC, datetime, time

from shared.money import format_minor

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
MINUS = "\N{MINUS SIGN}"


def grouped(amount_minor: int, scale: int) -> str:
    """Return an amount for people: thousands by commas, a true minus."""
    whole, point, decimals = format_minor(abs(amount_minor), scale).partition(".")
    sign = MINUS if amount_minor < 0 else ""
    return f"{sign}{int(whole):,}{point}{decimals}"


def day(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d}"


def minute(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def is_midnight(instant: datetime) -> bool:
    """Tell whether a day (UTC) begins with it."""
    return instant.astimezone(UTC).time() == time.min


def csv_cell(text: str | None) -> str:
    """Return what people wrote as a spreadsheet may open it: never a formula."""
    if text is None:
        return ""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text

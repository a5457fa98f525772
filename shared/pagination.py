"""Opaque cursors for keyset pages."""

import base64
import binascii
import json
from typing import Any

from shared.errors import InvalidCursor

PAGE_LIMIT_DEFAULT = 50
PAGE_LIMIT_MAX = 500
CURSOR_CHARS_MAX = 512


def encode_cursor(kind: str, *values: int | str) -> str:
    """Return a cursor that names the last row of a page of `kind` by its key `values`."""
    text = json.dumps([kind, *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(kind: str, cursor: str | None, *types: type) -> tuple[Any, ...] | None:
    """Return the key values of `cursor`, None for no cursor; raise InvalidCursor if not ours."""
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        found_kind, *values = json.loads(text)
    except (ValueError, binascii.Error, TypeError, RecursionError) as error:
        raise InvalidCursor("the cursor cannot be read; begin with the first page") from error
    fits = [type(value) for value in values] == list(types)
    if found_kind != kind or not fits or any(_too_big(value) for value in values):
        raise InvalidCursor("the cursor belongs to another list; begin with the first page")
    return tuple(values)


def _too_big(value: int | str) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**63

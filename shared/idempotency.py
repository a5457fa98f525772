"""The Idempotency-Key header: its form, its hash and the fingerprint of a request."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header

from shared.errors import InvalidRequest

KEY_CHARS_MAX = 255
REPLAYED_HEADER = "Idempotency-Replayed"
REPLAYED = ((b"idempotency-replayed", b"true"),)
KEY_PATTERN = r"^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$"
_KEY = re.compile(KEY_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key, hashed, with the fingerprint of the request that it came with."""

    key_hash: bytes
    fingerprint: bytes


async def idempotency_header(
    idempotency_key: Annotated[
        str | None,
        Header(
            description="makes a retry safe: the same key and body get the first answer again",
            max_length=KEY_CHARS_MAX + 2,
        ),
    ] = None,
) -> str | None:
    """Return the key, quoted or bare as clients send it; raise InvalidRequest if ill-formed."""
    try:
        return plain_key(idempotency_key)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def plain_key(key: str | None) -> str | None:
    """Return the key without its quotes, if it has any; raise ValueError if it is ill-formed."""
    if key is None:
        return None
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not _KEY.fullmatch(key):
        raise ValueError(f"Idempotency-Key is 1 to {KEY_CHARS_MAX} visible ASCII characters")
    return key


KeyHeader = Annotated[str | None, Depends(idempotency_header)]


def identify(key: str | None, operation: str, body: Any) -> IdempotencyKey | None:
    """Return the hashed key with the fingerprint of `operation` and `body`, None without a key."""
    if key is None:
        return None
    canonical = json.dumps([operation, body], sort_keys=True, separators=(",", ":"))
    return IdempotencyKey(
        key_hash=hashlib.sha256(key.encode()).digest(),
        fingerprint=hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).digest(),
    )

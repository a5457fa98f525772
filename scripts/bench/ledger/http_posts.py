"""The least of HTTP that posting JSON over a kept connection needs."""

import asyncio
import json
from typing import Any


def request_bytes(path: str, document: dict[str, Any], *, key: str | None = None) -> bytes:
    """Return a whole POST request, with an Idempotency-Key where one is given."""
    body = json.dumps(document, separators=(",", ":")).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: ledger\r\nContent-Type: application/json\r\n"
    head += f"Idempotency-Key: {key}\r\n" if key else ""
    return head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


async def post(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bytes]:
    """Send a request and return the status and the body of its answer."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)

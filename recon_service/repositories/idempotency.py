"""First answers under an Idempotency-Key, kept in the atomic step that they answer for."""

from dataclasses import dataclass

import asyncpg

from shared.errors import KeyInFlight, KeyReused
from shared.idempotency import IdempotencyKey

# One request under a key at a time.
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('idempotency ' || $1, 0))"
_FIND = "SELECT fingerprint, status, answer FROM recon.idempotency WHERE key_hash = $1"
_KEEP = """
INSERT INTO recon.idempotency (key_hash, fingerprint, status, answer, recorded_at)
VALUES ($1, $2, $3, $4, now())
"""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer that a key was given."""

    status: int
    document: str


async def first_answer(
    connection: asyncpg.Connection, key: IdempotencyKey | None
) -> KeptAnswer | None:
    """Return the answer that `key` was given; hold the key until the transaction ends.

    Raises KeyInFlight while another request holds it, KeyReused if it answered another request.
    """
    if key is None:
        return None
    if not await connection.fetchval(_LOCK, key.key_hash.hex()):
        raise KeyInFlight("the first request under this Idempotency-Key is still under way")
    row = await connection.fetchrow(_FIND, key.key_hash)
    if row is None:
        return None
    if row["fingerprint"] != key.fingerprint:
        raise KeyReused("this Idempotency-Key came with another request before")
    return KeptAnswer(row["status"], row["answer"])


async def keep_answer(
    connection: asyncpg.Connection, key: IdempotencyKey | None, status: int, document: str
) -> None:
    """Keep the answer for every repetition of the request."""
    if key is not None:
        await connection.execute(_KEEP, key.key_hash, key.fingerprint, status, document)

"""From an Idempotency-Key header and a body to the key under which the ledger keeps the outcome."""

import json
from collections.abc import Sequence
from hashlib import sha256
from json.encoder import encode_basestring_ascii
from typing import Any

from ledger_service.api.bodies import BatchItem, TransferBody
from ledger_service.api.models_accounts import OpenAccountBody
from ledger_service.domain.commands import Key
from shared.idempotency import identify

HASH_BYTES = 16
_ADDED_LATER = ("code", "ceiling", "limits_on")
_sorted = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def body_key(key: str | None, operation: str, body: Any) -> Key | None:
    """Return the key for `operation` with a body of plain JSON values."""
    identified = identify(key, operation, body)
    if identified is None:
        return None
    return Key(identified.key_hash[:HASH_BYTES], identified.fingerprint[:HASH_BYTES])


def opening_key(key: str | None, body: OpenAccountBody) -> Key | None:
    """Return the key of an opening.

    Keys outlive the programs that hash them: what was added later counts only where it is sent.
    """
    unsent = {name for name in _ADDED_LATER if getattr(body, name) is None}
    return body_key(key, "open account", body.model_dump(mode="json", exclude=unsent))


def transfer_key(key: str | None, body: TransferBody) -> Key | None:
    """Return what `body_key` returns for a transfer, several times as fast."""
    if key is None:
        return None
    return Key(sha256(key.encode()).digest()[:HASH_BYTES], transfer_fingerprint(body))


def batch_key(key: str | None, mode: str, items: Sequence[BatchItem]) -> Key | None:
    """Return the key of a whole batch; its fingerprint covers mode, items and their own keys."""
    if key is None:
        return None
    digest = sha256(f"batch {mode}".encode())
    for item in items:
        own = "" if item.idempotency_key is None else item.idempotency_key
        digest.update(transfer_fingerprint(item) + sha256(own.encode()).digest())
    return Key(sha256(key.encode()).digest()[:HASH_BYTES], digest.digest()[:HASH_BYTES])


def item_key(batch: str | None, place: int, item: BatchItem) -> Key | None:
    """Return the item's own key, or one made of the batch's key and the item's place.

    A key that is made holds a NUL, which no client's key can.
    """
    if item.idempotency_key is not None:
        return transfer_key(item.idempotency_key, item)
    return None if batch is None else transfer_key(f"{batch}\0{place}", item)


def transfer_fingerprint(body: TransferBody) -> bytes:
    """Return the hash that tells one transfer's request from another."""
    effective_at, metadata, reference, conditions = "null", "{}", "null", ""
    if body.effective_at is not None:
        effective_at = json.dumps(body.model_dump(mode="json")["effective_at"])
    if body.metadata:
        metadata = _sorted(body.metadata)
    if body.reference is not None:
        reference = encode_basestring_ascii(body.reference)
    if body.conditions:  # left out where there are none: keys outlive the programs that hash them
        asked = [one.model_dump(mode="json") for one in body.conditions]
        conditions = f'"conditions":{_sorted(asked)},'
    canonical = (
        f'["transfer",{{"amount":{encode_basestring_ascii(body.amount)},{conditions}'
        f'"currency":"{body.currency}",'
        f'"destination_account_id":"{body.destination_account_id}","effective_at":{effective_at},'
        f'"metadata":{metadata},"reference":{reference},'
        f'"source_account_id":"{body.source_account_id}"}}]'
    )
    return sha256(canonical.encode()).digest()[:HASH_BYTES]

"""The JSON in which the log keeps what entries did and why commands were refused, and back."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from ledger_service.domain.batch import Declined, Posted
from ledger_service.domain.model import (
    AccountOpened,
    AccountType,
    Body,
    EntryKind,
    Transferred,
)
from ledger_service.domain.refusals import Refusal, Refused

_compact = json.JSONEncoder(separators=(",", ":")).encode


def payload_text(body: Body) -> str:
    """Return the JSON object that the journal keeps for `body`."""
    if isinstance(body, Transferred):
        # Written out: this one is made for every transfer, and currencies are plain capitals.
        return (
            f'{{"source_account_id":"{body.source_account_id}",'
            f'"destination_account_id":"{body.destination_account_id}",'
            f'"amount_minor":{body.amount_minor},"currency":"{body.currency}",'
            f'"scale":{body.scale},"metadata":{metadata_text(body.metadata)}}}'
        )
    return json.dumps(body._asdict() | {"account_id": str(body.account_id)})


def metadata_text(metadata: Mapping[str, Any]) -> str:
    """Return metadata as compact JSON."""
    return _compact(metadata) if metadata else "{}"


def body_of(kind: EntryKind, payload: Mapping[str, Any]) -> Body:
    """Return what an entry of `kind` did; KeyError or ValueError where the payload is damaged."""
    if kind is EntryKind.ACCOUNT_OPENED:
        return AccountOpened(
            account_id=UUID(payload["account_id"]),
            currency=payload["currency"],
            scale=payload["scale"],
            type=AccountType(payload["type"]),
            floor_minor=payload["floor_minor"],
            metadata=payload["metadata"],
        )
    return Transferred(
        source_account_id=UUID(payload["source_account_id"]),
        destination_account_id=UUID(payload["destination_account_id"]),
        amount_minor=payload["amount_minor"],
        currency=payload["currency"],
        scale=payload["scale"],
        metadata=payload["metadata"],
    )


def outcome_columns(outcome: Posted | Declined | None) -> tuple[int | None, str | None]:
    """Return what a key keeps: the seq of an entry, from which its answer is made again, or the
    refusal as JSON; neither where the key stands for a group.
    """
    if isinstance(outcome, Posted):
        return outcome.entry.seq, None
    if outcome is None:
        return None, None
    refused = outcome.refused
    document = {
        "code": refused.refusal.code,
        "detail": refused.detail,
        "numbers": dict(refused.numbers),
        "place": outcome.place,
    }
    return None, json.dumps(document)


def declined_of(text: str) -> Declined:
    """Return the refusal that a key keeps."""
    said = json.loads(text)
    refused = Refused(Refusal.of(said["code"]), said["detail"], said["numbers"])
    return Declined(refused, place=said["place"])

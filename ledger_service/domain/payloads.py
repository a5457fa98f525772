"""The JSON in which the log keeps what entries did and why commands were refused, and back."""

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

from ledger_service.domain.batch import Declined, Posted
from ledger_service.domain.entries import (
    AccountChanged,
    AccountOpened,
    Body,
    EntryKind,
    HoldMoved,
    PeriodChanged,
    Transacted,
    Transferred,
)
from ledger_service.domain.model import AccountFacts
from ledger_service.domain.refusals import Refusal, Refused

_compact = json.JSONEncoder(separators=(",", ":")).encode
_BODIES: dict[EntryKind, type[Any]] = {
    EntryKind.ACCOUNT_CHANGED: AccountChanged,
    EntryKind.TRANSFER: Transferred,
    EntryKind.TRANSACTION: Transacted,
    EntryKind.EXCHANGE: Transacted,
    EntryKind.REVERSAL: Transacted,
    EntryKind.HOLD_PLACED: HoldMoved,
    EntryKind.HOLD_INCREASED: HoldMoved,
    EntryKind.HOLD_CAPTURED: HoldMoved,
    EntryKind.HOLD_RELEASED: HoldMoved,
    EntryKind.HOLD_VOIDED: HoldMoved,
    EntryKind.HOLD_EXPIRED: HoldMoved,
    EntryKind.PERIOD_OPENED: PeriodChanged,
    EntryKind.PERIOD_CLOSED: PeriodChanged,
    EntryKind.PERIOD_REOPENED: PeriodChanged,
}


def payload_text(body: Body) -> str:
    """Return the JSON object that the journal keeps for `body`."""
    if isinstance(body, Transferred):
        # Written out: this one is made for every transfer, and currencies are plain capitals.
        dating = "" if body.dating is None else f',"dating":{_compact(_plain(body.dating))}'
        return (
            f'{{"source_account_id":"{body.source_account_id}",'
            f'"destination_account_id":"{body.destination_account_id}",'
            f'"amount_minor":{body.amount_minor},"currency":"{body.currency}",'
            f'"scale":{body.scale},"metadata":{metadata_text(body.metadata)}{dating}}}'
        )
    if isinstance(body, AccountOpened):
        return json.dumps(_plain(body.facts) | {"metadata": body.metadata})
    return json.dumps(_plain(body))


def metadata_text(metadata: Mapping[str, Any]) -> str:
    """Return metadata as compact JSON."""
    return _compact(metadata) if metadata else "{}"


def body_of(kind: EntryKind, payload: Mapping[str, Any]) -> Body:
    """Return what an entry of `kind` did; KeyError, TypeError or ValueError where it is damaged."""
    if kind is EntryKind.TRANSFER and "dating" not in payload:
        return Transferred(
            source_account_id=UUID(payload["source_account_id"]),
            destination_account_id=UUID(payload["destination_account_id"]),
            amount_minor=payload["amount_minor"],
            currency=payload["currency"],
            scale=payload["scale"],
            metadata=payload["metadata"],
        )
    if kind is EntryKind.ACCOUNT_OPENED:
        facts = {name: value for name, value in payload.items() if name != "metadata"}
        return AccountOpened(_read(AccountFacts, facts), payload["metadata"])
    body: Body = _read(_BODIES[kind], payload)
    return body


def mistyped(body: Body) -> str | None:
    """Return the name of a field whose value is not of its type, None where all are.

    `body_of` takes whatever the payload says: the rules write nothing else than what fits, but a
    payload from elsewhere may.
    """
    return _mistyped(type(body), body, type(body).__name__)


def _mistyped(wanted: Any, value: Any, name: str) -> str | None:
    if get_origin(wanted) is UnionType:
        if value is None:
            return None
        (wanted,) = (one for one in get_args(wanted) if one is not NoneType)
    if get_origin(wanted) is tuple:
        inner = get_args(wanted)[0]
        found = (_mistyped(inner, one, name) for one in value)
        return next((one for one in found if one is not None), None)
    if get_origin(wanted) is Mapping:
        return None if isinstance(value, dict) else name
    if hasattr(wanted, "_fields") and isinstance(value, wanted):
        found = (
            _mistyped(hint, getattr(value, field), f"{name}.{field}")
            for field, hint in _fields(wanted).items()
        )
        return next((one for one in found if one is not None), None)
    fits = type(value) is int if wanted is int else isinstance(value, wanted)
    return None if fits and not (wanted is datetime and value.tzinfo is None) else name


def _plain(value: Any) -> Any:
    """Return named tuples as objects, other tuples as arrays, ids and times as texts."""
    if isinstance(value, tuple):
        if hasattr(value, "_fields"):
            return {name: _plain(one) for name, one in zip(value._fields, value, strict=True)}
        return [_plain(one) for one in value]
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value


def _read(wanted: Any, value: Any) -> Any:
    """Return what `_plain` was made of, given its type; what is left out has its default."""
    if get_origin(wanted) is UnionType:
        if value is None:
            return None
        (wanted,) = (one for one in get_args(wanted) if one is not NoneType)
    if get_origin(wanted) is tuple:
        return tuple(_read(get_args(wanted)[0], one) for one in value)
    if isinstance(wanted, type):
        if hasattr(wanted, "_fields"):
            fields = _fields(wanted)
            return wanted(**{name: _read(fields[name], one) for name, one in value.items()})
        if issubclass(wanted, UUID | StrEnum):
            return wanted(value)
        if issubclass(wanted, datetime):
            return datetime.fromisoformat(value)
    return value


@cache
def _fields(wanted: type) -> dict[str, Any]:
    return get_type_hints(wanted)


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

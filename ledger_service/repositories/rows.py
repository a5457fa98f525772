"""Which part of the history a list shows, and what its rows tell of an entry's metadata."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, null

USER_TEXTS = frozenset({"reference", "description", "counterparty"})


@dataclass(frozen=True, slots=True)
class Range:
    """Which part of the history a list shows; every bound may be left open.

    `effective_from` and `effective_to` are inclusive, `after_seq` exclusive, `up_to_seq` inclusive.
    """

    effective_from: datetime | None = None
    effective_to: datetime | None = None
    after_seq: int | None = None
    up_to_seq: int | None = None
    account_id: UUID | None = None
    reference: str | None = None


def text_member(payload: ColumnElement[Any], name: str) -> ColumnElement[str | None]:
    """Return `metadata.<name>` of a journal payload where it is a text, else null."""
    found = payload["metadata"][name]
    return case((func.json_typeof(found) == "string", found.astext), else_=null())

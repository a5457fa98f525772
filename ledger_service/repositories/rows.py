"""What rows tell of an entry and of its metadata, and which part of the history a list shows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, case, cast, func, literal, literal_column, null

from ledger_service.domain.entries import MOVING_KINDS
from ledger_service.tables import journal

# An entry as the journal keeps it; the payload is its text, to the byte.
ENTRY_COLUMNS: tuple[ColumnElement[Any], ...] = (
    journal.c.seq,
    journal.c.entry_id,
    journal.c.kind,
    journal.c.effective_at,
    journal.c.recorded_at,
    journal.c.reference,
    cast(journal.c.payload, Text).label("payload"),
)
USER_TEXTS = frozenset({"reference", "description", "counterparty"})
# Literals, not parameters: only then does the planner know that a partial index fits.
_MOVING: list[ColumnElement[str]] = [literal_column(f"'{kind}'") for kind in MOVING_KINDS]


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

    @property
    def has_effective_bound(self) -> bool:
        return self.effective_from is not None or self.effective_to is not None

    @property
    def pages_by_effective_time(self) -> bool:
        """Tell whether pages are in the order of (effective_at, seq) instead of seq.

        There is an index in that order, but none that has the account or the reference as well;
        and a reader that asks for what came after a seq is better served in the order of seq.
        """
        return (
            self.has_effective_bound
            and self.after_seq is None
            and self.account_id is None
            and self.reference is None
        )


def is_transaction(kind: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a journal entry moves money."""
    return kind.in_(_MOVING)


def text_member(payload: ColumnElement[Any], name: str) -> ColumnElement[str | None]:
    """Return `metadata.<name>` of a journal payload where it is a text, else null."""
    path = [literal(part, literal_execute=True) for part in ("metadata", name)]
    return case(
        (
            func.json_typeof(func.json_extract_path(payload, *path)) == "string",
            func.json_extract_path_text(payload, *path, type_=Text),
        ),
        else_=null(),
    )


def effective_within(column: ColumnElement[Any], wanted: Range) -> list[ColumnElement[bool]]:
    """Return the conditions that the range sets on the effective time."""
    conditions = []
    if wanted.effective_from is not None:
        conditions.append(column >= wanted.effective_from)
    if wanted.effective_to is not None:
        conditions.append(column <= wanted.effective_to)
    return conditions


def seq_within(column: ColumnElement[Any], wanted: Range) -> list[ColumnElement[bool]]:
    """Return the conditions that the range sets on the sequence number."""
    conditions = []
    if wanted.after_seq is not None:
        conditions.append(column > wanted.after_seq)
    if wanted.up_to_seq is not None:
        conditions.append(column <= wanted.up_to_seq)
    return conditions

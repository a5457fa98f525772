"""The JSON of decisions, rejected lines, breaks, groups and comparisons."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from recon_service.api.bodies import Score, StrictOut
from shared.text import Day


class LogEntryOut(StrictOut):
    external_id: str | None
    internal_id: str | None = Field(description="of a group: its first ledger item")
    internal_reference: str | None
    matched: bool
    match_type: Literal["exact", "fuzzy", "group", "netted", "none"]
    decision: Literal["auto", "suggested", "unmatched", "netted"]
    score: Score | None
    evidence: dict[str, Any]
    reason: str
    cause: str | None
    match_id: str | None = Field(description="names a match that is not one-to-one in its run")
    record_ids: list[UUID] = Field(description="all records of the match; empty without one")
    internal_ids: list[str] = Field(description="all ledger items of the match")
    log_id: int
    run_id: UUID
    source: str
    date: Day
    attempt: int
    decided_at: datetime
    record_id: UUID
    line_no: int | None = Field(description="null for a record carried in from an earlier day")
    carried: bool
    external_currency: str
    external_amount: str
    external_date: Day
    external_at: datetime
    external_text: str | None
    internal_currency: str | None
    internal_amount: str | None
    internal_date: Day | None
    internal_at: datetime | None
    internal_text: str | None


class LogPage(StrictOut):
    logs: list[LogEntryOut]
    next_cursor: str | None
    next: str | None


class RejectedOut(StrictOut):
    run_id: UUID
    source: str
    date: Day
    attempt: int
    line_no: int
    byte_offset: int | None
    reason: str
    raw: str | None


class RejectedPage(StrictOut):
    rejected: list[RejectedOut]
    next_cursor: str | None
    next: str | None


class BreakOut(StrictOut):
    side: Literal["external", "ledger"]
    key: str = Field(description="the record's id, or the ledger item's")
    kind: Literal["missing_in_ledger", "missing_in_bank", "suggested"]
    status: Literal["open", "suggested", "timing", "outside", "resolved", "withdrawn"]
    late: bool = Field(description="recorded in the ledger after its days had been reconciled")
    source: str
    population: str | None
    run_id: UUID = Field(description="the run that last changed it")
    opened_at: datetime
    changed_at: datetime
    reference: str | None
    date: Day
    at: datetime
    currency: str
    amount: str
    text: str | None
    counterparty: str | None


class BreakPage(StrictOut):
    breaks: list[BreakOut]
    next_cursor: str | None
    next: str | None


class MemberOut(StrictOut):
    side: Literal["external", "ledger"]
    key: str = Field(description="the record's id, or the ledger item's")
    reference: str | None
    date: Day
    at: datetime
    currency: str
    amount: str
    text: str | None
    counterparty: str | None


class GroupOut(StrictOut):
    """A match that is not one-to-one."""

    run_id: UUID
    source: str
    date: Day
    attempt: int
    dry_run: bool
    match_id: str
    match_type: Literal["group", "netted"]
    decision: Literal["auto", "suggested", "netted"]
    members: list[MemberOut]


class GroupPage(StrictOut):
    groups: list[GroupOut]
    next_cursor: str | None
    next: str | None


class ComparedRunOut(StrictOut):
    run_id: UUID
    source: str
    date: Day
    attempt: int
    dry_run: bool
    policy: dict[str, Any] | None


class ComparedDecisionOut(StrictOut):
    log_id: int
    decision: Literal["auto", "suggested", "unmatched", "netted"]
    match_type: Literal["exact", "fuzzy", "group", "netted", "none"]
    score: Score | None
    cause: str | None
    reason: str
    match_id: str | None
    internal_ids: list[str]


class DifferenceOut(StrictOut):
    record_id: UUID
    change: Literal["gained", "lost", "changed"]
    external_id: str | None
    text: str | None
    date: Day
    currency: str
    amount: str
    base: ComparedDecisionOut | None = Field(description="null where that run did not decide it")
    other: ComparedDecisionOut | None


class ChangeOut(StrictOut):
    records: int
    values: dict[str, str] = Field(description="what they are worth, by currency")


class ChangesOut(StrictOut):
    gained: ChangeOut
    lost: ChangeOut
    changed: ChangeOut


class ComparisonOut(StrictOut):
    base: ComparedRunOut
    other: ComparedRunOut
    totals: ChangesOut | None = Field(description="null on pages after the first")
    differences: list[DifferenceOut]
    next_cursor: str | None
    next: str | None

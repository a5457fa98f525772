"""The JSON that reconciliation takes and gives, as models with examples for Swagger."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, model_validator

from recon_service.domain.config import SourceConfig
from shared.text import Day, SafeStr

RUN_EXAMPLE = "01980b5c-7001-7b2c-8e3d-0d4f4d1f2b20"
LOG_EXAMPLE = "987654321"
DATE_EXAMPLE = "2025-07-13"
DATE_MIN, DATE_MAX = date(1900, 1, 1), date(2200, 12, 31)
SOURCE_PATTERN = "^[a-z][a-z0-9_]{0,62}$"
UPLOAD_PATTERN = "^[0-9a-f]{64}$"

SourceName = Annotated[str, Field(pattern=SOURCE_PATTERN, examples=["bank_csv"])]
SourcePath = Annotated[
    str, Path(pattern=SOURCE_PATTERN, openapi_examples={"shipped": {"value": "bank_csv"}})
]
DatePath = Annotated[
    Day,
    Path(
        ge=DATE_MIN,
        le=DATE_MAX,
        description="the business date",
        openapi_examples={"demo": {"value": DATE_EXAMPLE}},
    ),
]
RunPath = Annotated[UUID, Path(openapi_examples={"a run": {"value": RUN_EXAMPLE}})]
LogPath = Annotated[
    int, Path(ge=1, lt=2**63, openapi_examples={"an entry": {"value": LOG_EXAMPLE}})
]
Score = Annotated[float, Field(ge=0, le=1)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RunBody(_In):
    """Which statement to reconcile; without file or upload the one that the source names."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"source": "bank_csv", "date": DATE_EXAMPLE}]}
    )

    source: SourceName
    date: Annotated[Day, Field(strict=False, ge=DATE_MIN, le=DATE_MAX)] = Field(
        description="the business date; which days are compared follows from the statement"
    )
    file_path: Annotated[SafeStr, Field(min_length=1, max_length=500)] | None = Field(
        default=None, description="a name below the inbox folder"
    )
    upload_id: Annotated[str, Field(pattern=UPLOAD_PATTERN)] | None = None

    @model_validator(mode="after")
    def _one_statement(self) -> "RunBody":
        if self.file_path is not None and self.upload_id is not None:
            raise ValueError("give `file_path` or `upload_id`, not both")
        return self


class RunAccepted(_Out):
    run_id: UUID
    source: str
    date: Day
    attempt: int
    status: Literal["queued"]
    status_url: str


class RunError(_Out):
    code: str
    detail: str


class StatementOut(_Out):
    kind: Literal["inbox", "path", "upload", "api"]
    name: str | None


class UnderWayOut(_Out):
    run_id: UUID
    attempt: int
    status: str
    phase: str | None
    counts: dict[str, int]


class RunOut(_Out):
    run_id: UUID
    source: str
    date: Day
    attempt: int
    status: Literal["queued", "running", "finished", "failed"]
    phase: str | None = Field(description="reading, ledger, matching or writing while it runs")
    counts: dict[str, int]
    trigger: Literal["manual", "nightly"]
    source_version: int
    population: str = Field(description="the ledger account compared with, or `all`")
    statement: StatementOut
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    supersedes: UUID | None
    superseded_by: UUID | None
    error: RunError | None


class RunStatusOut(RunOut):
    active: list[UnderWayOut] = Field(description="other attempts of the date under way")


class StatusOut(_Out):
    date: Day
    runs: list[RunStatusOut]


class RunEventOut(_Out):
    at: datetime
    kind: str
    detail: dict[str, Any]


class RunWithEventsOut(RunOut):
    events: list[RunEventOut]


class RunPage(_Out):
    runs: list[RunOut]
    next_cursor: str | None
    next: str | None


class ScoresOut(_Out):
    lowest: Score
    highest: Score


class CarriedOut(_Out):
    records: int
    auto: int
    suggested: int
    unmatched: int


class LedgerOut(_Out):
    read: int
    matched: int
    suggested: int
    timing: int = Field(description="too young to be missing in the bank's statement")
    unmatched: int
    another_day: int = Field(description="matched by another run, or outside of all statements")


class TermOut(_Out):
    equation: str
    currency: str | None
    left: str
    right: str
    holds: bool


class EquationOut(_Out):
    proved: bool
    terms: list[TermOut]


class SpanOut(_Out):
    first: Day
    last: Day


class SummaryOut(_Out):
    """What a finished run counted. Lines are the file's; carried records are earlier days'."""

    run_id: UUID
    source: str
    date: Day
    attempt: int
    finished_at: datetime
    lines: int
    accepted: int
    rejected: int
    exact: int
    fuzzy: int
    suggested: int
    unmatched: int
    already_reconciled: int
    fuzzy_scores: ScoresOut | None
    carried: CarriedOut
    ledger: LedgerOut
    values: dict[str, dict[str, dict[str, str]]] = Field(
        description="the same by value: side, then currency, then bucket, as decimal strings"
    )
    covered: SpanOut
    read_to_seq: int
    equation: EquationOut


class SummariesOut(_Out):
    date: Day
    summaries: list[SummaryOut]


class LogEntryOut(_Out):
    external_id: str | None
    internal_id: str | None
    internal_reference: str | None
    matched: bool
    match_type: Literal["exact", "fuzzy", "none"]
    decision: Literal["auto", "suggested", "unmatched"]
    score: Score | None
    evidence: dict[str, Any]
    reason: str
    cause: str | None
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


class LogPage(_Out):
    logs: list[LogEntryOut]
    next_cursor: str | None
    next: str | None


class RejectedOut(_Out):
    run_id: UUID
    source: str
    date: Day
    attempt: int
    line_no: int
    byte_offset: int | None
    reason: str
    raw: str | None


class RejectedPage(_Out):
    rejected: list[RejectedOut]
    next_cursor: str | None
    next: str | None


class BreakOut(_Out):
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


class BreakPage(_Out):
    breaks: list[BreakOut]
    next_cursor: str | None
    next: str | None


class SourceBody(_In):
    """A new source."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "card_csv",
                    "config": {
                        "kind": "csv",
                        "columns": {
                            "txn_id": "Reference",
                            "timestamp": "Booked",
                            "amount": "Amount",
                            "description": "Text",
                        },
                        "fixed_currency": "EUR",
                        "decimal_style": "1.234,56",
                        "csv": {"delimiter": ";", "fallback_encoding": "cp1252"},
                        "time_zone": "Europe/Berlin",
                    },
                }
            ]
        }
    )

    name: SourceName
    config: dict[str, Any] = Field(description="the definition, as `config` of a source shows it")


class SourceOut(_Out):
    name: str
    version: int
    made_at: datetime
    nightly_since: datetime | None
    config: SourceConfig


class SourcePage(_Out):
    sources: list[SourceOut]
    next_cursor: str | None
    next: str | None


class UploadOut(_Out):
    upload_id: str = Field(description="the SHA-256 of the content")
    size_bytes: int

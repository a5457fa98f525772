"""The JSON of runs and summaries, and what all bodies share, with examples for Swagger."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.text import Day, Metadata, SafeStr

RUN_EXAMPLE = "01980b5c-7001-7b2c-8e3d-0d4f4d1f2b20"
LOG_EXAMPLE = "987654321"
RECORD_EXAMPLE = "01980b5c-7002-7c3d-9f4e-1e5a5e2a3c31"
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


class StrictIn(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StrictOut(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RunBody(StrictIn):
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
    dry_run: bool = Field(
        default=False, description="decide and keep the log, but put nothing in force"
    )
    policy: Metadata | None = Field(
        default=None,
        description="what a dry run tries out: a JSON merge patch of the source's policy",
        examples=[{"amount_tolerance": {"absolute": "0.05"}}],
    )

    @model_validator(mode="after")
    def _one_statement(self) -> "RunBody":
        if self.file_path is not None and self.upload_id is not None:
            raise ValueError("give `file_path` or `upload_id`, not both")
        if self.policy is not None and not self.dry_run:
            raise ValueError("another `policy` is for a dry run; change the source to keep it")
        return self


class RunAccepted(StrictOut):
    run_id: UUID
    source: str
    date: Day
    attempt: int
    dry_run: bool
    status: Literal["queued"]
    status_url: str


class RunError(StrictOut):
    code: str
    detail: str


class StatementOut(StrictOut):
    kind: Literal["inbox", "path", "upload", "api"]
    name: str | None


class ProgressOut(StrictOut):
    """How far a run has come; a partition is a population, matched and committed in one step."""

    phases_done: int
    phases: int
    partitions_done: int
    partitions: int


class UnderWayOut(StrictOut):
    run_id: UUID
    attempt: int
    status: str
    phase: str | None
    progress: ProgressOut
    counts: dict[str, int]


class RunOut(StrictOut):
    run_id: UUID
    source: str
    date: Day
    attempt: int
    status: Literal["queued", "running", "finished", "failed"]
    dry_run: bool = Field(description="its decisions are shown by its id and are not in force")
    policy: dict[str, Any] | None = Field(description="what a dry run changes of the policy")
    phase: str | None = Field(description="reading, ledger, matching or writing while it runs")
    progress: ProgressOut
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


class StatusOut(StrictOut):
    date: Day
    runs: list[RunStatusOut]


class RunEventOut(StrictOut):
    at: datetime
    kind: str
    detail: dict[str, Any]


class RunWithEventsOut(RunOut):
    events: list[RunEventOut]


class RunPage(StrictOut):
    runs: list[RunOut]
    next_cursor: str | None
    next: str | None


class ScoresOut(StrictOut):
    lowest: Score
    highest: Score


class CarriedOut(StrictOut):
    records: int
    auto: int
    suggested: int
    unmatched: int
    netted: int


class LedgerOut(StrictOut):
    read: int
    matched: int
    suggested: int
    timing: int = Field(description="too young to be missing in the bank's statement")
    unmatched: int
    netted: int = Field(description="cancelled out within the ledger")
    another_day: int = Field(description="matched by another run, or outside of all statements")


class MatchKindOut(StrictOut):
    """Matches of one kind, carried records' too, with both of their sides."""

    match_type: Literal["exact", "fuzzy", "group", "netted"]
    decision: Literal["auto", "suggested", "netted"]
    matches: int
    records: int
    items: int
    values: dict[str, dict[str, str]] = Field(description="currency, then side, as decimals")


class CauseOut(StrictOut):
    """Records that differ from the ledger, or are not in it, for one reason."""

    cause: str
    decision: Literal["auto", "suggested", "unmatched", "netted"]
    records: int
    values: dict[str, str] = Field(description="what the records are worth, by currency")
    differences: dict[str, str] = Field(description="how much more that is than the ledger has")


class TermOut(StrictOut):
    equation: str
    currency: str | None
    left: str
    right: str
    holds: bool


class EquationOut(StrictOut):
    proved: bool
    terms: list[TermOut]


class SpanOut(StrictOut):
    first: Day
    last: Day


class WeightsOut(StrictOut):
    version: str = Field(description="a policy's `weights` freezes them by this name")
    bits: dict[str, list[float]] = Field(description="by feature, from the closest level on")


class FeeOfferOut(StrictOut):
    support: int = Field(description="pairs that differ in amount and were learnt from")
    explained: int = Field(description="those that the rule explains to one minor unit")
    policy: dict[str, Any] = Field(description="the patch of the policy that declares it")


class LearntOut(StrictOut):
    weights: WeightsOut | None
    fees_offered: list[FeeOfferOut]


class SummaryOut(StrictOut):
    """What a finished run counted. Lines are the file's; carried records are earlier days'."""

    run_id: UUID
    source: str
    date: Day
    attempt: int
    dry_run: bool
    finished_at: datetime
    lines: int
    accepted: int
    rejected: int
    exact: int
    fuzzy: int
    grouped: int = Field(description="lines in a match of more than two")
    netted: int = Field(description="lines that cancel each other out")
    suggested: int
    unmatched: int
    already_reconciled: int
    fuzzy_scores: ScoresOut | None
    carried: CarriedOut
    ledger: LedgerOut
    matches: list[MatchKindOut]
    causes: list[CauseOut]
    search: dict[str, int] = Field(description="what the matcher looked at and what it cut short")
    learnt: LearntOut
    values: dict[str, dict[str, dict[str, str]]] = Field(
        description="the same by value: side, then currency, then bucket, as decimal strings"
    )
    covered: SpanOut
    read_to_seq: int
    equation: EquationOut


class SummariesOut(StrictOut):
    date: Day
    summaries: list[SummaryOut]

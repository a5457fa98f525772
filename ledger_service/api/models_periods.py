"""The JSON of periods, with examples for Swagger."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ledger_service.api.bodies import TRANSACTION_EXAMPLE, CurrencyAmount, DatingOut, Page
from ledger_service.domain.model import LatePolicy, PeriodStatus
from shared.text import Instant, Metadata, SafeStr

NAME_CHARS_MAX = 100
PERIOD_EXAMPLE = "01980b5c-6f63-7e77-8d54-0d4f4d1f2a16"
PeriodId = Annotated[UUID, Path(openapi_examples={"a period": {"value": PERIOD_EXAMPLE}})]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OpenPeriodBody(_In):
    """A stretch of effective time."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "July 2025",
                    "starts_at": "2025-07-01T00:00:00Z",
                    "ends_at": "2025-08-01T00:00:00Z",
                }
            ]
        }
    )

    name: SafeStr = Field(min_length=1, max_length=NAME_CHARS_MAX, examples=["July 2025"])
    starts_at: Instant = Field(strict=False, description="inclusive (RFC 3339 with offset)")
    ends_at: Instant = Field(strict=False, description="exclusive")
    metadata: Metadata = Field(default_factory=dict)


class ClosePeriodBody(_In):
    """How to close a period."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": "soft"}, {"status": "hard", "late": "next_open_day"}]
        }
    )

    status: Literal["soft", "hard"] = Field(
        description="`soft`: postings that count in it are taken with a warning, and it can be "
        "opened again; `hard`: it never changes again",
    )
    late: LatePolicy | None = Field(
        default=None,
        strict=False,
        description="with `hard`: whether a posting that would count in it is refused, as by "
        "default, or counts from the next open day",
    )
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _late_goes_with_hard(self) -> "ClosePeriodBody":
        if self.late is not None and self.status != "hard":
            raise ValueError("`late` goes with the status `hard`, and only with it")
        return self


class ReopenPeriodBody(_In):
    """What to note with it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    metadata: Metadata = Field(default_factory=dict)


class PeriodOut(_Out):
    """A period as its entries left it."""

    period_id: UUID = Field(examples=[PERIOD_EXAMPLE])
    ledger: str
    name: str
    starts_at: datetime = Field(description="inclusive")
    ends_at: datetime = Field(description="exclusive")
    status: PeriodStatus
    late: LatePolicy = Field(description="what becomes of postings in it once it is closed hard")


class ChangedPeriodOut(PeriodOut):
    """A period as an entry left it."""

    kind: str
    seq: int
    recorded_at: datetime
    metadata: dict[str, Any] = Field(description="that of the entry")


class PeriodPage(Page):
    periods: list[PeriodOut]


class LatePosting(_Out):
    """A transaction that counts in a period and was recorded after its end."""

    transaction_id: UUID = Field(examples=[TRANSACTION_EXAMPLE])
    seq: int
    kind: str
    reference: str | None
    amounts: list[CurrencyAmount] = Field(description="what moved, by currency")
    effective_at: datetime
    recorded_at: datetime
    adjusting: bool = Field(description="whether it was posted as an adjusting entry")
    dating: DatingOut | None = None
    metadata: dict[str, Any]


class LatePage(Page):
    """Late postings of a period in the order in which they were recorded."""

    period_id: UUID
    late: list[LatePosting]

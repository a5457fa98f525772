"""The JSON of trial balances."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ledger_service.api.bodies import ACCOUNT_EXAMPLE
from ledger_service.domain.model import Direction, PeriodStatus


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ColumnsOut(_Out):
    debit: str = Field(examples=["100.50"])
    credit: str = Field(examples=["0.00"])


class PeriodOfBalance(_Out):
    period_id: UUID
    name: str
    starts_at: datetime
    ends_at: datetime
    status: PeriodStatus


class _Sections(_Out):
    opening: ColumnsOut | None = Field(default=None, description="with a period only")
    movements: ColumnsOut | None = Field(default=None, description="with a period only")
    adjustments: ColumnsOut | None = Field(
        default=None, description="with a period only: by adjusting entries"
    )
    closing: ColumnsOut


class TrialBalanceLine(_Sections):
    """One account, or one place of the chart with all accounts below it."""

    account_id: UUID | None = Field(examples=[ACCOUNT_EXAMPLE])
    code: str | None
    name: str | None = Field(description="`metadata.name`")
    type: str | None = Field(description="null where the accounts of a place differ")
    normal_side: Direction | None
    currency: str
    accounts: int = Field(description="how many accounts the line sums up")


class TrialBalanceTotals(_Sections):
    """The sums of a currency: debits equal credits in every section."""

    currency: str


class TrialBalanceOut(_Out):
    """All accounts on their sides."""

    ledger: str
    seq: int = Field(description="the last entry that was looked at")
    as_of: datetime | None
    period: PeriodOfBalance | None
    balanced: bool = Field(description="whether debits equal credits everywhere: they always do")
    lines: list[TrialBalanceLine]
    totals: list[TrialBalanceTotals]

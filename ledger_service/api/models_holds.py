"""The JSON of holds, with examples for Swagger."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ledger_service.api.bodies import (
    ACCOUNT_EXAMPLE,
    OTHER_ACCOUNT_EXAMPLE,
    Amount,
    CurrencyCode,
    DatingOut,
    Reference,
)
from ledger_service.api.conditions import Conditions
from ledger_service.api.models_postings import EffectiveAt, PostingOut
from ledger_service.domain.model import HoldStatus
from shared.clock import Clock
from shared.ids import Id
from shared.money import AmountError, format_minor, parse_amount
from shared.text import Instant, Metadata

HOLD_EXAMPLE = "01980b5c-7002-7c3d-9f4e-0d4f4d1f2a16"
HOLD_SECONDS_MAX = 10 * 366 * 24 * 60 * 60
PERCENT_PATTERN = r"^[0-9]{1,3}(\.[0-9]{1,4})?$"

HoldId = Annotated[UUID, Path(openapi_examples={"a hold": {"value": HOLD_EXAMPLE}})]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OverCapture(_In):
    """How much may be captured beyond what is held: an amount, or a share of it."""

    amount: Amount | None = None
    percent: (
        Annotated[
            str,
            Field(
                pattern=PERCENT_PATTERN,
                description="of the hold's first amount, rounded down to the minor unit",
                examples=["15"],
            ),
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "OverCapture":
        if (self.amount is None) == (self.percent is None):
            raise ValueError("over_capture is either an `amount` or a `percent`")
        return self

    def of(self, amount: str, scale: int | None) -> str:
        """Return the decimal string that may be captured beyond `amount`.

        "0" where `amount` is none in a currency of this scale: that is refused for itself.
        """
        if self.percent is None:
            return self.amount or "0"
        try:
            minor = 0 if scale is None else parse_amount(amount, scale)
        except AmountError:
            return "0"
        ten_thousandths = int(Decimal(self.percent).scaleb(4))
        return format_minor(minor * ten_thousandths // 1_000_000, scale or 0)


class _Ending(_In):
    """When the hold ends by itself: at an instant, or some seconds from now."""

    expires_at: Instant | None = Field(
        default=None, strict=False, description="RFC 3339 with offset, in the future"
    )
    expires_in_seconds: int | None = Field(
        default=None, ge=1, le=HOLD_SECONDS_MAX, description="instead of `expires_at`"
    )

    @model_validator(mode="after")
    def _ends_once(self) -> "_Ending":
        if self.expires_at is not None and self.expires_in_seconds is not None:
            raise ValueError("say by `expires_at` or by `expires_in_seconds` when it ends")
        return self

    def ends_at(self, clock: Clock) -> datetime | None:
        """Return the instant that is asked for, None for none."""
        if self.expires_in_seconds is None:
            return self.expires_at
        return clock() + timedelta(seconds=self.expires_in_seconds)


class PlaceHoldBody(_Ending):
    """Money of one account that is kept for another."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source_account_id": ACCOUNT_EXAMPLE,
                    "destination_account_id": OTHER_ACCOUNT_EXAMPLE,
                    "amount": "100.00",
                    "currency": "USD",
                    "over_capture": {"percent": "15"},
                    "expires_in_seconds": 604800,
                    "metadata": {"description": "Room 12, two nights"},
                }
            ]
        }
    )

    source_account_id: Id = Field(description="is debited by captures")
    destination_account_id: Id = Field(description="is credited by captures")
    amount: Amount
    currency: CurrencyCode
    over_capture: OverCapture | None = Field(
        default=None, description="nothing may be captured beyond the hold if left out"
    )
    reference: Reference | None = None
    metadata: Metadata = Field(default_factory=dict)
    conditions: Conditions


class IncreaseHoldBody(_Ending):
    """More for a hold to keep, and maybe for longer; never for a shorter time."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "20.00"}]})

    amount: Amount
    metadata: Metadata = Field(default_factory=dict)


class CaptureHoldBody(_In):
    """What to capture of a hold: all that it keeps, unless `amount` says how much."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "30.00"}]})

    amount: Amount | None = None
    final: bool = Field(default=False, description="give back what the hold keeps after this")
    reference: Reference | None = None
    effective_at: EffectiveAt
    metadata: Metadata = Field(default_factory=dict)


class ReleaseHoldBody(_In):
    """How much of a hold to give back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "10.00"}]})

    amount: Amount
    metadata: Metadata = Field(default_factory=dict)


class VoidHoldBody(_In):
    """Nothing needs to be said to give back all of a hold."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"metadata": {"reason": "cancelled"}}]}
    )

    metadata: Metadata = Field(default_factory=dict)


class HoldOut(_Out):
    """A hold, and what became of its amount."""

    hold_id: UUID = Field(examples=[HOLD_EXAMPLE])
    status: HoldStatus
    source_account_id: UUID
    destination_account_id: UUID
    currency: str
    amount: str = Field(description="all that was ever to be held", examples=["100.00"])
    captured: str
    released: str = Field(description="given back; with the rest of a hold that ended")
    remaining: str = Field(description="what the hold keeps now")
    over_capture: str = Field(description="may be captured beyond what remains")
    expires_at: datetime | None


class HoldChangeOut(_Out):
    """What one entry did to a hold."""

    entry_id: UUID = Field(description="of a capture, also the transaction's id")
    seq: int
    kind: str
    amount: str = Field(description="what was placed, added, captured or given back")
    remaining: str = Field(description="what the hold kept after it")
    expires_at: datetime | None
    reference: str | None
    effective_at: datetime
    recorded_at: datetime
    late: bool | None = Field(default=None, description="true where it counts on an earlier day")
    dating: DatingOut | None = None
    metadata: dict[str, Any]


class HeldBalanceOut(_Out):
    """What an account has with its holds, on its normal side."""

    balance: str
    pending_debits: str
    pending_credits: str
    available: str


class ChangedHoldOut(HoldOut):
    """A hold as a command left it."""

    change: HoldChangeOut
    balances: dict[UUID, HeldBalanceOut] | None = Field(
        default=None, description="in a dry run: what both accounts would be left with"
    )


class CaptureOut(PostingOut):
    """The transaction that a capture posted, and the hold as it left it."""

    hold: HoldOut


class ShownHoldOut(HoldOut):
    """A hold as it stands now; expired once its time is over."""

    reference: str | None
    metadata: dict[str, Any]
    placed_at: datetime


class HoldHistoryOut(ShownHoldOut):
    """A hold as it stands now, with what was done to it."""

    history: list[HoldChangeOut] = Field(description="in the order in which it was recorded")


class HoldPage(_Out):
    """Holds in the order of their ids, which rise with the time at which they were placed."""

    holds: list[ShownHoldOut]
    next_cursor: str | None
    next: str | None

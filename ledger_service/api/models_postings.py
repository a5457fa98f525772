"""The JSON of transactions of many legs, exchanges and reversals, with examples for Swagger."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ledger_service.api.bodies import (
    ACCOUNT_EXAMPLE,
    OTHER_ACCOUNT_EXAMPLE,
    TRANSACTION_EXAMPLE,
    Amount,
    CurrencyAmount,
    DatingOut,
    Reference,
    TransactionOut,
)
from ledger_service.api.conditions import Conditions
from ledger_service.domain.model import Direction
from ledger_service.domain.rules.exchanges import RATE_CHARS_MAX, RATE_PATTERN
from shared.ids import Id
from shared.text import Instant, Metadata, SafeStr

LINES_MAX = 500
SHARE_MAX = 1_000_000_000
RATE_SOURCE_CHARS_MAX = 255
EXCHANGE_DOLLARS_EXAMPLE = "01980b5c-6f60-7b44-9a21-0d4f4d1f2a13"
EXCHANGE_EUROS_EXAMPLE = "01980b5c-6f61-7c55-8b32-0d4f4d1f2a14"
EUROS_EXAMPLE = "01980b5c-6f62-7d66-9c43-0d4f4d1f2a15"

EffectiveAt = Annotated[
    Instant | None,
    Field(
        default=None,
        strict=False,
        description="when it counts (RFC 3339 with offset), not in the future; now if left out",
    ),
]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PartBody(_In):
    """One debit or credit: an amount, or a share of what the amounts leave to divide."""

    account_id: Id
    amount: Amount | None = None
    share: int | None = Field(
        default=None,
        ge=1,
        le=SHARE_MAX,
        description="divides, in proportion to the other shares of its side and currency, what "
        "the other side has more than the amounts of this side; no minor unit is lost",
    )

    @model_validator(mode="after")
    def _has_amount_or_share(self) -> "PartBody":
        if (self.amount is None) == (self.share is None):
            raise ValueError("a part has either `amount` or `share`")
        return self


class TransactionBody(_In):
    """Debits and credits that balance in each currency."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "debits": [{"account_id": ACCOUNT_EXAMPLE, "amount": "10.00"}],
                    "credits": [
                        {"account_id": EXCHANGE_DOLLARS_EXAMPLE, "amount": "0.50"},
                        {"account_id": OTHER_ACCOUNT_EXAMPLE, "share": 2},
                        {"account_id": EXCHANGE_DOLLARS_EXAMPLE, "share": 1},
                    ],
                    "metadata": {"description": "A payment, its fee, and the rest in shares"},
                }
            ]
        }
    )

    debits: list[PartBody] = Field(min_length=1, max_length=LINES_MAX - 1)
    credits: list[PartBody] = Field(min_length=1, max_length=LINES_MAX - 1)
    reference: Reference | None = None
    effective_at: EffectiveAt
    adjusting: bool = Field(
        default=False, description="an adjusting entry may count in a period that is closed softly"
    )
    metadata: Metadata = Field(default_factory=dict)
    conditions: Conditions

    @model_validator(mode="after")
    def _has_not_too_many_lines(self) -> "TransactionBody":
        if len(self.debits) + len(self.credits) > LINES_MAX:
            raise ValueError(f"a transaction has at most {LINES_MAX} debits and credits")
        return self


class ExchangeBody(_In):
    """An amount of one currency for an amount of another, through an account of ours for each."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source_account_id": ACCOUNT_EXAMPLE,
                    "destination_account_id": EUROS_EXAMPLE,
                    "sold_exchange_account_id": EXCHANGE_DOLLARS_EXAMPLE,
                    "bought_exchange_account_id": EXCHANGE_EUROS_EXAMPLE,
                    "sold": "10.00",
                    "rate": "0.9213",
                    "rate_source": "ECB reference rate of 2025-07-11",
                }
            ]
        }
    )

    source_account_id: Id = Field(description="is debited in the currency that is sold")
    destination_account_id: Id = Field(description="is credited in the currency that is bought")
    sold_exchange_account_id: Id = Field(description="ours; gets what is sold")
    bought_exchange_account_id: Id = Field(description="ours; gives what is bought")
    rounding_account_id: Id | None = Field(
        default=None,
        description="in the currency that is bought: pays or gets the rounding difference; "
        "needed where there is one",
    )
    sold: Amount
    bought: Amount | None = Field(
        default=None,
        description="at most one minor unit away from the product; the rounded product if left out",
    )
    rate: Annotated[
        SafeStr,
        Field(
            max_length=RATE_CHARS_MAX,
            description="units of the currency that is bought for one of that which is sold",
            json_schema_extra={"pattern": RATE_PATTERN},
        ),
    ]
    rate_source: Annotated[SafeStr, Field(min_length=1, max_length=RATE_SOURCE_CHARS_MAX)] = Field(
        description="who said so"
    )
    reference: Reference | None = None
    effective_at: EffectiveAt
    metadata: Metadata = Field(default_factory=dict)
    conditions: Conditions


class LineBody(_In):
    """How much of one line of the transaction to reverse."""

    line: int = Field(ge=1, le=LINES_MAX, description="lines count from 1")
    amount: Amount


class ReverseBody(_In):
    """All that is left of a transaction, unless `amount` or `lines` say how much."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"amount": "0.01", "metadata": {"reason": "refund"}}]}
    )

    amount: Amount | None = Field(default=None, description="only where it has two lines")
    lines: list[LineBody] = Field(
        default_factory=list, max_length=LINES_MAX, description="balanced in each currency"
    )
    reference: Reference | None = None
    effective_at: EffectiveAt
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_how_much_once(self) -> "ReverseBody":
        if self.amount is not None and self.lines:
            raise ValueError("say how much by `amount` or by `lines`, not by both")
        return self


class LineOut(_Out):
    """One debit or credit of a transaction."""

    line: int
    account_id: UUID
    direction: Direction
    amount: str
    currency: str


class ExchangeOut(_Out):
    """At which rate money was exchanged, and what that came to."""

    rate: str
    rate_source: str
    sold: CurrencyAmount
    bought: CurrencyAmount
    rounding: str = Field(description="what was bought above the rounded product of the rate")


class ReversedLine(_Out):
    line: int
    amount: str


class ReversesOut(_Out):
    """Which transaction is reversed, and how much of its lines."""

    transaction_id: UUID
    lines: list[ReversedLine]


class _Posting(_Out):
    transaction_id: UUID = Field(examples=[TRANSACTION_EXAMPLE])
    seq: int
    kind: str
    reference: str | None
    amounts: list[CurrencyAmount] = Field(description="what moved, by currency")
    hold_id: UUID | None = Field(default=None, description="the hold that was captured")
    adjusting: bool | None = None
    exchange: ExchangeOut | None = None
    reverses: ReversesOut | None = None
    effective_at: datetime
    recorded_at: datetime
    late: bool | None = Field(default=None, description="true where it counts on an earlier day")
    dating: DatingOut | None = None
    metadata: dict[str, Any]


class PostingOut(_Posting):
    """A transaction just posted, with the balances that it left."""

    lines: list[LineOut]
    balances: dict[UUID, str] = Field(description="credits less debits after it, by account")


class ReversalOut(_Out):
    transaction_id: UUID
    seq: int


class ShownLine(LineOut):
    left_to_reverse: str


class ShownPosting(_Posting):
    """A transaction with lines, and what reverses it."""

    lines: list[ShownLine]
    reversed_by: list[ReversalOut]


class ShownTransfer(TransactionOut):
    """A transfer, and what reverses it."""

    left_to_reverse: str
    reversed_by: list[ReversalOut]

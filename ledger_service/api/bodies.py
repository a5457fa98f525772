"""The JSON that the ledger takes and gives, as models with examples for Swagger."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from ledger_service.api.conditions import Conditions
from ledger_service.domain.model import Direction, PeriodStatus
from shared.idempotency import KEY_CHARS_MAX, KEY_PATTERN
from shared.ids import Id
from shared.money import AMOUNT_CHARS_MAX, AMOUNT_PATTERN, CURRENCY_PATTERN
from shared.text import Instant, Metadata, SafeStr

REFERENCE_CHARS_MAX = 255
BATCH_ITEMS_MAX = 10_000
ACCOUNT_EXAMPLE = "01980b5c-6f5e-7c3a-9d55-0d4f4d1f2a10"
OTHER_ACCOUNT_EXAMPLE = "01980b5c-6f5f-7a01-8d10-0d4f4d1f2a11"
TRANSACTION_EXAMPLE = "01980b5c-7001-7b2c-8e3d-0d4f4d1f2a12"

AccountId = Annotated[UUID, Path(openapi_examples={"an account": {"value": ACCOUNT_EXAMPLE}})]
TransactionId = Annotated[
    UUID, Path(openapi_examples={"a transaction": {"value": TRANSACTION_EXAMPLE}})
]
Amount = Annotated[
    SafeStr,
    Field(
        max_length=AMOUNT_CHARS_MAX,
        description="decimal string of at most the currency's decimals; never rounded",
        json_schema_extra={"pattern": AMOUNT_PATTERN},
        examples=["100.50"],
    ),
]
CurrencyCode = Annotated[str, Field(pattern=CURRENCY_PATTERN, examples=["USD"])]
Reference = Annotated[
    SafeStr,
    Field(
        min_length=1,
        max_length=REFERENCE_CHARS_MAX,
        description="the outside world's id of this payment",
        examples=["INV-2025-001"],
    ),
]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TransferBody(_In):
    """Money from one account to another."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source_account_id": ACCOUNT_EXAMPLE,
                    "destination_account_id": OTHER_ACCOUNT_EXAMPLE,
                    "amount": "100.50",
                    "currency": "USD",
                    "metadata": {"description": "Payment for services"},
                }
            ]
        }
    )

    source_account_id: Id = Field(description="is debited")
    destination_account_id: Id = Field(description="is credited")
    amount: Amount
    currency: CurrencyCode
    reference: Reference | None = None
    effective_at: Instant | None = Field(
        default=None,
        strict=False,
        description="when it counts (RFC 3339 with offset), not in the future; now if left out",
    )
    metadata: Metadata = Field(default_factory=dict)
    conditions: Conditions


class BatchItem(TransferBody):
    """A transfer of a batch."""

    idempotency_key: (
        Annotated[
            str,
            Field(
                pattern=KEY_PATTERN,
                max_length=KEY_CHARS_MAX,
                description="as the header of a single transfer, without quotes",
            ),
        ]
        | None
    ) = None


BatchMode = Literal["atomic", "independent"]


class BatchBody(_In):
    """Transfers that come together."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "mode": "atomic",
                    "transfers": [
                        {
                            "source_account_id": ACCOUNT_EXAMPLE,
                            "destination_account_id": OTHER_ACCOUNT_EXAMPLE,
                            "amount": amount,
                            "currency": "USD",
                            "reference": reference,
                        }
                        for amount, reference in (("100.50", "INV-1"), ("7.25", "INV-2"))
                    ],
                }
            ]
        }
    )

    mode: BatchMode = Field(
        default="independent",
        description="`independent`: each for itself; `atomic`: all, or none if one is refused",
    )
    transfers: list[BatchItem] = Field(min_length=1, max_length=BATCH_ITEMS_MAX)


class BatchResult(BaseModel):
    """The verdict on one transfer: 201 with what it made, or the members of the problem."""

    model_config = ConfigDict(extra="allow")

    index: int = Field(description="place in the request, from 0")
    status: int = Field(description="201, 422, or that of the trouble which left it unknown")
    transaction_id: UUID | None = None
    seq: int | None = None
    balances: dict[UUID, str] | None = None
    replayed: bool | None = Field(default=None, description="true where its key had posted it")
    code: str | None = Field(default=None, description="why it was refused")
    detail: str | None = None


class BatchOut(_Out):
    """The verdicts on a batch, in the order of its transfers."""

    mode: BatchMode
    posted: int
    refused: int
    unknown: int = Field(description="ask again with the same keys; 0 but for trouble")
    results: list[BatchResult]


class DatingOut(_Out):
    """What a closed period did to a posting that was asked to count in it."""

    period_id: UUID
    status: PeriodStatus
    asked_at: datetime | None = Field(description="when it was to count, where that was changed")


class TransactionOut(_Out):
    """A posted transaction."""

    transaction_id: UUID = Field(examples=[TRANSACTION_EXAMPLE])
    seq: int
    kind: str
    reference: str | None
    source_account_id: UUID
    destination_account_id: UUID
    amount: str
    currency: str
    effective_at: datetime
    recorded_at: datetime
    late: bool | None = Field(
        default=None, description="true where it counts on an earlier day (UTC) than its recording"
    )
    dating: DatingOut | None = None
    metadata: dict[str, Any]


class PostedOut(TransactionOut):
    """A transaction just posted, with the balances that it left."""

    balances: dict[UUID, str] = Field(description="credits less debits after it, by account")


class CurrencyAmount(_Out):
    currency: str
    amount: str


class TransactionRow(_Out):
    """One transaction in a list."""

    transaction_id: UUID
    seq: int
    reference: str | None
    amounts: list[CurrencyAmount] = Field(description="what moved, by currency")
    effective_at: datetime
    recorded_at: datetime
    description: str | None = Field(description="`metadata.description`, if it is a text")
    counterparty: str | None = Field(description="`metadata.counterparty`, if it is a text")


class EventRow(_Out):
    """One debit or credit."""

    transaction_id: UUID
    seq: int
    line: int
    account_id: UUID
    direction: Direction
    amount: str
    currency: str
    balance_after: str = Field(description="credits less debits, whatever the normal side")
    position: int = Field(description="counts the account's events from 1, without a gap")
    reference: str | None
    effective_at: datetime
    recorded_at: datetime
    description: str | None
    counterparty: str | None


class HeadOut(_Out):
    """Where the ledger's history ends."""

    ledger: str
    seq: int
    recorded_at: datetime | None


class Page(_Out):
    """A page of a list; `next` is the link to the following one, null on the last."""

    next_cursor: str | None
    next: str | None


class TransactionPage(Page):
    transactions: list[TransactionRow]


class EventPage(Page):
    events: list[EventRow]

"""The JSON of statements of account."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ledger_service.api.bodies import ACCOUNT_EXAMPLE, TRANSACTION_EXAMPLE
from ledger_service.domain.model import Direction


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MovementOut(_Out):
    """One debit or credit, with the balance after it in the order of the statement."""

    transaction_id: UUID = Field(examples=[TRANSACTION_EXAMPLE])
    seq: int
    line: int
    kind: str
    effective_at: datetime
    recorded_at: datetime
    late: bool = Field(description="it counts on an earlier day (UTC) than it was recorded on")
    adjusting: bool
    description: str | None
    counterparty: str | None = Field(
        description="`metadata.counterparty`, else name or code of the only other account"
    )
    counter_account_id: UUID | None = Field(description="the other account, where there is one")
    reference: str | None
    debit: str | None
    credit: str | None
    balance: str


class StatementOut(_Out):
    """Opening balance, movements and closing balance, on the account's normal side."""

    model_config = ConfigDict(populate_by_name=True)

    account_id: UUID = Field(examples=[ACCOUNT_EXAMPLE])
    ledger: str
    name: str | None = Field(description="`metadata.name`")
    code: str | None
    type: str
    currency: str
    normal_side: Direction
    from_at: datetime | None = Field(alias="from", description="inclusive")
    to_at: datetime | None = Field(alias="to", description="exclusive")
    seq: int = Field(description="the last entry that was looked at")
    opening_balance: str
    debits: str
    credits: str
    closing_balance: str = Field(description="opening, and debits and credits on their sides")
    movements: list[MovementOut]

"""The JSON of balances, of now and of any cut through the history."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from ledger_service.api.bodies import ACCOUNT_EXAMPLE, Page
from ledger_service.domain.model import Direction

ACCOUNTS_ASKED_MAX = 500
AccountIds = Annotated[
    list[UUID] | None,
    Query(
        alias="account_id",
        max_length=ACCOUNTS_ASKED_MAX,
        description="only these accounts: repeat the parameter",
    ),
]


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BalanceOut(_Out):
    """An account's balance now, on its normal side."""

    account_id: UUID = Field(examples=[ACCOUNT_EXAMPLE])
    currency: str
    normal_side: Direction
    balance: str = Field(description="what is posted", examples=["400.00"])
    pending_debits: str = Field(description="what open holds may still take")
    pending_credits: str = Field(description="what open holds may still bring")
    available: str = Field(description="the balance less what holds may take from this side")
    debits: str
    credits: str
    position: int = Field(description="number of the account's events")
    seq: int = Field(description="the ledger's last entry that this balance knows of")


class PastBalanceOut(_Out):
    """What was posted to an account at a cut through the history, on its normal side."""

    account_id: UUID = Field(examples=[ACCOUNT_EXAMPLE])
    currency: str
    normal_side: Direction
    balance: str = Field(examples=["400.00"])
    seq: int = Field(description="the last entry that was looked at")
    as_of: datetime | None = Field(description="what counts later is left out")


class BalanceRow(_Out):
    """One account's balance among many."""

    account_id: UUID = Field(examples=[ACCOUNT_EXAMPLE])
    code: str | None
    type: str
    currency: str
    normal_side: Direction
    balance: str = Field(examples=["400.00"])


class BalancePage(Page):
    """Balances of one cut: all pages have the same `seq`."""

    seq: int
    as_of: datetime | None
    balances: list[BalanceRow]

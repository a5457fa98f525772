"""The JSON of accounts: to open, to change and to show them, with examples for Swagger."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ledger_service.api.bodies import ACCOUNT_EXAMPLE, Amount, CurrencyCode, Page
from ledger_service.api.conditions import SIGNED_AMOUNT_PATTERN
from ledger_service.domain.model import Direction, Freeze, LimitsOn
from ledger_service.settings import TYPE_PATTERN
from shared.money import AMOUNT_CHARS_MAX
from shared.text import Metadata, SafeStr

CODE_CHARS_MAX = 255
CODE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*(:[A-Za-z0-9][A-Za-z0-9_.-]*)*$"

Code = Annotated[
    str,
    Field(
        pattern=CODE_PATTERN,
        max_length=CODE_CHARS_MAX,
        description="place in the chart of accounts: a path of names with colons between them, "
        "no other account's in its ledger, and fixed once it is given",
        examples=["assets:bank:main"],
    ),
]
TypeName = Annotated[
    str,
    Field(
        pattern=TYPE_PATTERN,
        description="`asset`, `liability`, `equity`, `income`, `expense`, `internal` (our floats "
        "and fees), `user` (customers), or one that the settings declare; balances of `asset` and "
        "`expense` are positive by debits, those of the other ones by credits",
        examples=["user", "internal", "asset"],
    ),
]
SignedAmount = Annotated[
    SafeStr,
    Field(
        max_length=AMOUNT_CHARS_MAX,
        description="decimal string on the account's normal side; it may have a minus",
        json_schema_extra={"pattern": SIGNED_AMOUNT_PATTERN},
        examples=["-100.00"],
    ),
]
Status = Literal["open", "closed"]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Overdraft(_In):
    """How far the balance may go below zero on its normal side, until limits are changed."""

    policy: Literal["allowed", "refused", "floor"]
    limit: Amount | None = Field(
        default=None, description="with `floor`: how far below zero, as a positive amount"
    )

    @model_validator(mode="after")
    def _limit_goes_with_floor(self) -> "Overdraft":
        if (self.policy == "floor") != (self.limit is not None):
            raise ValueError("`limit` goes with the policy `floor`, and only with it")
        return self


class OpenAccountBody(_In):
    """A new account."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"currency": "USD", "type": "user", "metadata": {"name": "John Doe"}}]
        }
    )

    currency: CurrencyCode
    type: TypeName
    overdraft: Overdraft | None = Field(
        default=None,
        description="left out, the settings say: refused for `user`, allowed for our other types",
    )
    metadata: Metadata = Field(default_factory=dict)
    code: Code | None = None
    ceiling: SignedAmount | None = Field(default=None, description="highest balance; none if null")
    limits_on: LimitsOn | None = Field(
        default=None,
        strict=False,
        description="what floor and ceiling bound: `available` (what all holds would leave), as if "
        "left out, or `posted`",
    )


class LimitsBody(_In):
    """Both bounds of the balance on its normal side: null is no bound."""

    floor: SignedAmount | None
    ceiling: SignedAmount | None
    on: LimitsOn = Field(default=LimitsOn.AVAILABLE, strict=False)


class ChangeAccountBody(_In):
    """What is given changes, what is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"metadata": {"name": "John Doe", "country": "DE"}}]}
    )

    limits: LimitsBody | None = Field(default=None, description="both bounds, as a whole")
    frozen: Freeze | None = Field(
        default=None, strict=False, description="which events it does not take from now on"
    )
    status: Status | None = Field(
        default=None, description="`closed` needs a balance of zero and nothing held"
    )
    code: Code | None = None
    metadata: Metadata | None = Field(default=None, description="all of it, as a whole")

    @model_validator(mode="after")
    def _changes_something(self) -> "ChangeAccountBody":
        if not self.model_fields_set:
            raise ValueError("names nothing to change")
        for name in sorted(self.model_fields_set):
            if getattr(self, name) is None:
                raise ValueError(f"`{name}` is null; leave out what is to stay as it is")
        return self


class OverdraftOut(_Out):
    policy: Literal["allowed", "refused", "floor"]
    floor: str | None = Field(description="lowest balance that a movement may leave")


class _Facts(_Out):
    account_id: UUID = Field(examples=[ACCOUNT_EXAMPLE])
    ledger: str
    currency: str
    scale: int
    type: str
    normal_side: Direction = Field(description="on which side its balance is positive")
    code: str | None = Field(description="its place in the chart of accounts")
    status: Status
    frozen: Freeze = Field(description="which events it does not take for now")
    overdraft: OverdraftOut
    ceiling: str | None = Field(description="highest balance that is allowed")
    limits_on: LimitsOn = Field(description="whether holds count against floor and ceiling")
    version: int = Field(description="counts the changes of the account itself")


class AccountOut(_Facts):
    """An account as its entries made it."""

    metadata: dict[str, Any]
    seq: int = Field(description="the journal entry that opened it")
    opened_at: datetime


class AccountChangeOut(_Facts):
    """An account as one entry left it."""

    kind: Literal["account_opened", "account_changed"]
    metadata: dict[str, Any] | None = Field(description="null where it stayed as it was")
    seq: int = Field(description="the journal entry of this change")
    recorded_at: datetime


class AccountPage(Page):
    accounts: list[AccountOut]


class AccountHistoryPage(Page):
    changes: list[AccountChangeOut]

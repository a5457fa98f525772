"""Conditions on a command, as JSON."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ledger_service.domain.commands import Condition
from shared.ids import Id
from shared.money import AMOUNT_CHARS_MAX
from shared.text import SafeStr

CONDITIONS_MAX = 100
SIGNED_AMOUNT_PATTERN = r"^-?[0-9]+(\.[0-9]+)?$"


class ConditionBody(BaseModel):
    """What must be true of an account, or the command is refused with `condition_failed`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    account_id: Id
    expected_position: int | None = Field(
        default=None, ge=0, lt=2**63, description="number of the account's events before it"
    )
    min_balance_after: (
        Annotated[
            SafeStr,
            Field(
                max_length=AMOUNT_CHARS_MAX,
                description="decimal string: what the balance is at least, after it",
                json_schema_extra={"pattern": SIGNED_AMOUNT_PATTERN},
            ),
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _asks_something(self) -> "ConditionBody":
        if self.expected_position is None and self.min_balance_after is None:
            raise ValueError("a condition has `expected_position`, `min_balance_after` or both")
        return self


Conditions = Annotated[
    list[ConditionBody],
    Field(
        default_factory=list,
        max_length=CONDITIONS_MAX,
        description="where accounts must stand before or after it, or it is refused",
    ),
]


def conditions_of(bodies: Sequence[ConditionBody]) -> tuple[Condition, ...]:
    """Return the conditions as the rules take them."""
    return tuple(
        Condition(one.account_id, one.expected_position, one.min_balance_after) for one in bodies
    )

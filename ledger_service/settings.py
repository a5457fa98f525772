"""What the ledger service is configured with; every key has the prefix LEDGER_."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from ledger_service.domain.model import NORMAL_SIDES, AccountType, Direction
from shared.money import AMOUNT_PATTERN
from shared.settings import ServiceSettings

_POLICY_PATTERN = rf"^(allowed|refused|{AMOUNT_PATTERN[1:-1]})$"
TYPE_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"


class LedgerSettings(ServiceSettings):
    """Settings of one ledger process."""

    model_config = SettingsConfigDict(env_prefix="LEDGER_")

    queue_max: int = Field(
        default=20_000, ge=1, description="commands that may wait; more are answered 503"
    )
    batch_max: int = Field(
        default=2_000, ge=1, le=10_000, description="commands that are committed together at most"
    )
    batch_bytes_max: int = Field(
        default=16_777_216, ge=1_024, description="largest body of a batch of transfers"
    )
    workers: int = Field(
        default=1,
        ge=0,
        le=64,
        description="processes that read large batches, started by the first one; 0: threads",
    )
    answer_seconds_max: float = Field(
        default=30, gt=0, le=600, description="longest that a caller waits for the commit"
    )
    synchronous_commit: Literal["on", "remote_apply", "off"] = Field(
        default="on",
        description="PostgreSQL's setting of that name for the committer; with `off` a crash of "
        "the database loses transfers that were acknowledged: never for real books",
    )
    seal_seconds: float = Field(
        default=10,
        ge=0,
        le=86_400,
        description="how often what is new in the log is sealed; 0: not by this process",
    )
    webhook_private: bool = Field(
        default=False,
        description="whether webhooks may go to loopback, private and link-local addresses",
    )
    webhook_seconds_max: float = Field(
        default=10, gt=0, le=120, description="longest that one request to a webhook may take"
    )
    webhook_backoff_seconds_max: float = Field(
        default=3_600, ge=1, le=86_400, description="longest pause between attempts"
    )
    account_types: dict[Annotated[str, Field(pattern=TYPE_PATTERN)], Direction] = Field(
        default_factory=dict,
        description="types of accounts beyond ours, as JSON, each with the side on which its "
        'balance is positive: {"merchant": "credit"}',
    )
    overdraft: dict[str, Annotated[str, Field(pattern=_POLICY_PATTERN)]] = Field(
        default_factory=dict,
        validate_default=True,
        description="overdraft of a new account by type, as JSON: allowed, refused, or the amount "
        'by which it may go below zero: {"user": "100"}; taken when the account is opened',
    )

    @field_validator("account_types")
    @classmethod
    def _keep_the_known_sides(cls, declared: dict[str, Direction]) -> dict[str, Direction]:
        for name, side in declared.items():
            if NORMAL_SIDES.get(name, side) is not side:
                raise ValueError(f"{name} is a type of ours, with its balance on the other side")
        return declared

    @field_validator("overdraft")
    @classmethod
    def _name_every_type(cls, policies: dict[str, str], known: ValidationInfo) -> dict[str, str]:
        declared: dict[str, Direction] = known.data.get("account_types", {})
        defaults: dict[str, str] = dict.fromkeys(declared, "refused")
        defaults |= dict.fromkeys(NORMAL_SIDES, "allowed") | {AccountType.USER: "refused"}
        for kind in policies.keys() - defaults.keys():
            raise ValueError(f"{kind} is no type of account; declare it in LEDGER_ACCOUNT_TYPES")
        return defaults | {kind: _without_zeros(policy) for kind, policy in policies.items()}

    def normal_side_of(self, kind: str) -> Direction | None:
        """Return on which side a balance of this type is positive, None for an unknown type."""
        return NORMAL_SIDES.get(kind) or self.account_types.get(kind)


def _without_zeros(policy: str) -> str:
    """Return "100" for "100.00", which fits a currency of any scale."""
    return policy.rstrip("0").rstrip(".") if "." in policy else policy

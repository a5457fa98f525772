"""What the ledger service is configured with; every key has the prefix LEDGER_."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from ledger_service.domain.model import AccountType
from shared.money import AMOUNT_PATTERN
from shared.settings import ServiceSettings

_POLICY_PATTERN = rf"^(allowed|refused|{AMOUNT_PATTERN[1:-1]})$"


def _name_every_type(policies: dict[AccountType, str]) -> dict[AccountType, str]:
    defaults = dict.fromkeys(AccountType, "allowed") | {AccountType.USER: "refused"}
    return defaults | {kind: _without_zeros(policy) for kind, policy in policies.items()}


def _without_zeros(policy: str) -> str:
    """Return "100" for "100.00", which fits a currency of any scale."""
    return policy.rstrip("0").rstrip(".") if "." in policy else policy


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
    overdraft: Annotated[
        dict[AccountType, Annotated[str, Field(pattern=_POLICY_PATTERN)]],
        AfterValidator(_name_every_type),
    ] = Field(
        default_factory=dict,
        validate_default=True,
        description="overdraft of a new account by type, as JSON: allowed, refused, or the amount "
        'by which it may go below zero: {"user": "100"}; fixed when the account is opened',
    )

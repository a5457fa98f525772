"""One entry of the match log, whole: what was decided, on what grounds, and about whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from recon_service.domain.config import Policy


@dataclass(frozen=True, slots=True)
class Party:
    """A record, or a ledger item, as it was when the decision was made."""

    id: str
    reference: str | None
    on: date
    currency: str
    scale: int
    amount_minor: int
    text: str | None
    counterparty: str | None

    @property
    def amount(self) -> str:
        """Return the amount in decimals."""
        return decimals(self.amount_minor, self.scale)

    def document(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "id": self.id,
            "reference": self.reference,
            "date": self.on,
            "currency": self.currency,
            "amount": self.amount,
            "text": self.text,
            "counterparty": self.counterparty,
        }


@dataclass(frozen=True, slots=True)
class Logged:
    """A decision with its evidence, the policy that the run went by, and both sides of the match.

    `records` begins with the entry's own. Long lists are cut; `records_count` and `items_count`
    are how many there are.
    """

    log_id: int
    run_id: str
    source: str
    business_date: date
    attempt: int
    dry_run: bool
    decided_at: datetime
    record_id: str
    match_type: str
    decision: str
    score: float | None
    cause: str | None
    reason: str
    residual_minor: int | None
    evidence: Mapping[str, Any]
    policy: Policy
    population: str
    records: tuple[Party, ...]
    items: tuple[Party, ...]
    records_count: int
    items_count: int

    @property
    def record(self) -> Party:
        """Return the record that was decided."""
        return self.records[0]


def decimals(amount_minor: int, scale: int) -> str:
    """Return minor units as a decimal text."""
    return f"{Decimal(amount_minor).scaleb(-scale):f}"

"""The JSON of explanations: why a decision was made, and why a record stayed alone."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from recon_service.api.bodies import Score, StrictOut
from shared.text import Day

Decision = Literal["auto", "suggested", "unmatched", "netted"]


class PartyOut(StrictOut):
    """A record or a ledger item, as it was when the decision was made."""

    id: str
    reference: str | None
    date: Day
    currency: str
    amount: str
    text: str | None
    counterparty: str | None


class StepOut(StrictOut):
    """One bar of the waterfall."""

    feature: str
    label: str
    level: str = Field(description="what was found, in words")
    kind: Literal["prior", "evidence", "rivals"]
    bits: float = Field(description="above zero it speaks for the pair")
    running: float = Field(description="the sum up to here, in bits")


class WeighingOut(StrictOut):
    """How bits add up to the probability; the last step's sum is its log-odds."""

    weights: str = Field(description="version of the weights that were used")
    steps: list[StepOut]
    total_bits: float = Field(description="the prior and all evidence, before rivals")
    odds: float = Field(description="2 to the power of that")
    record_rivals: float
    item_rivals: float
    formula: str
    calculation: str = Field(description="the formula with its numbers")
    probability: Score
    auto_threshold: Score
    suggest_threshold: Score


class ConditionOut(StrictOut):
    condition: str
    record: str
    ledger: str
    finding: str


class AlternativeOut(StrictOut):
    internal_id: str
    score: Score
    bits: float


class WhyGroupOut(StrictOut):
    """What held a group together. Parts that its pass does not know are null."""

    by: str | None
    key: str | None
    solutions: int | None
    interchangeable: int | None
    by_chance: float | None = Field(description="such sums expected by chance")
    rivals: int | None
    truncated: bool | None
    fee: Any = None
    sum: str | None
    residual: str | None


class NettedOut(StrictOut):
    by: str | None
    partner: str | None = Field(description="the record that it cancels out with")


class WhyOut(StrictOut):
    """A decision in words and numbers; which parts there are depends on how it came about."""

    log_id: int
    run_id: UUID
    source: str
    date: Day
    attempt: int
    dry_run: bool
    decided_at: datetime
    record_id: UUID
    title: str
    decision: Decision
    match_type: Literal["exact", "fuzzy", "group", "netted", "none"]
    score: Score | None
    cause: str | None
    reason: str
    policy: dict[str, Any] = Field(description="what the run went by")
    records: list[PartyOut] = Field(description="the decided one first")
    records_count: int
    items: list[PartyOut]
    items_count: int
    conditions: list[ConditionOut] = Field(description="of an exact match")
    weighing: WeighingOut | None = Field(
        description="of a match by evidence; of an unmatched record its best candidate's"
    )
    alternatives: list[AlternativeOut] = Field(
        description="other candidates; of an unmatched record all, the weighed one first"
    )
    group: WhyGroupOut | None
    netted: NettedOut | None


class TakenOut(StrictOut):
    record_id: UUID | None
    run_id: UUID
    log_id: int | None


class NearOut(StrictOut):
    """A ledger item near the record, and the first gate that it failed."""

    item: PartyOut
    gate: Literal[
        "closed_period",
        "other_currency",
        "reversed_sign",
        "amount_difference",
        "out_of_window",
        "recorded_later",
        "taken",
        "conflicting_ids",
        "suggested_elsewhere",
        "rival_better",
        "below_threshold",
        "not_scored",
    ]
    finding: str
    score: Score | None
    same_reference: bool
    lag_days: int = Field(description="the record's date minus the ledger's, in the window's unit")
    days_beyond: int = Field(description="how far outside the window that is")
    taken_by: TakenOut | None


class TriedOnOut(StrictOut):
    """The change was tried on these rows, not on the whole statement: a dry run does that."""

    records: int
    items: int
    trials: int
    weights: str = Field(description="version: the run's own, else the shipped ones")


class DryRunOut(StrictOut):
    method: Literal["POST"]
    path: str
    body: dict[str, Any]


class PolicyChangeOut(StrictOut):
    policy: dict[str, Any] = Field(
        description="a merge patch of the source's policy; empty where none is needed",
        examples=[{"window": {"after_days": 5}}],
    )
    internal_id: str
    decision: Literal["auto", "suggested"]
    score: Score
    others_changed: int = Field(description="other records of those tried that would change, too")
    tried_on: TriedOnOut
    dry_run: DryRunOut | None = Field(description="the request that tries it on all")


class LookedAtOut(StrictOut):
    first: Day
    last: Day
    items: int
    near: int
    complete: bool = Field(description="false: the ledger has too much there to read it all")
    up_to_seq: int


class WhyUnmatchedOut(StrictOut):
    record_id: UUID
    log_id: int
    run_id: UUID
    source: str
    date: Day
    attempt: int
    dry_run: bool
    decision: Decision
    cause: str | None
    reason: str
    record: PartyOut
    policy: dict[str, Any]
    verdict: str
    candidates: list[NearOut] = Field(description="the best first; empty if it is not unmatched")
    change: PolicyChangeOut | None = Field(description="null where no change would match it")
    looked_at: LookedAtOut | None

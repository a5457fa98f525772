"""What a crash run will do, drawn from its seed: who is struck in each cycle, and when."""

import random
from dataclasses import dataclass
from enum import StrEnum

STRIKE_SECONDS_MIN, STRIKE_SECONDS_MAX = 0.2, 2.0
AT_COMMIT_SHARE = 0.7
TERMINATIONS_MAX = 60
TERMINATION_PAUSE_SECONDS_MAX = 0.03


class Kind(StrEnum):
    """Whom a cycle strikes."""

    SERVICE = "service"  # kill -9 of one ledger process
    POSTGRES = "postgres"  # kill -9 of the postmaster and all its children
    BOTH = "both"  # PostgreSQL and every ledger process
    COMMITTER = "committer"  # PostgreSQL ends only the sessions that commit, several times


@dataclass(frozen=True, slots=True)
class Plan:
    """A crash run; everything that can be chosen, and all of it that chance decides."""

    cycles: int
    seed: int
    clients: int = 8
    services: int = 2
    batches: bool = True  # also POST /ledger/batch/, where the service has it
    is_control: bool = False  # commit without waiting for the disk: must be caught losing


@dataclass(frozen=True, slots=True)
class Strike:
    """One cycle: after a time under load, strike."""

    kind: Kind
    after_seconds: float
    service: int  # which process, where one is struck
    at_commit: bool  # PostgreSQL is killed as a commit is on its way to the disk
    pauses_seconds: tuple[float, ...]  # before each ending of the committers' sessions


def strikes(plan: Plan) -> list[Strike]:
    """Return the cycles of a run; each kind comes once in every four."""
    chance = random.Random(plan.seed)
    kinds: list[Kind] = []
    while len(kinds) < plan.cycles:
        kinds += [Kind.POSTGRES] if plan.is_control else chance.sample(list(Kind), k=len(Kind))
    return [_strike(kind, plan, chance) for kind in kinds[: plan.cycles]]


def _strike(kind: Kind, plan: Plan, chance: random.Random) -> Strike:
    pauses = (
        chance.uniform(0, TERMINATION_PAUSE_SECONDS_MAX)
        for _ in range(chance.randint(TERMINATIONS_MAX // 2, TERMINATIONS_MAX))
    )
    return Strike(
        kind=kind,
        after_seconds=chance.uniform(STRIKE_SECONDS_MIN, STRIKE_SECONDS_MAX),
        service=chance.randrange(plan.services),
        at_commit=chance.random() < AT_COMMIT_SHARE and not plan.is_control,
        pauses_seconds=tuple(pauses) if kind is Kind.COMMITTER else (),
    )

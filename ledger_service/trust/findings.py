"""What a verification says: what was read, and each thing that does not agree."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

FINDINGS_MAX = 20


class Damage(StrEnum):
    """What happened to the books, as far as it can be told."""

    ENTRY_CHANGED = "entry_changed"
    ENTRY_MISSING = "entry_missing"
    ENTRY_INSERTED = "entry_inserted"
    ENTRIES_SWAPPED = "entries_swapped"
    EVENT_CHANGED = "event_changed"
    KEY_CHANGED = "key_changed"
    KEY_MISSING = "key_missing"
    KEY_INSERTED = "key_inserted"
    TAIL_CUT = "tail_cut"
    SEAL_CHANGED = "seal_changed"
    ANCHOR_DIFFERS = "anchor_differs"
    PROJECTION_DIFFERS = "projection_differs"
    HEAD_DIFFERS = "head_differs"


class Finding(NamedTuple):
    """One disagreement; `seq` is the entry that it is about, None where it is about none.

    `by_seal` where a seal tells what was done, and not only what follows from it.
    """

    damage: Damage
    seq: int | None
    sentence: str
    by_seal: bool = False

    def __str__(self) -> str:
        return self.sentence


@dataclass(slots=True)
class Report:
    """What a verification read, and what does not agree (at most FINDINGS_MAX of each kind)."""

    entries: int = 0
    events: int = 0
    accounts: int = 0
    keys: int = 0
    seals: int = 0
    sealed_seq: int = 0
    anchored_seq: int | None = None
    findings: list[Finding] = field(default_factory=list)

    def note(
        self, damage: Damage, seq: int | None, sentence: str, *, by_seal: bool = False
    ) -> None:
        """Add a finding, unless there are enough of its kind."""
        alike = sum(one.damage is damage and one.by_seal is by_seal for one in self.findings)
        if alike < FINDINGS_MAX:
            self.findings.append(Finding(damage, seq, sentence, by_seal))

    def in_order(self) -> list[Finding]:
        """Return the findings by seq, those about no entry last; what a seal tells comes first."""
        return sorted(
            self.findings, key=lambda one: (one.seq is None, one.seq or 0, not one.by_seal)
        )

    @property
    def first_bad_seq(self) -> int | None:
        """The first entry that a finding is about."""
        return min((one.seq for one in self.findings if one.seq is not None), default=None)

"""A cell of the table: what is measured in every round, and what came of it."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from scripts.bench.ledger.measure import Sample
from scripts.bench.ledger.server import BenchError

ROUNDS_MAX = 1_000


@dataclass(slots=True)
class Cell:
    """One row of the table; `beside` names the cell whose rate its own is divided by."""

    name: str
    measure: Callable[[], Sample]
    unit: str
    beside: str
    rounds_max: int = ROUNDS_MAX
    samples: list[Sample] = field(default_factory=list)
    note: str = ""

    def take(self) -> None:
        """Measure once more, unless that is enough or it has shown that it cannot be measured."""
        if not self.note and len(self.samples) < self.rounds_max:
            try:
                self.samples.append(self.measure())
            except BenchError as error:
                self.note = str(error)

    def last(self) -> str:
        """Say what the last measurement was."""
        return self.note or f"{self.samples[-1].rate:,.0f} {self.unit}"

    @property
    def rate(self) -> float | None:
        return statistics.median(one.rate for one in self.samples) if self.samples else None

    @property
    def errors(self) -> int:
        return sum(sum(one.errors.values()) for one in self.samples)

    def median(self, detail: str) -> float | None:
        """Return the median of a detail over all samples that have it."""
        found = [one.details[detail] for one in self.samples if detail in one.details]
        return statistics.median(found) if found else None

"""A cell of the table: what is measured in every round, and what came of it."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from scripts.bench.ledger.measure import Sample
from scripts.bench.ledger.server import BenchError


@dataclass(slots=True)
class Cell:
    """One row of the table; `beside` names the cell whose rate its own is divided by."""

    name: str
    measure: Callable[[], Sample]
    unit: str
    beside: str
    samples: list[Sample] = field(default_factory=list)
    note: str = ""

    def take(self) -> None:
        """Measure once more, unless it has shown that it cannot be measured."""
        if not self.note:
            try:
                self.samples.append(self.measure())
            except BenchError as error:
                self.note = str(error)

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

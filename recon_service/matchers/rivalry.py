"""The probability of each candidate pair among its rivals, where nobody has two counterparts.

The state of a run is a matching: some pairs hold, none shares a row with another. Its weight is
the product of the odds of its pairs; a row without a pair weighs one. The share of all weight in
which a pair holds is its probability. Belief propagation computes it: exactly where the candidates
form a tree, as nearly always here, and closely elsewhere (the monomer-dimer model; Bayati,
Gamarnik, Katz, Nair and Tetali 2007, "Simple deterministic approximation algorithms for counting
matchings"). A rival that is surely matched elsewhere is none.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ITERATIONS_MAX = 100
_STILL = 1e-8


@dataclass(frozen=True, slots=True)
class Rivalry:
    """By pair: its probability, and the odds of the rivals still free on both of its sides."""

    probability: Floats
    record_rivals: Floats
    item_rivals: Floats


@dataclass(frozen=True, slots=True)
class Side:
    """One end of the pairs: the row of each pair, how many equal rows it stands for, and the odds
    of candidates that were not looked at."""

    node: Ints
    times: Ints
    unseen: Floats

    def rivals(self, offers: Floats) -> Floats:
        """Return per pair the summed offers of the other pairs of its row."""
        total = np.bincount(self.node, weights=offers, minlength=len(self.times))
        others: Floats = np.maximum(total[self.node] - offers, 0.0) + self.unseen[self.node]
        return others


def rivalry(
    odds: Floats, records: Side, items: Side, *, iterations_max: int = ITERATIONS_MAX
) -> Rivalry:
    """Return the probability of each pair: odds / (odds + (1 + rivals) * (1 + rivals)).

    `odds` are those of the pair against no match at all. Rows that stand for several equal ones
    are rivals as often; the pair's own row counts once, as the pair.
    """
    to_record = items.times[items.node] * odds
    to_item = records.times[records.node] * odds
    record_rivals, item_rivals = records.rivals(to_record), items.rivals(to_item)
    for _ in range(iterations_max):
        last = record_rivals
        item_rivals = items.rivals(to_item / (1.0 + record_rivals))
        record_rivals = records.rivals(to_record / (1.0 + item_rivals))
        if (np.abs(record_rivals - last) <= _STILL * (1.0 + last)).all():
            break
    probability = odds / (odds + (1.0 + record_rivals) * (1.0 + item_rivals))
    return Rivalry(probability, record_rivals, item_rivals)

"""The matchers that are compared, each a function from a case to a prediction."""

import time
from collections.abc import Callable, Mapping

from recon_service.matchers.partition import match_partition
from scripts.bench.matching.baselines import first_amount, first_match, greedy_weights
from scripts.bench.matching.generator import Case
from scripts.bench.matching.prediction import Prediction, of_outcome
from scripts.bench.matching.splink_baseline import splink

Matcher = Callable[[Case], Prediction]


def kairon(case: Case) -> Prediction:
    """Run our own matcher."""
    started = time.perf_counter()
    outcome = match_partition(case.records, case.items, case.policy)
    return of_outcome(outcome, seconds=time.perf_counter() - started)


MATCHERS: Mapping[str, Matcher] = {
    "kairon": kairon,
    "rules": first_match,
    "amount rules": first_amount,
    "greedy weights": greedy_weights,
    "splink": splink,
}

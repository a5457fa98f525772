"""How sure a found group is, and which of several that want the same rows is taken.

A single row of a kind of pool (say: same counterparty) is made up by rows of that pool with the
prior probability p, and chance alone gives `expected` = x answers, spread as by Poisson. Exactly
one answer was seen: either the true one and none by chance, p e^-x, or one by chance, (1-p) x e^-x.
So

    score = p / (p + (1 - p) x) / (solutions * interchangeable)

The priors are shipped and then learned from the run: p is the share of the rows with such a pool
whose answer is true, expectation and maximisation in turn, the shipped value counting for
PRIOR_WEIGHT rows. Where most pools yield nothing, answers by chance are not believed.

Groups that share rows compete by their odds, and so do pairs that merely were suggested.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from recon_service.domain.config import Policy
from recon_service.matchers.group_rows import Hit, Searched

# That the rows of a pool make up a single row of it, before any sum was formed.
SHIPPED_PRIORS = {
    "key": 0.98,
    "token": 0.8,
    "named": 0.7,
    "party": 0.7,
    "word": 0.4,
    "window": 0.05,
    # All rows of one look, or with one word, on a day or several; the single row names nobody.
    "day": 0.2,
    "days": 0.05,
    "word day": 0.1,
    "word days": 0.02,
    # A look that the single row names, less the fee that explains others of that name.
    "fee day": 0.5,
}
# What is found by search was not found as a whole before.
_SEARCHED_SHARE = 0.5
PRIOR_WEIGHT = 10.0
_ROUNDS = 30
# A wrong group is dearer than a wrong pair: it takes several rows from where they belong.
AUTO_SCORE_MIN = 0.99
_SCORE_MAX = 0.999999
_PLACES = 6


@dataclass(frozen=True, slots=True)
class Verdict:
    """A group with its score; `rivals` is the number of other groups that want one of its rows."""

    hit: Hit
    score: float
    rivals: int
    is_auto: bool


Claim = tuple[str, int]


def claims(hit: Hit) -> list[Claim]:
    """Return the rows of both sides that a group takes."""
    ones, many = ("record", "item") if hit.is_payout else ("item", "record")
    return [(ones, row) for row in hit.ones] + [(many, row) for row in hit.members]


def verdicts(found: Sequence[Searched], policy: Policy, held: dict[Claim, float]) -> list[Verdict]:
    """Score the groups of one step, the surest first; equal ones in content order.

    `held` gives the odds of the suggested pair of a row.
    """
    hits, scores = [], []
    for searched in found:
        hits += searched.hits
        scores += _posteriors(searched)
    wanted: dict[Claim, list[int]] = defaultdict(list)
    for place, hit in enumerate(hits):
        for claim in claims(hit):
            wanted[claim].append(place)
    odds = [score / (1 - score) for score in scores]
    result = []
    for place, hit in enumerate(hits):
        rows = claims(hit)
        rivals = sorted({other for claim in rows for other in wanted[claim]} - {place})
        against = sum(odds[other] for other in rivals) + sum(held.get(claim, 0.0) for claim in rows)
        share = odds[place] / (odds[place] + against) if against else 1.0
        score = round(scores[place] * share, _PLACES)
        result.append(Verdict(hit, score, len(rivals), _is_auto(hit, score, policy)))
    result.sort(key=lambda verdict: (-verdict.score, not verdict.hit.is_payout, verdict.hit.ones))
    return result


def _posteriors(searched: Searched) -> list[float]:
    prior = _learned(searched)
    return [
        min(_posterior(prior, hit.expected) / (hit.solutions * hit.interchangeable), _SCORE_MAX)
        for hit in searched.hits
    ]


def _learned(searched: Searched) -> float:
    """Return the share of tried rows of one kind that a true group makes up."""
    if not searched.hits:
        return 0.0
    first = searched.hits[0]
    shipped = SHIPPED_PRIORS[first.kind]
    if first.by == "subset":
        shipped *= 1.0 if first.kind in ("window", "named") else _SEARCHED_SHARE
    certain = [hit.expected for hit in searched.hits if hit.solutions == 1]
    unclear = len(searched.hits) - len(certain)
    tried = max(searched.tried, len(searched.hits))
    prior = shipped
    for _ in range(_ROUNDS):
        true = sum(_posterior(prior, expected) for expected in certain) + unclear * prior
        prior = (PRIOR_WEIGHT * shipped + true) / (PRIOR_WEIGHT + tried)
    return prior


def _posterior(prior: float, expected: float) -> float:
    return prior / (prior + (1 - prior) * expected)


def _is_auto(hit: Hit, score: float, policy: Policy) -> bool:
    is_certain = hit.solutions == 1 and hit.interchangeable == 1
    is_certain = is_certain and not hit.truncated and not hit.doubtful
    is_simple = len(hit.ones) == 1
    return is_certain and is_simple and score >= max(policy.automatic_from, AUTO_SCORE_MIN)

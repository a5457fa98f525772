"""Which smallest change of a policy would match a record; nothing is claimed that was not tried.

near items ─▶ what each would need (days, an amount) ─▶ match_partition with it ─▶ threshold, too?
                                                        └─ only a pair that is no guess counts
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import polars as pl

from recon_service.domain.config import WINDOW_DAYS_MAX, Policy
from recon_service.matchers.nearby import nearest
from recon_service.matchers.partition import Outcome, match_partition
from recon_service.matchers.weights import Weights

# Near items whose gaps are tried; each costs one or two runs of the matcher on a few rows.
_ITEMS_TRIED_MAX = 6
# A pair less likely than this is no match at any threshold.
_SCORE_MIN = Decimal("0.05")
_TRIABLE_GATES = ("amount_difference", "out_of_window")
_MATCHED = ("auto", "suggested")
# Two candidates whose bits differ by less are equally good.
_TIE_BITS = 1e-3


@dataclass(frozen=True, slots=True)
class Change:
    """A verified change: `policy` is a merge patch of the policy, empty where none is needed.

    `others_changed` counts other records among those tried that would be decided differently.
    """

    policy: Mapping[str, Any]
    internal_id: str
    decision: str
    score: float
    others_changed: int


@dataclass(frozen=True, slots=True)
class Tried:
    """The smallest change, if any; else whether one would merely pick one of several equals.

    `scores` are the probabilities of the record's best candidates under the policy as it is.
    """

    change: Change | None
    would_guess: bool
    scores: Mapping[str, float]
    tried: int


def smallest_change(
    record_id: str,
    records: pl.DataFrame,
    items: pl.DataFrame,
    policy: Policy,
    gone: pl.DataFrame | None = None,
    weights: Weights | None = None,
) -> Tried:
    """Return what would match `record_id`, one of `records`, by trying it on these few rows.

    `records` (RECORD_SCHEMA) are the record and those that compete with it, `items` (ITEM_SCHEMA)
    what is free around it; `weights` are the run's, the shipped ones without. Smaller is: fewer
    settings, then less loosening, by share of the amount, of a month, and of certainty.
    """
    trial = _Trial(record_id, records, items, gone, weights)
    before = trial.of(policy)
    scores = _scores(before.row)
    if before.is_match:
        return Tried(trial.change({}, before, before), before.is_guess, scores, 1)
    record = records.filter(pl.col("record_id") == record_id)
    found: list[tuple[tuple[int, float], Change]] = []
    would_guess, count = False, 1
    for gap, size in _gaps(record, items, policy):
        loosened = _patched(policy, gap)
        after = before if not gap else trial.of(loosened)
        count += 1 if gap else 0
        patch = dict(gap)
        if not after.is_match and (threshold := after.threshold_below()) is not None:
            size += policy.suggest_threshold - threshold
            patch["suggest_threshold"] = threshold
            after = trial.of(_patched(policy, patch))
            count += 1
        if not after.is_match:
            continue
        if after.is_guess:
            would_guess = True
            continue
        found.append(((len(patch), size), trial.change(patch, before, after)))
    if not found:
        return Tried(None, would_guess, scores, count)
    best = min(found, key=lambda one: one[0])[1]
    return Tried(best, would_guess, scores, count)


@dataclass(frozen=True, slots=True)
class _Result:
    rows: pl.DataFrame
    row: dict[str, Any]

    @property
    def is_match(self) -> bool:
        return self.row["decision"] in _MATCHED

    @property
    def is_guess(self) -> bool:
        """Whether equals were told apart by nothing but their order."""
        evidence = json.loads(self.row["evidence"])
        if evidence.get("solutions", 1) > 1 or evidence.get("truncated"):
            return True
        alike = evidence.get("alike", {"records": 1, "items": 1})
        if alike["records"] != alike["items"]:
            return True
        others = evidence.get("alternatives", [])
        return any(one["bits"] >= evidence["total_bits"] - _TIE_BITS for one in others)

    def threshold_below(self) -> float | None:
        """Return the threshold, in hundredths, that the best candidate would reach."""
        if self.row["score"] is None:
            return None
        score = Decimal(str(self.row["score"])).quantize(Decimal("0.01"), ROUND_FLOOR)
        return float(score) if score >= _SCORE_MIN else None


@dataclass(frozen=True, slots=True)
class _Trial:
    record_id: str
    records: pl.DataFrame
    items: pl.DataFrame
    gone: pl.DataFrame | None
    weights: Weights | None

    def of(self, policy: Policy) -> _Result:
        outcome: Outcome = match_partition(
            self.records, self.items, policy, self.gone, weights=self.weights
        )
        own = outcome.rows.filter(pl.col("record_id") == self.record_id)
        return _Result(outcome.rows, own.row(0, named=True))

    def change(self, patch: Mapping[str, Any], before: _Result, after: _Result) -> Change:
        columns = ("record_id", "internal_id", "decision")
        was, now = (
            set(one.rows.filter(pl.col("record_id") != self.record_id).select(columns).iter_rows())
            for one in (before, after)
        )
        row = after.row
        return Change(patch, row["internal_id"], row["decision"], row["score"], len(now - was))


def _gaps(
    record: pl.DataFrame, items: pl.DataFrame, policy: Policy
) -> Iterator[tuple[dict[str, Any], float]]:
    """Yield what near items lack as patches of the policy, each once, with its size."""
    yield {}, 0.0
    near = nearest(record, items, policy, items_max=_ITEMS_TRIED_MAX)
    scale, size_minor = int(record["scale"][0]), max(abs(int(record["amount_minor"][0])), 1)
    seen: list[dict[str, Any]] = []
    for one in near.iter_rows(named=True):
        if one["gate"] not in _TRIABLE_GATES:
            continue
        patch: dict[str, Any] = {}
        size = 0.0
        difference = abs(one["difference_minor"])
        if difference > one["allowed_minor"]:
            patch["amount_tolerance"] = {"absolute": f"{Decimal(difference).scaleb(-scale):f}"}
            size += difference / size_minor
        if one["days_beyond"]:
            side = "after_days" if one["lag_days"] > 0 else "before_days"
            if abs(one["lag_days"]) > WINDOW_DAYS_MAX:
                continue
            patch["window"] = {side: abs(one["lag_days"])}
            size += one["days_beyond"] / 30.0
        if patch not in seen:
            seen.append(patch)
            yield patch, size


def _patched(policy: Policy, patch: Mapping[str, Any]) -> Policy:
    changed = policy.model_dump(mode="json")
    for name, value in patch.items():
        changed[name] = changed[name] | value if isinstance(value, Mapping) else value
    return Policy.model_validate(changed)


def _scores(row: Mapping[str, Any]) -> dict[str, float]:
    candidates = json.loads(row["evidence"]).get("candidates", [])
    return {one["internal_id"]: one["score"] for one in candidates}

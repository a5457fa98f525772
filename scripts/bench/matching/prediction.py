"""What a matcher said about a case, in one shape for ours and for the baselines."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from recon_service.matchers.partition import Outcome

Decision = Literal["auto", "suggested"]


@dataclass(frozen=True, slots=True)
class Match:
    """Records and items that are said to be the same money."""

    record_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    decision: Decision
    score: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """What one record could be, best first; `score` is the first one's, null if it is no guess."""

    record_id: str
    item_ids: tuple[str, ...]
    score: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """All matches of one matcher, and its ranking for each record that it ranked."""

    matcher: str
    matches: list[Match]
    ranked: list[Ranked] = field(default_factory=list)
    seconds: float = 0.0
    scores_are_probabilities: bool = False


def of_outcome(outcome: Outcome, *, seconds: float) -> Prediction:
    """Read our matcher's rows, and its members where a match is not one-to-one."""
    members: pl.DataFrame | None = getattr(outcome, "members", None)
    grouped = set() if members is None else set(members.filter(side="record")["id"])
    matches, ranked = [], []
    said: dict[str, tuple[str, float]] = {}
    for row in outcome.rows.iter_rows(named=True):
        score = 1.0 if row["score"] is None else float(row["score"])
        if row["record_id"] in grouped:
            said[row["record_id"]] = row["decision"], score
        elif row["internal_id"] is not None and row["decision"] in ("auto", "suggested"):
            matches.append(
                Match((row["record_id"],), (row["internal_id"],), row["decision"], score)
            )
        if row["match_type"] in ("fuzzy", "none"):
            ranked.append(_ranking(row))
    if members is not None:
        matches += _groups(members, said)
    return Prediction("kairon", matches, ranked, seconds, scores_are_probabilities=True)


def _ranking(row: dict[str, Any]) -> Ranked:
    evidence = json.loads(row["evidence"] or "{}")
    others = [
        other["internal_id"]
        for name in ("alternatives", "candidates")
        for other in evidence.get(name, ())
    ]
    first = [row["internal_id"]] if row["internal_id"] is not None else []
    return Ranked(row["record_id"], tuple(dict.fromkeys(first + others)), row["score"])


def _groups(members: pl.DataFrame, said: dict[str, tuple[str, float]]) -> Iterator[Match]:
    for _, rows in members.group_by("match_id", maintain_order=True):
        records = tuple(rows.filter(side="record")["id"])
        items = tuple(rows.filter(side="item")["id"])
        decision, score = said.get(records[0], ("netted", 1.0)) if records else ("netted", 1.0)
        yield Match(records, items, "suggested" if decision == "suggested" else "auto", score)

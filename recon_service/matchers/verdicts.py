"""Turns scored and assigned classes into one decided row per record."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recon_service.domain.config import Policy
from recon_service.domain.records import OUTCOME_SCHEMA
from recon_service.matchers.explain import (
    SCORE_PLACES,
    alternative,
    ambiguity,
    compact,
    no_candidate,
    pair_evidence,
    pair_sentence,
    past_gate_sentence,
    residual_cause,
)
from recon_service.matchers.fees import Fees
from recon_service.matchers.fuzzy import FuzzyOutcome

_ALTERNATIVES_MAX = 3

_Row = tuple[str, str | None, str, str, float | None, int | None, str | None, str, str]


def fuzzy_rows(
    fuzzy: FuzzyOutcome,
    records: pl.DataFrame,
    alike: pl.DataFrame | None,
    policy: Policy,
    fees: Fees | None = None,
) -> pl.DataFrame:
    """Return OUTCOME_SCHEMA for every record of the fuzzy pass, matched or not.

    `alike` is `past_gates.same_reference` of the same records: the cause where nothing matched.
    `fees` may explain what amounts differ by.
    """
    by_id = {} if alike is None else _by_id(alike, records)
    story = _Story(fuzzy, by_id, policy, fees or Fees())
    rows = [row for place in range(fuzzy.records.height) for row in story.of_class(place)]
    return pl.DataFrame(rows, schema=OUTCOME_SCHEMA, orient="row")


def _by_id(alike: pl.DataFrame, records: pl.DataFrame) -> dict[str, dict[str, Any]]:
    own = records.select("id", "currency", "amount_minor", "scale")
    return {row["id"]: row for row in alike.join(own, on="id").iter_rows(named=True)}


def _explained_pairs(fuzzy: FuzzyOutcome, fees: Fees) -> frozenset[int]:
    """Return the chosen pairs whose amounts differ by a known fee."""
    chosen = np.unique(fuzzy.assignment.chosen)
    items = fuzzy.items[fuzzy.scored.items[chosen]]
    gross = items["amount_minor"].to_numpy()
    net = gross + fuzzy.scored.residual_minor[chosen]
    return frozenset(chosen[fees.explain(items["currency"], gross, net)].tolist())


@dataclass(frozen=True, slots=True)
class _Claim:
    pair: int
    internal_ids: list[str]


class _Story:
    """Walks the classes of records in content order and tells what became of each row."""

    def __init__(
        self, fuzzy: FuzzyOutcome, alike: dict[str, dict[str, Any]], policy: Policy, fees: Fees
    ) -> None:
        self._scored, self._alike, self._policy = fuzzy.scored, alike, policy
        self._charged = _explained_pairs(fuzzy, fees)
        self._record_ids: list[list[str]] = fuzzy.records["ids"].to_list()
        self._scales: list[int] = fuzzy.records["scale"].to_list()
        self._item_ids: list[list[str]] = fuzzy.items["ids"].to_list()
        self._kinds: list[int] = fuzzy.items["kinds"].to_list()
        self._dropped = fuzzy.dropped
        self._claims = self._claimed(fuzzy)
        best = np.lexsort((self._scored.items, -self._scored.probability, self._scored.records))
        self._best = best
        places = np.arange(fuzzy.records.height + 1)
        self._starts = np.searchsorted(self._scored.records[best], places)
        self._nothing = no_candidate(policy)
        self._no_evidence = compact({"pass": "none", "candidates": []})

    def of_class(self, place: int) -> Iterator[_Row]:
        """Yield the rows of one class of records, in the order of time."""
        ids = self._record_ids[place]
        candidates = self._best[self._starts[place] : self._starts[place + 1]].tolist()
        matched = 0
        for claim in self._claims.get(place, ()):
            members = ids[matched : matched + len(claim.internal_ids)]
            yield from self._matched(place, claim, members, candidates)
            matched += len(members)
        for record_id in ids[matched:]:
            yield self._unmatched(place, record_id, candidates, left_over=matched > 0)

    def _claimed(self, fuzzy: FuzzyOutcome) -> dict[int, list[_Claim]]:
        """Deal the members of each item class out to the pairs that were assigned to it."""
        order = np.lexsort((self._scored.items, self._scored.records)).argsort()
        chosen, quantity = fuzzy.assignment.chosen, fuzzy.assignment.quantity
        used: dict[int, int] = {}
        claims: dict[int, list[_Claim]] = {}
        for k in np.argsort(order[chosen]).tolist():
            pair, count = int(chosen[k]), int(quantity[k])
            item = int(self._scored.items[pair])
            start = used.get(item, 0)
            used[item] = start + count
            claim = _Claim(pair, self._item_ids[item][start : start + count])
            claims.setdefault(int(self._scored.records[pair]), []).append(claim)
        return claims

    def _matched(
        self, place: int, claim: _Claim, members: list[str], candidates: list[int]
    ) -> Iterator[_Row]:
        pair, scored = claim.pair, self._scored
        probability = float(scored.probability[pair])
        residual = int(scored.residual_minor[pair])
        counts = len(self._record_ids[place]), len(self._item_ids[int(scored.items[pair])])
        unclear = ambiguity(*counts, is_tied=bool(scored.is_tied[pair]))
        is_auto = probability >= self._policy.automatic_from and not unclear
        evidence = {"pass": "fuzzy"} | pair_evidence(scored, pair)
        if max(counts) > 1:
            evidence["alike"] = {"records": counts[0], "items": counts[1]}
        evidence["alternatives"] = self._alternatives(
            [other for other in candidates if other != pair]
        )
        text = compact(evidence)
        is_fee = pair in self._charged
        sentence = pair_sentence(
            scored, pair, self._scales[place], self._policy.window, is_fee=is_fee
        )
        reason = sentence[0].upper() + sentence[1:] + unclear
        for record_id, internal_id in zip(members, claim.internal_ids, strict=True):
            yield (
                record_id,
                internal_id,
                "fuzzy",
                "auto" if is_auto else "suggested",
                round(probability, SCORE_PLACES),
                residual,
                residual_cause(residual, is_fee=is_fee),
                text,
                reason,
            )

    def _unmatched(
        self, place: int, record_id: str, candidates: list[int], *, left_over: bool
    ) -> _Row:
        scored = self._scored
        score = (
            round(float(scored.probability[candidates[0]]), SCORE_PLACES) if candidates else None
        )
        same = self._alike.get(record_id)
        if left_over:
            cause, reason = "duplicate", "Records like this one took every ledger item there is"
        elif same is not None and (same["cause"] != "ambiguous" or not candidates):
            cause, reason = same["cause"], past_gate_sentence(same["cause"], same, self._policy)
        elif not candidates:
            cause, reason = "missing_in_ledger", self._nothing
        else:
            cause, reason = self._too_weak(place, candidates, has_reference=same is not None)
        evidence = self._no_evidence
        if candidates or same is not None:
            document: dict[str, Any] = {"pass": "none"}
            if same is not None:
                document["same_reference"] = same["item_id"]
            if candidates:
                document |= pair_evidence(scored, candidates[0])
            evidence = compact(document | {"candidates": self._alternatives(candidates)})
        return (record_id, None, "none", "unmatched", score, None, cause, evidence, reason)

    def _too_weak(
        self, place: int, candidates: list[int], *, has_reference: bool
    ) -> tuple[str, str]:
        scored, best = self._scored, candidates[0]
        story = pair_sentence(scored, best, self._scales[place], self._policy.window)
        below = f"is below {self._policy.suggest_threshold:.2f}"
        rivals = 1 + sum(
            bool(scored.total_bits[other] >= scored.total_bits[best] - 1e-9)
            for other in candidates[1:]
        )
        if self._kinds[int(scored.items[best])] > 1:
            rivals += len(self._item_ids[int(scored.items[best])]) - 1
        cut = int(self._dropped[place])
        beside = f", {cut} more were not looked at" if cut else ""
        if scored.is_tied[best] or has_reference:
            crowd = f"{rivals} candidates are" if rivals > 1 else "Other records fit"
            crowd += " equally good" if rivals > 1 else " as well or better"
            return "ambiguous", f"{crowd}{beside}; the best {below}: {story}"
        return "missing_in_ledger", f"The best candidate {below}{beside}: {story}"

    def _alternatives(self, pairs: list[int]) -> list[dict[str, Any]]:
        return [
            alternative(self._scored, pair, self._item_ids[int(self._scored.items[pair])][0])
            for pair in pairs[:_ALTERNATIVES_MAX]
        ]

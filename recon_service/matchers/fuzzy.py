"""Fuzzy matching: scores every candidate as a probability and assigns one to one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.config import Policy
from recon_service.matchers.alike import merge_alike
from recon_service.matchers.assignment import Assignment, assign
from recon_service.matchers.comparison import Comparer
from recon_service.matchers.crowds import with_rare_words
from recon_service.matchers.gates import absolute_minor, candidates
from recon_service.matchers.references import reference_columns
from recon_service.matchers.scoring import Scored, score_pairs, strange_levels
from recon_service.matchers.sides import Sides, dense_codes, story
from recon_service.matchers.vetoes import conflicting_ids
from recon_service.matchers.weights import Weights

Ints = npt.NDArray[np.int64]

# Candidates looked at per record; what is cut is counted, and rivals the ones that are kept.
CANDIDATES_MAX = 40

_CLASS = ("currency", "amount_minor", "on", "ref_words", "words", "party")


@dataclass(frozen=True, slots=True)
class FuzzyOutcome:
    """Classes of rows that are equal in all that counts, their scored pairs and the chosen ones.

    `records` and `items` are the classes, each with `ids` in the order of time and their number
    `n`; `scored` refers to them by row number, `assignment` to the pairs of `scored`.
    """

    records: pl.DataFrame
    items: pl.DataFrame
    scored: Scored
    assignment: Assignment
    dropped: Ints


@dataclass(frozen=True, slots=True)
class FuzzyMatcher:
    """Pairs what is left by evidence: same currency and sign, within tolerance and window.

    Without `weights` the run's own are learnt where it is large enough, else the shipped ones hold.
    """

    policy: Policy
    weights: Weights | None = None

    def match(self, open_sides: Sides, whole: Sides, rarity: pl.DataFrame) -> FuzzyOutcome:
        """Score and assign the rows of `open_sides`, which are a part of the `whole` partition.

        The open ones are canonical, the whole is `referenced`: it tells which references have
        their equal elsewhere. `rarity` tells how rare the words of the open ones are in it.
        """
        records, items = open_sides.records, open_sides.items
        records = reference_columns(
            records.with_columns(
                absolute_minor=absolute_minor(records["scale"], self.policy),
                orphan=_is_orphan(records, whole.items),
                story=story(),
            )
        )
        items = reference_columns(
            items.with_columns(orphan=_is_orphan(items, whole.records), story=story())
        )
        records, items = _grouped(_classes(records), _classes(items))
        found = candidates(records, items, self.policy, per_record_max=CANDIDATES_MAX)
        found = with_rare_words(found, records, items, self.policy, per_record_max=CANDIDATES_MAX)
        order = np.lexsort((found.items, found.records))
        comparer = Comparer.of(records, items, rarity)
        pairs = comparer.compare(found.records[order], found.items[order])
        vetoed = conflicting_ids(records, items, pairs, self.policy)
        pairs = pairs.of_pairs(np.flatnonzero(~vetoed))
        others = strange_levels(comparer, self.policy) if self.weights is None else None
        field = merge_alike(records, items, pairs, found.dropped)
        scored = score_pairs(field, self.policy, weights=self.weights, others=others)
        chosen = self._assign(field.records, field.items, scored)
        return FuzzyOutcome(field.records, field.items, scored, chosen, field.dropped)

    def _assign(self, records: pl.DataFrame, items: pl.DataFrame, scored: Scored) -> Assignment:
        eligible = np.flatnonzero(scored.probability >= self.policy.suggest_threshold)
        result = assign(
            scored.records[eligible],
            scored.items[eligible],
            scored.probability[eligible],
            left_capacity=records["n"].to_numpy().astype(np.int64),
            right_capacity=items["n"].to_numpy().astype(np.int64),
        )
        return Assignment(
            eligible[result.chosen], result.quantity, result.greedy, result.components_greedy
        )


def _is_orphan(rows: pl.DataFrame, other_side: pl.DataFrame) -> pl.Series:
    known = other_side.join(rows, on="ref", how="semi")["ref"].unique()
    return ~rows["ref"].is_in(known.implode())


def _classes(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per set of equal rows, in content order, their ids in the order of time."""
    kept = set(rows.columns) - {*_CLASS, "id", "at"}
    return (
        rows.sort("at", "id")
        .group_by(_CLASS, maintain_order=True)
        .agg(
            pl.col("id").alias("ids"),
            pl.col("at").alias("ats"),
            *(pl.col(name).first() for name in sorted(kept)),
            n=pl.len(),
        )
        .sort(_CLASS)
    )


def _grouped(records: pl.DataFrame, items: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Add `group`: only rows of one currency can be candidates."""
    codes = dense_codes(records["currency"], items["currency"])
    return records.with_columns(group=codes[0]), items.with_columns(group=codes[1])

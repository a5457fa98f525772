"""Scores candidate pairs: levels of evidence, their bits, and the probability among rivals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.config import Policy
from recon_service.matchers.coincidence import coincidence
from recon_service.matchers.comparison import Comparer
from recon_service.matchers.fitting import Field, fit, shipped_fit
from recon_service.matchers.strangers import strangers
from recon_service.matchers.training import LevelCounts
from recon_service.matchers.weights import Weights, shipped

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Scored:
    """Candidate pairs of classes, one array element each, ordered by record and item.

    `levels` and `bits` hold the evidence by feature, `prior_bits` what a candidate is worth before
    any; `record_rivals` and `item_rivals` are the odds of the rivals that are still free;
    `is_tied` tells that a rival is as good. `weights` names the parameters.
    """

    records: Ints
    items: Ints
    residual_minor: Ints
    lag_days: Ints
    levels: dict[str, Levels]
    prior_bits: float
    bits: dict[str, Floats]
    total_bits: Floats
    record_rivals: Floats
    item_rivals: Floats
    probability: Floats
    is_tied: npt.NDArray[np.bool_]
    weights: Weights


def strange_levels(comparer: Comparer, policy: Policy) -> LevelCounts | None:
    """Return how often strangers of this run show which levels; None where there are none."""
    others = comparer.compare(*strangers(comparer.records, comparer.items, policy))
    return LevelCounts.of(others.levels) if len(others.rows) else None


def score_pairs(
    field: Field, policy: Policy, *, weights: Weights | None, others: LevelCounts | None
) -> Scored:
    """Score every pair of two frames of classes; `n` is a class's number of rows.

    Given weights are frozen. Without any a large run fits its own to the levels of strangers,
    and a small one goes by the shipped ones.
    """
    pairs, records, items = field.pairs, field.records, field.items
    chance = coincidence(records, items, pairs.rows, pairs.columns, policy)
    if chance is None:
        fitted = shipped_fit(pairs, weights or shipped())
    else:
        fitted = fit(field, chance, weights or shipped(), others if weights is None else None)
    total = fitted.total_bits
    among, share = field.among(total), _share_of_record(field)
    return Scored(
        records=pairs.rows,
        items=pairs.columns,
        residual_minor=pairs.residual_minor,
        lag_days=pairs.lag_days,
        levels=pairs.levels,
        prior_bits=fitted.prior_bits,
        bits=fitted.bits,
        total_bits=total,
        record_rivals=among.record_rivals,
        item_rivals=among.item_rivals,
        probability=among.probability * share,
        is_tied=_tied(pairs.rows, total) | _tied(pairs.columns, total) | (share < 1.0),
        weights=fitted.weights,
    )


def _share_of_record(field: Field) -> Floats:
    """Return what is left of a probability where one of several items has to be picked."""
    rows, columns = field.pairs.rows, field.pairs.columns
    enough = np.minimum(field.record_times[rows] / field.item_times[columns], 1.0)
    kinds = field.items["kinds"].to_numpy()[columns]
    share: Floats = np.where(kinds > 1, enough, 1.0)
    return share


def _tied(node: Ints, total_bits: Floats) -> npt.NDArray[np.bool_]:
    """Return per pair whether another pair of the same node has at least as many bits."""
    frame = pl.DataFrame({"node": node, "bits": np.round(total_bits, 9)})
    rank = pl.col("bits").rank("max", descending=True).over("node")
    return frame.select(rank > 1).to_series().to_numpy()

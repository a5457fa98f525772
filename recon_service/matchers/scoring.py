"""Scores candidate pairs: levels of evidence, their bits, and the probability among rivals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.config import Policy
from recon_service.domain.evidence import PRIOR_BITS, Said, words_bits
from recon_service.matchers.coincidence import Coincidence, coincidence
from recon_service.matchers.comparison import Comparer, Comparison
from recon_service.matchers.crowds import unseen_odds
from recon_service.matchers.rivalry import Rivalry, Side, rivalry
from recon_service.matchers.strangers import strangers
from recon_service.matchers.training import LevelCounts, Weights, shipped, train

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]

# Strangers show how common everything is but amounts, which the gates let in: see `fit`.
_LEARNED = ("lag", "reference", "words", "name", "counterparty")
# The share of records that have a counterpart: where it starts, and what it is never beyond.
_SHARE_START, _SHARE_MIN, _SHARE_MAX = 0.5, 0.1, 0.95
_SHARE_ROUNDS = 5
# The share of counterparts whose amount differs within the tolerance.
_NEAR_START, _NEAR_MIN = 0.25, 0.001


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
    prior_bits: Floats
    bits: dict[str, Floats]
    total_bits: Floats
    record_rivals: Floats
    item_rivals: Floats
    probability: Floats
    is_tied: npt.NDArray[np.bool_]
    weights: Weights


def learnt(comparer: Comparer, pairs: Comparison, policy: Policy) -> Weights:
    """Return the weights of this very run, the shipped ones where it is small."""
    records, items = comparer.records, comparer.items
    seen = LevelCounts.of(pairs.levels)
    rows_max = min(int(records["n"].sum()), int(items["n"].sum()))
    others = comparer.compare(*strangers(records, items, policy))
    if len(others.rows) == 0:
        return shipped()
    strange = LevelCounts.of(others.levels)
    return train(seen, matches_max=rows_max, others=strange, learned=_LEARNED)


def score_pairs(
    records: pl.DataFrame,
    items: pl.DataFrame,
    pairs: Comparison,
    policy: Policy,
    weights: Weights,
    *,
    dropped: Ints,
) -> Scored:
    """Score every pair of two frames of classes; `n` is a class's number of rows.

    `dropped` says per record how many candidates were not looked at.
    """
    chance = coincidence(records, items, pairs.rows, pairs.columns, policy)
    bits = _bits(pairs, weights, is_small=chance is None)
    if chance is not None:
        bits["rarity"], bits["twins"] = _rarity(chance, bits, pairs)
    field = _Field(pairs, _times(records), _times(items), dropped, records, items)
    prior = PRIOR_BITS if chance is None else field.fit(bits)
    total = prior + _sum(bits)
    among = field.among(total)
    share = field.share_of_record()
    return Scored(
        records=pairs.rows,
        items=pairs.columns,
        residual_minor=pairs.residual_minor,
        lag_days=pairs.lag_days,
        levels=pairs.levels,
        prior_bits=np.full(len(pairs.rows), prior),
        bits=bits,
        total_bits=total,
        record_rivals=among.record_rivals,
        item_rivals=among.item_rivals,
        probability=among.probability * share,
        is_tied=_tied(pairs.rows, total) | _tied(pairs.columns, total) | (share < 1.0),
        weights=weights,
    )


def _bits(pairs: Comparison, weights: Weights, *, is_small: bool) -> dict[str, Floats]:
    bits = {
        name: weights.of(name, pairs.levels[name])
        for name in ("amount", "lag", "reference", "counterparty")
    }
    said = Said(
        words=weights.of("words", pairs.levels["words"]),
        has_words=pairs.levels["words"] >= 0,
        name=weights.of("name", pairs.levels["name"]),
        has_name=pairs.levels["name"] >= 0,
        shared=pairs.words.shared,
        name_weight=np.nan_to_num(pairs.words.name * pairs.words.name_bits),
        rare=pairs.words.rare,
    )
    bits["words"], bits["counterparty"] = words_bits(said, bits["counterparty"], is_small=is_small)
    return bits


def _rarity(
    chance: Coincidence, bits: dict[str, Floats], pairs: Comparison
) -> tuple[Floats, Floats]:
    """Return what the amount's rarity is worth, and what the item's twins take away from looks.

    A coincidental candidate looks like the record by chance, or because it is a twin of the
    true one on another day: 1 / (rate * 2**-looks + twin_rate) is what both leave.
    """
    looks = bits["words"] + bits["counterparty"] - pairs.words.rare_ids
    rarity = -np.log2(chance.rate)
    left = -np.log2(np.exp2(-looks) + chance.twin_rate / chance.rate)
    return rarity, np.minimum(left - looks, 0.0)


@dataclass(frozen=True, slots=True)
class _Field:
    """The pairs among their rivals: classes stand for as many rows as `times` says."""

    pairs: Comparison
    record_times: Ints
    item_times: Ints
    dropped: Ints
    records: pl.DataFrame
    items: pl.DataFrame

    def among(self, total_bits: Floats) -> Rivalry:
        """Return the probabilities at these bits."""
        odds = np.exp2(total_bits)
        rows, columns = self.pairs.rows, self.pairs.columns
        unseen = unseen_odds(self.dropped, self.records, self.items, rows, odds)
        return rivalry(
            odds,
            Side(rows, self.record_times, unseen.of_records),
            Side(columns, self.item_times, unseen.of_items),
        )

    def share_of_record(self) -> Floats:
        """Return what is left of a probability where one of several items has to be picked."""
        rows, columns = self.pairs.rows, self.pairs.columns
        enough = np.minimum(self.record_times[rows] / self.item_times[columns], 1.0)
        kinds = self.items["kinds"].to_numpy()[columns]
        share: Floats = np.where(kinds > 1, enough, 1.0)
        return share

    def fit(self, bits: dict[str, Floats]) -> float:
        """Return the prior bits, and set those of the amount: what the probabilities add up to.

        Two shares are found so: of records that have a counterpart, and of counterparts that
        differ in amount. Each round takes them from the probabilities of the one before.
        """
        is_near = self.pairs.levels["amount"] > 0
        each = np.minimum(self.record_times[self.pairs.rows], self.item_times[self.pairs.columns])
        shipped_amount, share, near = bits["amount"], _SHARE_START, _NEAR_START
        for _ in range(_SHARE_ROUNDS):
            prior = float(np.log2(share / (1.0 - share)))
            bits["amount"] = shipped_amount + np.log2(np.where(is_near, near, 1.0 - near))
            expected = self.among(prior + _sum(bits)).probability * each
            matched = float(expected.sum())
            share = float(np.clip(matched / self.record_times.sum(), _SHARE_MIN, _SHARE_MAX))
            near = float(np.clip((expected[is_near].sum() + 1.0) / (matched + 4.0), _NEAR_MIN, 0.5))
        return prior


def _sum(bits: dict[str, Floats]) -> Floats:
    total: Floats = np.sum([bits[name] for name in sorted(bits)], axis=0)
    return total


def _tied(node: Ints, total_bits: Floats) -> npt.NDArray[np.bool_]:
    """Return per pair whether another pair of the same node has at least as many bits."""
    frame = pl.DataFrame({"node": node, "bits": np.round(total_bits, 9)})
    rank = pl.col("bits").rank("max", descending=True).over("node")
    return frame.select(rank > 1).to_series().to_numpy()


def _times(frame: pl.DataFrame) -> Ints:
    times: Ints = frame["n"].to_numpy().astype(np.int64)
    return times

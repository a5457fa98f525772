"""Fits the weights of evidence to a run by what the whole model says, not levels alone.

bits ─▶ probabilities among rivals ─▶ how often true pairs show each level ─▶ bits, once more

It is expectation-maximisation (Fellegi-Sunter) with a better expectation: that nobody has two
counterparts, and that a rare amount tells much, sets true pairs apart where levels could not.
Besides the weights three shares are found: of records that have a counterpart, of counterparts
that differ in amount, and by how much.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.evidence import PRIOR_BITS, Said, words_bits
from recon_service.matchers.coincidence import Coincidence
from recon_service.matchers.comparison import Comparison
from recon_service.matchers.crowds import unseen_odds
from recon_service.matchers.rivalry import ITERATIONS_MAX, Rivalry, Side, rivalry
from recon_service.matchers.training import LevelCounts, feature_bits, refit
from recon_service.matchers.weights import FEATURES, Weights

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Strangers show how common everything is but amounts, which the gates let in.
_LEARNED = ("lag", "reference", "words", "name", "counterparty")
# Fewer true pairs than this do not make a sample.
_MATCHES_MIN = 100
_ROUNDS = 6
# Between rounds the probabilities need not stand still.
_NEARLY = 10
# The share of records that have a counterpart: where it starts, and what it is never beyond.
_SHARE_START, _SHARE_MIN, _SHARE_MAX = 0.5, 0.1, 0.95
# The share of counterparts whose amount differs within the tolerance.
_NEAR_START, _NEAR_MIN, _NEAR_MAX = 0.25, 0.001, 0.9
_AMOUNT = next(feature for feature in FEATURES if feature.name == "amount")


@dataclass(frozen=True, slots=True)
class Field:
    """The pairs among their rivals: classes stand for as many rows as their times say.

    `dropped` says per record how many candidates were not looked at.
    """

    pairs: Comparison
    records: pl.DataFrame
    items: pl.DataFrame
    dropped: Ints

    @property
    def record_times(self) -> Ints:
        """How many rows each class of records stands for."""
        return _times(self.records)

    @property
    def item_times(self) -> Ints:
        """How many rows each class of items stands for."""
        return _times(self.items)

    def among(self, total_bits: Floats, *, iterations_max: int = ITERATIONS_MAX) -> Rivalry:
        """Return the probabilities at these bits."""
        odds = np.exp2(total_bits)
        rows, columns = self.pairs.rows, self.pairs.columns
        unseen = unseen_odds(self.dropped, self.records, self.items, rows, odds)
        return rivalry(
            odds,
            Side(rows, self.record_times, unseen.of_records),
            Side(columns, self.item_times, unseen.of_items),
            iterations_max=iterations_max,
        )


@dataclass(frozen=True, slots=True)
class Fitted:
    """What each pair is worth: bits by feature, those before any evidence, and the weights."""

    bits: dict[str, Floats]
    prior_bits: float
    weights: Weights

    @property
    def total_bits(self) -> Floats:
        """Return the sum over all features, in one order."""
        total: Floats = np.sum([self.bits[name] for name in sorted(self.bits)], axis=0)
        return self.prior_bits + total


def shipped_fit(pairs: Comparison, weights: Weights) -> Fitted:
    """Return what a small run goes by: the given weights and the shipped prior."""
    bits = _bits(pairs, weights, is_small=True)
    return Fitted(bits, PRIOR_BITS, weights)


def fit(field: Field, chance: Coincidence, weights: Weights, others: LevelCounts | None) -> Fitted:
    """Return what the pairs of a large run are worth.

    `weights` are where it begins; without `others`, pairs of strangers, they stay as they are.
    """
    pairs = field.pairs
    level = pairs.levels["amount"]
    each = np.minimum(field.record_times[pairs.rows], field.item_times[pairs.columns])
    share, near, amount_bits = _SHARE_START, _NEAR_START, _AMOUNT.shipped
    for number in range(_ROUNDS):
        bits = _bits(pairs, weights, is_small=False)
        bits["rarity"], bits["twins"] = _rarity(chance, bits, pairs)
        bits["amount"] = np.where(level > 0, np.log2(near) + amount_bits[level], np.log2(1 - near))
        fitted = Fitted(bits, float(np.log2(share / (1.0 - share))), weights)
        if number == _ROUNDS - 1:
            break
        likely = field.among(fitted.total_bits, iterations_max=_NEARLY).probability * each
        matched, differing = float(likely.sum()), float(likely[level > 0].sum())
        share = float(np.clip(matched / field.record_times.sum(), _SHARE_MIN, _SHARE_MAX))
        near = float(np.clip((differing + 1.0) / (matched + 4.0), _NEAR_MIN, _NEAR_MAX))
        amount_bits = _near_bits(level, likely, np.maximum(each - likely, 0.0))
        if others is not None and matched >= _MATCHES_MIN:
            weights = refit(pairs.levels, likely, others, learned=_LEARNED)
    return fitted


def _near_bits(level: npt.NDArray[np.int8], likely: Floats, unlikely: Floats) -> Floats:
    """Return the bits of each size of difference among the pairs that differ at all."""
    shown = []
    for weight in (likely, unlikely):
        counts = np.bincount(level, weights=weight, minlength=len(_AMOUNT.levels))
        counts[0] = 0.0
        shown.append(counts.astype(np.float64))
    return feature_bits(_AMOUNT, shown[0], shown[1])


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


def _times(frame: pl.DataFrame) -> Ints:
    times: Ints = frame["n"].to_numpy().astype(np.int64)
    return times

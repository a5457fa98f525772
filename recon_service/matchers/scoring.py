"""Scores candidate pairs: levels of evidence, their bits, and the probability among rivals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.evidence import (
    AMOUNT,
    COUNTERPARTY,
    LAG,
    NAME,
    PRIOR_BITS,
    REFERENCE,
    WORDS,
    WORDS_BITS_MAX,
    amount_levels,
    at_least_levels,
    bits_of,
    lag_levels,
    posterior,
    words_bits,
)
from recon_service.matchers.crowds import unseen_odds
from recon_service.matchers.gates import Candidates
from recon_service.matchers.references import reference_levels
from recon_service.matchers.words import Descriptions, shared_words, similarity

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Scored:
    """Candidate pairs of classes, one array element each, ordered by record and item.

    `record_rivals` and `item_rivals` are the odds of the other candidates; `levels` and `bits`
    hold the evidence by feature; `is_tied` tells that a rival is as good.
    """

    records: Ints
    items: Ints
    residual_minor: Ints
    lag_days: Ints
    levels: dict[str, Levels]
    bits: dict[str, Floats]
    total_bits: Floats
    record_rivals: Floats
    item_rivals: Floats
    probability: Floats
    is_tied: npt.NDArray[np.bool_]


def score_pairs(
    records: pl.DataFrame,
    items: pl.DataFrame,
    found: Candidates,
    *,
    surprise: pl.DataFrame,
) -> Scored:
    """Score every candidate pair of the two frames of classes; `n` is a class's number of rows."""
    order = np.lexsort((found.items, found.records))
    rows, columns = found.records[order], found.items[order]
    amount, item_amount = (
        _column(records, "amount_minor", rows),
        _column(items, "amount_minor", columns),
    )
    lag = _column(records, "day", rows) - _column(items, "day", columns)
    residual = amount - item_amount
    levels: dict[str, Levels] = {
        "amount": amount_levels(residual, item_amount),
        "lag": lag_levels(lag),
        "reference": reference_levels(records, items, rows, columns),
    }
    bits: dict[str, Floats] = {
        "amount": bits_of(AMOUNT, levels["amount"]),
        "lag": bits_of(LAG, levels["lag"]),
        "reference": bits_of(REFERENCE, levels["reference"]),
    }
    _add_words(levels, bits, records, items, rows, columns, surprise)
    total = PRIOR_BITS + sum(bits.values(), np.zeros(len(rows)))
    odds = np.exp2(total)
    unseen = unseen_odds(found.dropped, records, items, rows, odds)
    record_rivals = _rivals(rows, odds, records, items, columns) + unseen.of_records[rows]
    item_rivals = _rivals(columns, odds, items, records, rows) + unseen.of_items[columns]
    return Scored(
        records=rows,
        items=columns,
        residual_minor=residual,
        lag_days=lag,
        levels=levels,
        bits=bits,
        total_bits=total,
        record_rivals=record_rivals,
        item_rivals=item_rivals,
        probability=posterior(odds, record_rivals, item_rivals),
        is_tied=_tied(rows, total) | _tied(columns, total),
    )


def _add_words(
    levels: dict[str, Levels],
    bits: dict[str, Floats],
    records: pl.DataFrame,
    items: pl.DataFrame,
    rows: Ints,
    columns: Ints,
    surprise: pl.DataFrame,
) -> None:
    """Add what descriptions and counterparties say, together at most WORDS_BITS_MAX."""
    said = shared_words(
        Descriptions.of(records["words"], surprise),
        Descriptions.of(items["words"], surprise),
        rows,
        columns,
    )
    levels["words"] = at_least_levels(WORDS, said.overlap)
    levels["name"] = at_least_levels(NAME, said.name)
    bits["words"] = words_bits(
        overlap=said.overlap,
        shared=said.shared,
        name=said.name,
        name_weight=said.name_bits,
        rare=said.rare,
    )
    party = similarity(records["party"].to_numpy()[rows], items["party"].to_numpy()[columns])
    levels["counterparty"] = at_least_levels(COUNTERPARTY, party)
    both = bits["words"] + bits_of(COUNTERPARTY, levels["counterparty"])
    most = np.maximum(bits["words"], WORDS_BITS_MAX)
    bits["counterparty"] = np.minimum(both, most) - bits["words"]


def _rivals(node: Ints, odds: Floats, own: pl.DataFrame, other: pl.DataFrame, met: Ints) -> Floats:
    """Return per pair the summed odds of the node's other candidates.

    Rows of one class cannot be told apart, so the pair's own class counts once, as the pair.
    """
    weighted = odds * _column(other, "n", met)
    total = np.bincount(node, weights=weighted, minlength=own.height)
    return np.maximum(total[node] - weighted, 0.0)


def _tied(node: Ints, total_bits: Floats) -> npt.NDArray[np.bool_]:
    """Return per pair whether another pair of the same node has at least as many bits."""
    frame = pl.DataFrame({"node": node, "bits": np.round(total_bits, 9)})
    rank = pl.col("bits").rank("max", descending=True).over("node")
    return frame.select(rank > 1).to_series().to_numpy()


def _column(frame: pl.DataFrame, name: str, rows: Ints) -> Ints:
    values: Ints = frame[name].to_numpy().astype(np.int64)[rows]
    return values

"""Rows that differ by nothing but an id that relates to nothing: one class, not rivals.

A bank gives every line an id of its own. Two lines that are equal otherwise would compete for one
ledger item as strangers do, and neither would win; but whichever is taken, the books are right.
Where there are more such ledger items than records, it does matter which of them stays open: that
is ambiguous, and `kinds` keeps it in mind.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.matchers.comparison import Comparison
from recon_service.matchers.fitting import Field
from recon_service.matchers.references import UNRELATED

Ints = npt.NDArray[np.int64]

_CONTENT = ("group", "amount_minor", "on", "words", "party")


def merge_alike(
    records: pl.DataFrame, items: pl.DataFrame, pairs: Comparison, dropped: Ints
) -> Field:
    """Join the classes of each side that are equal but for references without any relation.

    Classes carry `ids` and `ats`, their instants; both are kept in the order of time. `kinds` is
    added: how many classes were joined.
    """
    level = pairs.levels["reference"]
    record_codes = _codes(records, pairs.rows, level)
    item_codes = _codes(items, pairs.columns, level)
    rows, columns = record_codes[pairs.rows], item_codes[pairs.columns]
    _, first = np.unique(rows * (item_codes.max(initial=0) + 1) + columns, return_index=True)
    kept = replace(pairs.of_pairs(first), rows=rows[first], columns=columns[first])
    cut = np.bincount(record_codes, weights=dropped, minlength=0).astype(np.int64)
    return Field(kept, _joined(records, record_codes), _joined(items, item_codes), cut)


def _codes(classes: pl.DataFrame, node: Ints, level: npt.NDArray[np.int8]) -> Ints:
    """Return for each class the number of its merged one, in the order of the classes."""
    nearest = np.full(classes.height, 127, np.int8)
    np.minimum.at(nearest, node, level)
    farthest = np.full(classes.height, -1, np.int8)
    np.maximum.at(farthest, node, level)
    is_related = nearest < UNRELATED
    own = np.where(is_related, np.arange(classes.height), -1)
    key = classes.select(_CONTENT).with_columns(own=own, near=nearest, far=farthest)
    place = pl.col("place").first().over(key.columns)
    first = key.with_row_index("place").select(place).to_series().to_numpy()
    _, codes = np.unique(first, return_inverse=True)
    result: Ints = codes.astype(np.int64)
    return result


def _joined(classes: pl.DataFrame, codes: Ints) -> pl.DataFrame:
    if codes.max(initial=-1) + 1 == len(codes):
        return classes.with_columns(kinds=pl.lit(1, pl.Int64))
    others = [name for name in classes.columns if name not in ("ids", "ats", "n")]
    by_time = pl.col("ats").list.explode(), pl.col("ids").list.explode()
    return (
        classes.with_columns(code=codes)
        .group_by("code", maintain_order=True)
        .agg(
            ids=by_time[1].sort_by(*by_time),
            ats=by_time[0].sort(),
            n=pl.col("n").sum(),
            kinds=pl.len().cast(pl.Int64),
            **{name: pl.col(name).first() for name in others},
        )
        .sort("code")
        .select(*classes.columns, "kinds")
    )

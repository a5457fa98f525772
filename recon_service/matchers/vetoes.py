"""Vetoes, which no evidence outweighs: ids of one name space that differ, and closed periods."""

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.config import Policy
from recon_service.domain.records import OUTCOME_SCHEMA
from recon_service.matchers.comparison import Comparison
from recon_service.matchers.references import IN_TEXT, TWO_APART

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_RF = r"^rf[0-9]{2}[a-z0-9]{1,21}$"
_RF_REMAINDER = 1
_LETTERS = {chr(ord("a") + k): str(10 + k) for k in range(26)}


def conflicting_ids(
    records: pl.DataFrame,
    items: pl.DataFrame,
    pairs: Comparison,
    policy: Policy,
) -> Flags:
    """Return per pair whether its references contradict each other.

    They do where both are creditor references with a valid check (ISO 11649), or where the policy
    says that both sides use the same ids and they are not merely mistyped; and neither stands in
    the other side's text.
    """
    left, right = records["ref"].gather(pairs.rows), items["ref"].gather(pairs.columns)
    level = pairs.levels["reference"]
    differ = (left != right).fill_null(False).to_numpy() & (level > IN_TEXT)
    if policy.ids == "shared":
        return differ & (level > TWO_APART)
    checked = [
        _is_checked(side["ref"])[rows]
        for side, rows in ((records, pairs.rows), (items, pairs.columns))
    ]
    result: Flags = differ & checked[0] & checked[1]
    return result


def closed_rows(records: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return OUTCOME_SCHEMA for records of a closed period: nothing is matched there any more."""
    reason = f"The period up to {policy.closed_through} is closed: nothing is matched in it"
    return records.select(
        "record_id",
        internal_id=pl.lit(None),
        match_type=pl.lit("none"),
        decision=pl.lit("unmatched"),
        score=pl.lit(None),
        residual_minor=pl.lit(None),
        cause=pl.lit("closed_period"),
        evidence=pl.lit('{"pass":"none","candidates":[]}'),
        reason=pl.lit(reason),
    ).cast(OUTCOME_SCHEMA)


def _is_checked(references: pl.Series) -> Flags:
    """Return which are creditor references of ISO 11649 whose check digits hold."""
    shaped = references.str.contains(_RF).fill_null(False).to_numpy()
    result = np.zeros(len(references), np.bool_)
    for place in np.flatnonzero(shaped).tolist():
        text = references[place]
        number = "".join(_LETTERS.get(one, one) for one in text[4:] + text[:4])
        result[place] = int(number) % 97 == _RF_REMAINDER
    return result

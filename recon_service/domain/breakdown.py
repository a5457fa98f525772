"""Breaks a run's result down by kind of match and by cause, by count and by value (pure)."""

from typing import Any

import polars as pl

from recon_service.domain.decisions import paired
from shared.money import format_minor

Row = dict[str, Any]


def kinds_of_match(
    rows: pl.DataFrame, members: pl.DataFrame, records: pl.DataFrame, items: pl.DataFrame
) -> list[Row]:
    """Return one row per `match_type` and `decision`: matches, and both sides by count and value.

    `records` and `items` have an id and an amount; `members` are `described`.
    """
    kind = ("match_type", "decision")
    pairs = paired(rows).select(*kind, "record_id", "internal_id")
    counted = pl.concat(
        [
            pairs.group_by(kind).agg(matches=pl.len()),
            members.group_by(kind).agg(matches=pl.col("match_id").n_unique()),
        ]
    ).sort(kind)
    sides: dict[str, pl.DataFrame] = {}
    for side, name, amounts in (("record", "record_id", records), ("item", "internal_id", items)):
        in_groups = members.filter(pl.col("side") == side).select(*kind, pl.col("id").alias(name))
        both = pl.concat([pairs.select(*kind, name), in_groups])
        sides[f"{side}s"] = both.join(amounts, on=name, how="left")
    found: list[Row] = []
    for match_type, decision, matches in counted.iter_rows():
        is_kind = (pl.col("match_type") == match_type) & (pl.col("decision") == decision)
        ours = {name: frame.filter(is_kind) for name, frame in sides.items()}
        values: dict[str, dict[str, str]] = {}
        for name, frame in ours.items():
            for code, value in _values(frame, "amount_minor").items():
                values.setdefault(code, {})[name] = value
        found.append(
            {"match_type": match_type, "decision": decision, "matches": matches}
            | {name: frame.height for name, frame in ours.items()}
            | {"values": dict(sorted(values.items()))}
        )
    return found


def causes(rows: pl.DataFrame, records: pl.DataFrame) -> list[Row]:
    """Return one row per cause and decision: how many records, their value, what they differ by.

    The difference of a match is the record's amount less the ledger item's; it stands on one
    record of a group.
    """
    caused = rows.filter(pl.col("cause").is_not_null()).join(records, on="record_id", how="left")
    found = []
    for (cause, decision), part in sorted(caused.group_by("cause", "decision")):
        differences = part.filter(pl.col("residual_minor").is_not_null())
        found.append(
            {
                "cause": cause,
                "decision": decision,
                "records": part.height,
                "values": _values(part, "amount_minor"),
                "differences": _values(differences, "residual_minor"),
            }
        )
    return found


def _values(frame: pl.DataFrame, column: str) -> dict[str, str]:
    # 128 bits: the sum of many amounts of 18 digits does not fit into 64.
    sums = frame.group_by("currency", "scale").agg(pl.col(column).cast(pl.Int128).sum())
    return {code: format_minor(int(total), scale) for code, scale, total in sorted(sums.rows())}

"""Breaks a run's result down by kind of match and by cause, by count and by value (pure)."""

from typing import Any

import polars as pl

from shared.money import format_minor

Row = dict[str, Any]


def kinds_of_match(entries: pl.DataFrame, listed: pl.DataFrame) -> list[Row]:
    """Return one row per `match_type` and `decision`: matches, and both sides by count and value.

    `entries` are rows of the match log, `listed` the members of matches that are no pairs.
    """
    kind = ("match_type", "decision")
    pairs = entries.filter(pl.col("internal_id").is_not_null() & pl.col("match_id").is_null())
    sides = pl.concat(
        [
            _sums(pairs, "external_", "records"),
            _sums(pairs, "internal_", "items"),
            _sums(listed.filter(pl.col("side") == "external"), "", "records"),
            _sums(listed.filter(pl.col("side") == "ledger"), "", "items"),
        ]
    )
    counted = pl.concat(
        [
            pairs.group_by(kind).agg(matches=pl.len()),
            listed.group_by(kind).agg(matches=pl.col("match_id").n_unique()),
        ]
    ).sort(kind)
    found: list[Row] = []
    for match_type, decision, matches in counted.iter_rows():
        is_kind = (pl.col("match_type") == match_type) & (pl.col("decision") == decision)
        row: Row = {"match_type": match_type, "decision": decision, "matches": matches}
        row |= {"records": 0, "items": 0}
        values: dict[str, dict[str, str]] = {}
        parts = sides.filter(is_kind).sort("currency", "part", descending=(False, True))
        for part, code, scale, count, total in parts.select(
            "part", "currency", "scale", "count", "total"
        ).iter_rows():
            row[part] += count
            values.setdefault(code, {})[part] = format_minor(int(total), scale)
        found.append(row | {"values": values})
    return found


def causes(entries: pl.DataFrame) -> list[Row]:
    """Return one row per cause and decision: how many records, their value, what they differ by.

    The difference of a match is the record's amount less the ledger item's; it stands on one
    record of a group.
    """
    caused = entries.filter(pl.col("cause").is_not_null())
    found = []
    for (cause, decision), part in sorted(caused.group_by("cause", "decision")):
        differences = part.filter(pl.col("residual_minor").is_not_null())
        found.append(
            {
                "cause": cause,
                "decision": decision,
                "records": part.height,
                "values": _values(part, "external_amount_minor"),
                "differences": _values(differences, "residual_minor"),
            }
        )
    return found


def _sums(frame: pl.DataFrame, prefix: str, part: str) -> pl.DataFrame:
    """Return counts and sums by kind of match and currency; 128 bits hold any sum of amounts."""
    money = [pl.col(f"{prefix}{name}").alias(name) for name in ("currency", "scale")]
    return (
        frame.group_by("match_type", "decision", *money)
        .agg(count=pl.len(), total=pl.col(f"{prefix}amount_minor").cast(pl.Int128).sum())
        .with_columns(part=pl.lit(part))
    )


def _values(frame: pl.DataFrame, column: str) -> dict[str, str]:
    sums = frame.group_by("external_currency", "external_scale").agg(
        pl.col(column).cast(pl.Int128).sum()
    )
    return {code: format_minor(int(total), scale) for code, scale, total in sorted(sums.rows())}

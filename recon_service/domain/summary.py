"""Counts what a run did, proves its equations and words the result (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from recon_service.domain import equation
from recon_service.domain.equation import Bucket, Carried, Items, Lines, Term
from recon_service.domain.history import Days, Disposition, ItemClass, Settlement
from shared.money import format_minor

_NONE = Bucket()


@dataclass(frozen=True, slots=True)
class Summary:
    """The document that is shown, and the equations that must hold before it is."""

    document: dict[str, Any]
    proof: tuple[Term, ...]


def summarise(
    *,
    lines_read: int,
    accepted: pl.DataFrame,
    rejected: int,
    carried: pl.DataFrame,
    items: pl.DataFrame,
    settlement: Settlement,
    rows: pl.DataFrame,
    covered: Days,
    read_to_seq: int,
) -> Summary:
    """Return the summary of a run; `rows` are the matcher's, `lines_read` the reader's count."""
    by_line = _buckets(accepted, "record_id", settlement.lines)
    by_carried = _buckets(carried, "record_id", settlement.carried)
    by_item = _buckets(items, "internal_id", settlement.items)
    lines = Lines(
        lines=lines_read,
        rejected=rejected,
        accepted=_whole(accepted),
        auto=by_line.get(Disposition.AUTO, _NONE),
        suggested=by_line.get(Disposition.SUGGESTED, _NONE),
        unmatched=by_line.get(Disposition.UNMATCHED, _NONE),
        already_reconciled=by_line.get(Disposition.ALREADY_RECONCILED, _NONE),
    )
    brought = Carried(
        records=_whole(carried),
        auto=by_carried.get(Disposition.AUTO, _NONE),
        suggested=by_carried.get(Disposition.SUGGESTED, _NONE),
        unmatched=by_carried.get(Disposition.UNMATCHED, _NONE),
    )
    ledger = Items(
        read=_whole(items),
        matched=by_item.get(ItemClass.MATCHED, _NONE),
        suggested=by_item.get(ItemClass.SUGGESTED, _NONE),
        timing=by_item.get(ItemClass.TIMING, _NONE),
        unmatched=by_item.get(ItemClass.UNMATCHED, _NONE),
        another_day=by_item.get(ItemClass.ANOTHER_DAY, _NONE),
    )
    proof = equation.terms(lines, brought, ledger)
    scales = _scales(accepted, carried, items)
    in_file = rows.filter(
        pl.col("record_id").is_in(accepted["record_id"].implode())
        & (pl.col("decision") == Disposition.AUTO.value)
    )
    document = {
        "lines": lines.lines,
        "accepted": lines.accepted.count,
        "rejected": lines.rejected,
        "exact": in_file.filter(pl.col("match_type") == "exact").height,
        "fuzzy": in_file.filter(pl.col("match_type") == "fuzzy").height,
        "suggested": lines.suggested.count,
        "unmatched": lines.unmatched.count,
        "already_reconciled": lines.already_reconciled.count,
        "fuzzy_scores": _scores(in_file),
        "carried": _counts(brought),
        "ledger": _counts(ledger),
        "values": {
            "lines": _values(lines, scales),
            "carried": _values(brought, scales),
            "ledger": _values(ledger, scales),
        },
        "covered": {"first": covered.first.isoformat(), "last": covered.last.isoformat()},
        "read_to_seq": read_to_seq,
        "equation": {
            "proved": not equation.failures(proof),
            "terms": [_worded(term, scales) for term in proof],
        },
    }
    return Summary(document, proof)


def sentence(failed: Term) -> str:
    """Say which equation does not hold."""
    unit = f" minor units of {failed.currency}" if failed.currency else ""
    return f"{failed.name} does not hold: {failed.left} is not {failed.right}{unit}"


def _buckets(frame: pl.DataFrame, key: str, found: Mapping[str, Any]) -> dict[str, Bucket]:
    classes = pl.DataFrame(
        {key: list(found), "class": [one.value for one in found.values()]},
        schema={key: pl.String, "class": pl.String},
    )
    joined = frame.join(classes, on=key, how="inner")
    return {
        str(name): _whole(joined.filter(pl.col("class") == name))
        for name in joined["class"].unique()
    }


def _whole(frame: pl.DataFrame) -> Bucket:
    # 128 bits: the sum of many amounts of 18 digits does not fit into 64.
    sums = frame.group_by("currency").agg(pl.col("amount_minor").cast(pl.Int128).sum())
    return Bucket(frame.height, {code: int(total) for code, total in sorted(sums.rows())})


def _scales(*frames: pl.DataFrame) -> dict[str, int]:
    money = pl.concat([frame.select("currency", "scale") for frame in frames])
    return dict(money.unique().rows())


def _counts(part: Carried | Items) -> dict[str, int]:
    return {name: getattr(part, name).count for name in part.__slots__}


def _values(part: Lines | Carried | Items, scales: Mapping[str, int]) -> dict[str, dict[str, str]]:
    buckets = {
        name: bucket for name in part.__slots__ if isinstance(bucket := getattr(part, name), Bucket)
    }
    codes = sorted({code for bucket in buckets.values() for code in bucket.values})
    return {
        code: {
            name: format_minor(bucket.values.get(code, 0), scales[code])
            for name, bucket in buckets.items()
        }
        for code in codes
    }


def _scores(matched: pl.DataFrame) -> dict[str, float] | None:
    scores = matched.filter(pl.col("match_type") == "fuzzy")["score"].drop_nulls()
    if scores.is_empty():
        return None
    return {"lowest": float(scores.sort()[0]), "highest": float(scores.sort()[-1])}


def _worded(term: Term, scales: Mapping[str, int]) -> dict[str, Any]:
    def side(number: int) -> str:
        return str(number) if term.currency is None else format_minor(number, scales[term.currency])

    return {
        "equation": term.name,
        "currency": term.currency,
        "left": side(term.left),
        "right": side(term.right),
        "holds": term.holds,
    }

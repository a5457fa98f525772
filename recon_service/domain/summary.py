"""Counts what a run did, proves its equations and words the result (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from recon_service.domain import equation
from recon_service.domain.breakdown import causes, kinds_of_match
from recon_service.domain.decisions import paired
from recon_service.domain.equation import Bucket, Carried, Items, Lines, Term, Tied, Ties, Values
from recon_service.domain.history import Days, Disposition, ItemClass
from recon_service.domain.settling import Settled
from shared.money import format_minor

_NONE = Bucket()
# What the summary calls the lines that a kind of match has taken.
_TYPES = {"exact": "exact", "fuzzy": "fuzzy", "grouped": "group"}


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
    settled: Settled,
    rows: pl.DataFrame,
    members: pl.DataFrame,
    entries: pl.DataFrame,
    listed: pl.DataFrame,
    is_signed: bool,
    search: Mapping[str, int],
    learnt: Mapping[str, Any],
    covered: Days,
    read_to_seq: int,
) -> Summary:
    """Return the summary of a run.

    `rows` are the matcher's, `members` the `described` ones of matches that are no pairs,
    `entries` and `listed` what is kept of both; `is_signed` tells whether the ledger's amounts
    have signs, `search` what it looked at,
    `learnt` its weights and the fees that it offers; `lines_read` is the reader's count.
    """
    lines, brought, ledger = _sides(lines_read, accepted, rejected, carried, items, settled)
    proof = equation.terms(
        lines, brought, ledger, _ties(rows, members, entries, is_signed=is_signed)
    )
    scales = _scales(accepted, carried, items)
    matched_lines = entries.filter(pl.col("matched") & ~pl.col("carried"))
    document = {
        "lines": lines.lines,
        "accepted": lines.accepted.count,
        "rejected": lines.rejected,
        **_by_type(matched_lines),
        "netted": lines.netted.count,
        "suggested": lines.suggested.count,
        "unmatched": lines.unmatched.count,
        "already_reconciled": lines.already_reconciled.count,
        "fuzzy_scores": _scores(matched_lines),
        "carried": _counts(brought),
        "ledger": _counts(ledger),
        "matches": kinds_of_match(entries, listed),
        "causes": causes(entries),
        "search": dict(search),
        "learnt": dict(learnt),
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


def _sides(
    lines_read: int,
    accepted: pl.DataFrame,
    rejected: int,
    carried: pl.DataFrame,
    items: pl.DataFrame,
    settled: Settled,
) -> tuple[Lines, Carried, Items]:
    """Return what became of lines, of carried records, and of ledger items."""
    by_line = _buckets(accepted, "record_id", settled.lines)
    by_carried = _buckets(carried, "record_id", settled.carried)
    by_item = _buckets(items, "internal_id", settled.items)
    lines = Lines(
        lines=lines_read,
        rejected=rejected,
        accepted=_whole(accepted),
        auto=by_line.get(Disposition.AUTO, _NONE),
        suggested=by_line.get(Disposition.SUGGESTED, _NONE),
        unmatched=by_line.get(Disposition.UNMATCHED, _NONE),
        netted=by_line.get(Disposition.NETTED, _NONE),
        already_reconciled=by_line.get(Disposition.ALREADY_RECONCILED, _NONE),
    )
    brought = Carried(
        records=_whole(carried),
        auto=by_carried.get(Disposition.AUTO, _NONE),
        suggested=by_carried.get(Disposition.SUGGESTED, _NONE),
        unmatched=by_carried.get(Disposition.UNMATCHED, _NONE),
        netted=by_carried.get(Disposition.NETTED, _NONE),
    )
    ledger = Items(
        read=_whole(items),
        matched=by_item.get(ItemClass.MATCHED, _NONE),
        suggested=by_item.get(ItemClass.SUGGESTED, _NONE),
        timing=by_item.get(ItemClass.TIMING, _NONE),
        unmatched=by_item.get(ItemClass.UNMATCHED, _NONE),
        netted=by_item.get(ItemClass.NETTED, _NONE),
        another_day=by_item.get(ItemClass.ANOTHER_DAY, _NONE),
    )
    return lines, brought, ledger


def _by_type(matched: pl.DataFrame) -> dict[str, int]:
    """Return how many lines were matched by which kind of match."""
    counts = dict(matched.group_by("match_type").len().rows())
    return {name: counts.get(kind, 0) for name, kind in _TYPES.items()}


def _ties(
    rows: pl.DataFrame, members: pl.DataFrame, entries: pl.DataFrame, *, is_signed: bool
) -> Ties:
    """Return what the matches hold, counted from them and not from what was settled."""
    pairs = paired(rows)

    def tied(decision: Disposition) -> Tied:
        wanted = pl.col("decision") == decision.value
        of_kind = members.filter(wanted)
        return Tied(
            pairs=pairs.filter(wanted).height,
            records=of_kind.filter(pl.col("side") == "record").height,
            items=of_kind.filter(pl.col("side") == "item").height,
        )

    amount = pl.col("external_amount_minor")
    matched = entries.filter("matched").select(
        "residual_minor",
        currency="external_currency",
        amount_minor=amount if is_signed else amount.abs(),
    )
    return Ties(
        auto=tied(Disposition.AUTO),
        suggested=tied(Disposition.SUGGESTED),
        netted=tied(Disposition.NETTED),
        compared=_sums(matched, "amount_minor"),
        differences=_sums(matched, "residual_minor"),
    )


def _buckets(frame: pl.DataFrame, key: str, classes: pl.DataFrame) -> dict[str, Bucket]:
    money = frame.select(key, "currency", "amount_minor")
    joined = money.join(classes, on=key, how="inner")
    return {
        str(name): _whole(joined.filter(pl.col("class") == name))
        for name in joined["class"].unique()
    }


def _whole(frame: pl.DataFrame) -> Bucket:
    return Bucket(frame.height, _sums(frame, "amount_minor"))


def _sums(frame: pl.DataFrame, column: str) -> Values:
    # 128 bits: the sum of many amounts of 18 digits does not fit into 64.
    sums = frame.group_by("currency").agg(pl.col(column).cast(pl.Int128).sum())
    return {code: int(total) for code, total in sorted(sums.rows())}


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

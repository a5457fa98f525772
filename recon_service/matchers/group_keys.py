"""Groups by a batch key: all rows that carry a payout's or invoice's key make up its amount."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

import numpy as np
import polars as pl

from recon_service.matchers.group_links import Links
from recon_service.matchers.group_rows import Fee, Hit, Rows, Searched, View, whole_unit_minor

# A fee that no schedule explains is believed up to a twentieth of the gross amount.
FEE_SHARE_MAX = 20
# How often the sum of unrelated rows lies so little above an amount.
_FEE_BY_CHANCE = 0.02
# A single row and the rows that one of its keys names.
Batch = tuple[int, tuple[int, ...]]
# Stands for the pool of rows that are named one by one.
SEVERAL_KEYS = -1


def whole_batches(
    view: View,
    linked: Links,
    *,
    gathering_days: int,
    with_residual: bool = False,
    incomplete: Collection[Batch] = (),
) -> Searched:
    """Find the single rows whose key is on at least two rows of the other side that sum to it.

    So are rows each of which has one of the single row's keys for itself: a remittance advice
    that lists invoices. A key must be on no other single row. The member nearest in time lies in
    the window, the others up to `gathering_days` farther back. Sums are exact, or less the known
    fees; `with_residual` looks for those that differ by an unknown fee or within the tolerance;
    then `incomplete` batches are doubtful: what differs may be a row that the key does not name.
    """
    pools = named_rows(view, linked, gathering_days=gathering_days)
    pools = pools.filter(pl.col("row").list.len() > 1)
    explanations = (_with_unknown_fee, _tolerated) if with_residual else (_exact,)
    hits: list[Hit] = []
    rows: Iterator[_Named] = pools.select("one", "pool", "row").iter_rows()
    for single, batches in groupby(rows, key=itemgetter(0)):
        hits += _best(view, single, _distinct(batches, linked), linked.kind, explanations)
    if with_residual:
        hits = [replace(hit, doubtful=_is_doubtful(view, hit, incomplete)) for hit in hits]
    return Searched(hits, tried=pools["one"].n_unique())


def named_rows(view: View, linked: Links, *, gathering_days: int) -> pl.DataFrame:
    """Return `one`, `pool` and the list `row` of the rows in reach that carry each of its keys.

    Under SEVERAL_KEYS stand the rows each of which has one of the keys for itself.
    """
    ones, many = (
        _free(view.ones, linked, view.is_payout),
        _free(view.many, linked, not view.is_payout),
    )
    lone = ones.filter(pl.len().over("pool") == 1).rename({"row": "one"})
    pairs = lone.join(many, on="pool")
    one, row = (pairs[name].to_numpy() for name in ("one", "row"))
    first, last = view.reach(one, gathering_days=gathering_days)
    day = view.many.day[row]
    within = pairs.with_columns(lag=view.lag_days(one, row)).filter(
        pl.Series((day >= first) & (day <= last))
    )
    is_named = pl.len().over("pool") == 1
    named = (
        within.filter(is_named)
        .with_columns(pool=pl.lit(SEVERAL_KEYS, pl.Int64))
        .unique(("one", "row"))
    )
    return (
        pl.concat([within, named])
        .sort("one", "pool", "row")
        .group_by("one", "pool", maintain_order=True)
        .agg("row", lag=pl.col("lag").min())
        .filter(pl.col("lag") <= view.policy.window.after_days)
    )


def _is_doubtful(view: View, hit: Hit, incomplete: Collection[Batch]) -> bool:
    """Whether a row that the key does not name may be the difference: of its size, or seen."""
    if (hit.ones[0], hit.members) in incomplete:
        return True
    amounts = view.many.amount_minor[[*hit.members]]
    residual = abs(int(view.ones.amount_minor[hit.ones[0]]) - int(amounts.sum()))
    return hit.fee is None and residual >= int(np.abs(amounts).min())


def several_to_several(view: View, linked: Links, *, gathering_days: int) -> Searched:
    """Find keys on at least two rows of either side, all of which have the same sum."""
    ones, many = (
        _free(view.ones, linked, view.is_payout),
        _free(view.many, linked, not view.is_payout),
    )
    sides = (
        side.with_columns(
            amount=rows.amount_minor[side["row"].to_numpy()], day=rows.day[side["row"].to_numpy()]
        )
        .group_by("pool")
        .agg(pl.col("row").sort(), sum=pl.sum("amount"), first=pl.min("day"), last=pl.max("day"))
        .filter(pl.col("row").list.len() > 1)
        for side, rows in ((ones, view.ones), (many, view.many))
    )
    both = next(sides).join(next(sides), on="pool").sort("pool")
    span = pl.max_horizontal("last", "last_right") - pl.min_horizontal("first", "first_right")
    same = both.filter(
        pl.col("sum") == pl.col("sum_right"),
        pl.col("sum") != 0,
        span <= view.span_days + gathering_days,
    )
    hits = []
    for batch in same.unique(("row", "row_right"), keep="first", maintain_order=True).to_dicts():
        chance = whole_unit_minor(view.many.amount_minor[batch["row_right"]])
        hits.append(
            Hit(
                view.is_payout,
                tuple(batch["row"]),
                tuple(batch["row_right"]),
                by="batch key",
                kind=linked.kind,
                key=linked.keys[batch["pool"]],
                expected=chance / (abs(batch["sum"]) + 1),
            )
        )
    return Searched(hits)


def _free(rows: Rows, linked: Links, is_record_side: bool) -> pl.DataFrame:
    side = linked.records if is_record_side else linked.items
    return side.filter(pl.Series(rows.free[side["row"].to_numpy()]))


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows that a key names; `is_batch` where it is one key, and no date, that names them all."""

    members: tuple[int, ...]
    key: str
    is_batch: bool


_Named = tuple[int, int, list[int]]


def _distinct(batches: Iterable[_Named], linked: Links) -> list[_Batch]:
    """Return each set of members once, with the longest of the keys that name it."""
    named: dict[tuple[int, ...], _Batch] = {}
    for _, pool, rows in batches:
        members = tuple(rows)
        key = linked.keys[pool] if pool != SEVERAL_KEYS else f"{len(members)} keys, one each"
        batch = _Batch(members, key, linked.kind == "key" and pool != SEVERAL_KEYS)
        known = named.setdefault(members, batch)
        named[members] = max(known, batch, key=lambda one: (one.is_batch, len(one.key), one.key))
    return [named[members] for members in sorted(named)]


def _best(
    view: View,
    one: int,
    batches: list[_Batch],
    kind: str,
    explanations: tuple["_Explain", ...],
) -> Iterator[Hit]:
    """Yield the batch that the first of the explanations fits."""
    for explain in explanations:
        found = [
            (batch, *said) for batch in batches if (said := explain(view, one, batch)) is not None
        ]
        if found:
            batch, expected, fee = found[0]
            is_single_too = view.ones.amount_minor[one] in view.many.amount_minor[[*batch.members]]
            yield Hit(
                view.is_payout,
                (one,),
                batch.members,
                by="batch key",
                kind=kind,
                key=batch.key,
                expected=len(batches) * expected,
                solutions=len(found) + int(is_single_too),
                fee=fee,
            )
            return


_Explained = tuple[float, Fee | None]
_Explain = Callable[[View, int, _Batch], _Explained | None]


def _exact(view: View, one: int, batch: _Batch) -> _Explained | None:
    """Explain by the sum alone or less the fees of the schedule."""
    for fee in view.fees:
        target, amounts = view.amounts(fee)
        if int(target[one]) == int(amounts[[*batch.members]].sum()):
            unit = whole_unit_minor(amounts[[*batch.members]])
            return unit / (abs(int(target[one])) + 1), fee
    return None


def _tolerated(view: View, one: int, batch: _Batch) -> _Explained | None:
    records, items = _totals(view, one, batch.members)
    allowed = view.allowed_minor(one, batch.members, items)
    if abs(records - items) > allowed or (records > 0) != (items > 0):
        return None
    return min((2 * allowed + 1) / (abs(records) + 1), 1.0), None


def _with_unknown_fee(view: View, one: int, batch: _Batch) -> _Explained | None:
    """Explain by a fee that nobody told: only a payout whose key names every member has one.

    What a split payment falls short of its invoice is rather an instalment still to come.
    """
    records, items = _totals(view, one, batch.members)
    gross = int(np.abs(view.many.amount_minor[[*batch.members]]).sum())
    fee_minor = items - records
    if not view.is_payout or not batch.is_batch or not 0 < fee_minor * FEE_SHARE_MAX <= gross:
        return None
    return _FEE_BY_CHANCE, "within 5 %"


def _totals(view: View, one: int, members: tuple[int, ...]) -> tuple[int, int]:
    """Return the sum of the records and that of the items."""
    single = int(view.ones.amount_minor[one])
    several = int(view.many.amount_minor[list(members)].sum())
    return (single, several) if view.is_payout else (several, single)

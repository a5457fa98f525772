"""Settles a run by the column: the many pairs without a past at once, the rest by `history`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import polars as pl

from recon_service.domain import decisions, history
from recon_service.domain.history import (
    Change,
    Days,
    Disposition,
    Item,
    ItemClass,
    Margins,
    Memory,
    Universe,
)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a run's matches mean, in frames.

    `lines` and `carried` have `record_id` and `class` (a Disposition), `items` have `internal_id`
    and `class` (an ItemClass).
    """

    lines: pl.DataFrame
    carried: pl.DataFrame
    items: pl.DataFrame
    changes: tuple[Change, ...]


def settle_frames(
    *,
    universe: Universe,
    items: pl.DataFrame,
    taken_items: frozenset[str],
    rows: pl.DataFrame,
    members: pl.DataFrame,
    memory: Memory,
    covered_before: Days | None,
    covered: Days,
    margins: Margins,
    watermark: int | None,
) -> Settled:
    """Return what `history.settle` says of the same matches; `members` are `described`.

    `rows` has one row per free line and carried record, in their order: the free ones are taken
    from there, not from the universe. An automatic pair of a line and a ledger item that nobody
    remembers changes no state: lines and items like that, nearly all of most statements, are not
    looked at one by one.
    """
    record, item = pl.col("record_id"), pl.col("internal_id")
    is_auto = (pl.col("decision") == Disposition.AUTO.value) & (pl.col("match_type") != "group")
    is_carried = _among(record, universe.carried)
    rows = rows.with_columns(
        plain_line=is_auto & ~is_carried & ~_among(record, memory.records),
        plain_item=is_auto & ~_among(item, memory.items) & ~_among(item, taken_items),
    )
    plain_lines = rows.filter("plain_line").select("record_id")
    plain_items = rows.filter("plain_item").select("internal_id")
    others = rows.filter(~pl.col("plain_line"), ~is_carried)["record_id"]
    is_plain = pl.col("plain_line") & pl.col("plain_item")
    rest = history.settle(
        universe=replace(universe, free=tuple(others)),
        items=_items(items.join(plain_items, on="internal_id", how="anti", maintain_order="left")),
        taken_items=taken_items,
        matches=decisions.matches(rows.filter(~is_plain), members),
        memory=memory,
        covered_before=covered_before,
        covered=covered,
        margins=margins,
        watermark=watermark,
    )
    return Settled(
        lines=_joined(plain_lines, Disposition.AUTO, rest.lines),
        carried=_joined(plain_lines.clear(), Disposition.AUTO, rest.carried),
        items=_joined(plain_items, ItemClass.MATCHED, rest.items),
        changes=rest.changes,
    )


def _among(key: pl.Expr, keys: Iterable[str]) -> pl.Expr:
    return key.is_in(pl.Series(list(keys), dtype=pl.String).implode()).fill_null(value=False)


def _items(items: pl.DataFrame) -> dict[str, Item]:
    columns = items.select("internal_id", "effective_on", "seq").iter_rows()
    return {key: Item(day, seq) for key, day, seq in columns}


def _joined(
    plain: pl.DataFrame,
    of_plain: Disposition | ItemClass,
    others: Mapping[str, Disposition] | Mapping[str, ItemClass],
) -> pl.DataFrame:
    [key] = plain.columns
    told = {key: list(others), "class": [one.value for one in others.values()]}
    return pl.concat(
        [
            plain.with_columns(pl.lit(of_plain.value).alias("class")),
            pl.DataFrame(told, schema={key: pl.String, "class": pl.String}),
        ]
    )

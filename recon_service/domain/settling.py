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
    new: pl.DataFrame,
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

    `new` (`record_id`) are free lines besides those of the universe, which no run has seen before.

    An automatic pair of a line and a ledger item that nobody remembers changes no state: lines
    and items like that, nearly all of most statements, are not looked at one by one.
    """
    pairs = decisions.paired(rows).filter(pl.col("decision") == Disposition.AUTO.value)
    seen = pl.DataFrame({"record_id": universe.free}, schema={"record_id": pl.String})
    free = pl.concat([seen, new])
    plain_lines = _without(free.join(pairs, on="record_id", how="semi"), memory.records)
    ids = items.select("internal_id")
    plain_items = _without(ids.join(pairs, on="internal_id", how="semi"), memory.items)
    plain_items = _without(plain_items, taken_items)
    is_plain = pl.col("record_id").is_in(plain_lines["record_id"].implode()) & (
        pl.col("internal_id").is_in(plain_items["internal_id"].implode())
    )
    others = free.join(plain_lines, on="record_id", how="anti", maintain_order="left")
    rest = history.settle(
        universe=replace(universe, free=tuple(others["record_id"])),
        items=_items(items.join(plain_items, on="internal_id", how="anti", maintain_order="left")),
        taken_items=taken_items,
        matches=decisions.matches(rows.filter(~is_plain.fill_null(value=False)), members),
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


def _without(keys: pl.DataFrame, known: Iterable[str]) -> pl.DataFrame:
    """Return the keys that are not in a collection of keys, each once."""
    seen = pl.Series(keys.columns[0], list(known), dtype=pl.String)
    return keys.unique().join(seen.to_frame(), on=keys.columns, how="anti")


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

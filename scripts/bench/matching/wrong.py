"""Shows single mistakes: what was paired, what it should have been, and what was not found."""

import polars as pl
from rich.console import Console

from scripts.bench.matching.generator import Case
from scripts.bench.matching.metrics import judge
from scripts.bench.matching.prediction import Prediction
from scripts.bench.matching.truths import Truth

_RECORD = ("amount_minor", "booked_on", "external_id", "counterparty", "text")
_ITEM = ("amount_minor", "effective_on", "reference", "counterparty", "text")


def show_wrong(case: Case, prediction: Prediction, console: Console, *, limit: int) -> None:
    """Print up to `limit` wrong matches, automatic ones first, and as many missed groups."""
    truth = Truth.of(case)
    records = _by_id(case.records, "record_id", _RECORD)
    items = _by_id(case.items, "internal_id", _ITEM)
    group_of = dict(case.truth.select("id", "group").iter_rows())
    groups = {group_of[(g.record_ids + g.item_ids)[0]]: g for g in truth.groups}
    judged = judge(truth, prediction)
    for one in [one for one in judged if not one.is_right][:limit]:
        match = one.match
        console.print(f"[red]{match.decision} {match.score:.4f}[/red] {case.scenario}/{case.seed}")
        for id_ in match.record_ids:
            group = groups[group_of[id_]]
            console.print(f"  record {records[id_]}", markup=False)
            console.print(f"    is {group.kind} {group.cause or ''}", markup=False)
            for true in group.item_ids[:3]:
                console.print(f"    true {items[true]}", markup=False)
        for id_ in match.item_ids[:6]:
            console.print(f"  item   {items[id_]}", markup=False)
    found = {one.match.record_ids[0] for one in judged if one.is_right and one.match.record_ids}
    missed = [g for g in truth.groups if g.kind not in ("none",) and not found & {*g.record_ids}]
    for group in missed[:limit]:
        console.print(f"[yellow]missed {group.kind} {group.cause or ''}[/yellow]")
        for id_ in group.record_ids[:3]:
            console.print(f"  record {records[id_]}", markup=False)
        for id_ in group.item_ids[:3]:
            console.print(f"  item   {items[id_]}", markup=False)


def _by_id(frame: pl.DataFrame, id_: str, columns: tuple[str, ...]) -> dict[str, str]:
    return {
        row[id_]: " | ".join(str(row[name]) for name in columns)
        for row in frame.iter_rows(named=True)
    }

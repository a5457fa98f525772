"""Shows what was measured: one table for a person, one JSON document with every value."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from scripts.bench.ledger.cells import Cell
from scripts.bench.ledger.options import Options
from scripts.bench.ledger.verdicts import Verdict

NOTES = (
    "Rates are medians of rounds in which all cells take turns; a ratio divides two of them.",
    "wrk is closed-loop: a connection sends its next request when it has its answer, so its "
    "percentiles are those of a system that is full; wrk adds what a pause kept from being sent.",
    "django-hordak (MIT, installed in an environment of its own) and the SQL function are called "
    "directly: no HTTP, no log to replay; django-hordak has no keys and no rule on funds either.",
    "A batch's p50 is that of a whole request. Load generator, service and PostgreSQL share "
    "this machine. CPU shares are CPU seconds per second.",
)


def show(cells: Sequence[Cell], verdicts: Sequence[Verdict], facts: Mapping[str, str]) -> None:
    """Print the table, where the CPU went, the verdicts and the notes."""
    console = Console(width=None if os.isatty(1) else 170)
    console.print(_table(cells))
    for cell in cells:
        for error in {error for sample in cell.samples for error in sample.errors}:
            console.print(f"[red]{cell.name}: {error}", highlight=False)
    for text in facts.values():
        console.print(text, highlight=False)
    for verdict in verdicts:
        console.print(verdict.sentence(), highlight=False, style=None if verdict.agrees else "red")
    for note in NOTES:
        console.print(note, style="dim", highlight=False)


def document(
    options: Options,
    settings: Mapping[str, str],
    cells: Sequence[Cell],
    verdicts: Sequence[Verdict],
    facts: Mapping[str, str],
) -> dict[str, Any]:
    """Return everything as one JSON document."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": psutil.cpu_count(),
            "memory_mb": psutil.virtual_memory().total // 2**20,
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "postgresql": dict(settings),
        "options": {
            name: value if isinstance(value, (int, tuple)) else value and str(value)
            for name, value in asdict(options).items()
        },
        "cells": [
            {
                "name": cell.name,
                "unit": cell.unit,
                "rate": cell.rate,
                "beside": cell.beside,
                "ratio": ratio(cells, cell),
                "errors": cell.errors,
                "note": cell.note,
                "samples": [asdict(sample) for sample in cell.samples],
            }
            for cell in cells
        ],
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "facts": dict(facts),
        "notes": NOTES,
    }


def write_json(path: Path, whole: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def ratio(cells: Sequence[Cell], cell: Cell) -> float | None:
    """Return a cell's rate divided by that of the cell that it stands beside."""
    others = {one.name: one.rate for one in cells}
    rate, other = cell.rate, others.get(cell.beside)
    return rate / other if rate is not None and other else None


def cpu_text(cell: Cell) -> str:
    """Say what used the CPU in a cell; "" where that was not looked at."""
    shares = [(who, cell.median(f"cpu_{who}")) for who in ("service", "postgres", "wrk")]
    told = [f"{who} {share:.2f}" for who, share in shares if share is not None]
    return f"CPU in '{cell.name}': {', '.join(told)}" if told else ""


def memory_text(cell: Cell) -> str:
    """Say what memory the service held in an export; "" where that was not looked at."""
    held = [cell.median(f"rss_{when}_mb") for when in ("before", "peak", "after")]
    before, peak, after = (f"{megabytes or 0:,.0f}" for megabytes in held)
    return f"service memory in '{cell.name}': {before} MB, peak {peak}, then {after}" * all(held)


def _table(cells: Sequence[Cell]) -> Table:
    table = Table(title="The ledger beside its own PostgreSQL")
    table.add_column("cell")
    for name in ("rate", "unit", "ratio", "p50 ms", "p99 ms", "p99.9 ms", "errors"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("beside")
    for cell in cells:
        found = ratio(cells, cell)
        if cell.rate is None:
            table.add_row(cell.name, "–", *[""] * 6, cell.note)
            continue
        table.add_row(
            cell.name,
            f"{cell.rate:,.0f}",
            cell.unit,
            "" if found is None else f"{found:.2f}",
            *(_milliseconds(cell.median(name)) for name in ("p50_ms", "p99_ms", "p999_ms")),
            f"[red]{cell.errors}" if cell.errors else "0",
            cell.note or ("" if cell.beside == cell.name else cell.beside),
        )
    return table


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"

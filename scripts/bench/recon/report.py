"""Shows what was measured: one table for a person, one JSON document with every value."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from scripts.bench.recon.run import Measured
from scripts.bench.recon.splink_row import SPLINK_ROWS_MAX, SplinkRow
from scripts.bench.recon.watch import PHASES

GROWTH_MAX = 3.3
NOTES = (
    "Seconds from POST /recon/run to the committed end, looked at every 20 ms; the first phase"
    " includes the queue. Filling the ledger and starting the services are not counted.",
    "Memory is the highest sum over the service and its workers, sampled every 50 ms; pages that"
    " they share count once each. CPU seconds of PostgreSQL serve both services.",
    "95 % of the lines carry our reference, 4 % another id or none, 1 % have no counterpart. The"
    " case without ids has only the latter two. Default policy, one bank account, one month.",
    "Splink links frames in memory on DuckDB: no file, no ledger, no log. It is given at most"
    f" {SPLINK_ROWS_MAX:,} lines: it trains on all pairs of one day.",
)


def show(measured: Sequence[Measured], linked: Sequence[SplinkRow], absent: str) -> None:
    """Print the table, the verdicts, the growth and the notes."""
    console = Console(width=None if os.isatty(1) else 150)
    console.print(_table(measured, linked))
    for one in measured:
        console.print(f"{one.name}: {one.verdict.sentence()}", highlight=False)
        for fault in one.verdict.faults:
            console.print(f"{one.name}: {fault}", style="red", highlight=False)
    if growth := growth_text(measured):
        console.print(growth, highlight=False)
    for note in (*NOTES, *([absent] if absent else [])):
        console.print(note, style="dim", highlight=False)


def growth_text(measured: Sequence[Measured]) -> str:
    """Say what three times the lines cost, where both were measured."""
    seconds = {one.rows: one.watched.seconds for one in measured}
    if not {1_000_000, 3_000_000} <= seconds.keys():
        return ""
    ratio = seconds[3_000_000] / seconds[1_000_000]
    return f"Three times the lines take {ratio:.2f} times as long (at most {GROWTH_MAX} is wanted)."


def document(
    measured: Sequence[Measured], linked: Sequence[SplinkRow], settings: Mapping[str, str]
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
        "runs": [asdict(one) for one in measured],
        "splink": [asdict(one) for one in linked],
        "notes": NOTES,
    }


def _table(measured: Sequence[Measured], linked: Sequence[SplinkRow]) -> Table:
    table = Table(title="From a file to a committed match log")
    table.add_column("lines")
    names = ("seconds", *PHASES.values(), "lines/s", "peak MB", "CPU recon", "ledger", "PostgreSQL")
    for name in (*names, "right", "wrong"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in measured:
        verdict = one.verdict
        table.add_row(
            one.name,
            f"{one.watched.seconds:.1f}",
            *(f"{one.watched.phases.get(phase, 0.0):.1f}" for phase in PHASES.values()),
            f"{one.rows / one.watched.seconds:,.0f}",
            f"{one.peak_mb:,.0f}",
            *(f"{seconds:.1f}" for seconds in one.cpu.values()),
            f"{verdict.exact + verdict.fuzzy_automatic:,}",
            f"{verdict.wrong_automatic:,}",
        )
    for row in linked:
        table.add_row(
            f"Splink, {row.name}",
            f"{row.seconds:.1f}",
            *[""] * len(PHASES),
            f"{row.rows / row.seconds:,.0f}",
            *[""] * 4,
            f"{row.right:,}",
            f"{row.wrong:,}",
        )
    return table

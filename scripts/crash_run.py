"""Kills the ledger and its PostgreSQL under load, again and again, and checks every promise.

    python -m scripts.crash_run --cycles 50 --seed 1
    python -m scripts.crash_run --negative-control

Starts a durable PostgreSQL and ledger processes of its own. Clients post under idempotency keys
and ask again by the same key after any unknown outcome. Each cycle kills a ledger process, all of
PostgreSQL, or both, or ends the committing sessions. Acknowledged and lost must be 0, doubled 0,
the sum 0, the projections equal to a replay. Exit 0 if so, 1 if not, 3 if it could not run.

The negative control lets the ledger acknowledge before its commit is on disk. It exits 0 only if
that was seen to lose acknowledged transfers: this run can fail.
"""

import argparse
import asyncio
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from migrations.prepare import DatabaseNotReady
from scripts.crash.run import Result, run_crashes
from scripts.crash.schedule import Plan
from scripts.crash.victims import VictimLost
from shared.embedded_postgres import EmbeddedPostgresError

AS_IT_MUST_BE, FINDINGS, INFRASTRUCTURE, INTERRUPTED = 0, 1, 3, 130
CYCLES, CONTROL_CYCLES = 50, 3
FINDINGS_SHOWN_MAX = 10


def main() -> int:
    arguments = _parser().parse_args()
    is_control = arguments.negative_control
    plan = Plan(
        cycles=arguments.cycles or (CONTROL_CYCLES if is_control else CYCLES),
        seed=arguments.seed,
        clients=arguments.clients,
        services=arguments.services,
        batches=arguments.batches,
        is_control=is_control,
    )
    try:
        with scratch_folder() as folder:
            result = asyncio.run(run_crashes(plan, folder))
            if not result.is_as_it_must_be:
                log = Path(tempfile.gettempdir()) / f"kairon-crash-{plan.seed}.log"
                shutil.copy(folder / "ledger.log", log)
                print(f"The ledger's log is {log}.", file=sys.stderr)
    except (EmbeddedPostgresError, DatabaseNotReady, VictimLost) as error:
        print(error, file=sys.stderr)
        return INFRASTRUCTURE
    except KeyboardInterrupt:
        return INTERRUPTED
    if arguments.json:
        print(json.dumps(summary(result)))
    else:
        _print_table(result)
    return AS_IT_MUST_BE if result.is_as_it_must_be else FINDINGS


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder in which PostgreSQL's user may work even where we are root."""
    folder = Path(tempfile.mkdtemp(prefix="kairon-crash-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def summary(result: Result) -> dict[str, Any]:
    """Return the figures of a run as JSON takes them."""
    book, restarts = result.book, sorted(result.restart_seconds)
    return {
        "seed": result.plan.seed,
        "cycles": result.plan.cycles,
        "negative_control": result.plan.is_control,
        "clients": result.plan.clients,
        "services": result.plan.services,
        "kills": {kind.value: count for kind, count in sorted(result.kills.items())},
        "acknowledged": len(book.verdicts),
        "acknowledged_and_lost": len(book.lost),
        "doubled": len(book.doubled),
        "commits_in_doubt_resolved": result.doubts_resolved,
        "restart_seconds_p50": round(_quantile(restarts, 0.5), 2),
        "restart_seconds_p99": round(_quantile(restarts, 0.99), 2),
        "tallies": dict(sorted(book.tallies.items())),
        "findings": book.findings,
        "seconds": round(result.seconds, 1),
    }


def _print_table(result: Result) -> None:
    figures = summary(result)
    findings, tallies, kills = figures.pop("findings"), figures.pop("tallies"), figures.pop("kills")
    title = "Negative control" if figures.pop("negative_control") else "Crash run"
    table = Table("figure", "value", title=f"{title}, seed {figures.pop('seed')}")
    rows = figures | {f"killed: {kind}": count for kind, count in kills.items()} | tallies
    for name, value in rows.items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    console = Console()
    console.print(table)
    for finding in findings[:FINDINGS_SHOWN_MAX]:
        print(f"finding: {finding}")
    verdict = "as it must be" if result.is_as_it_must_be else "NOT as it must be"
    console.print(f"{title}: {verdict}")


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else 0.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.crash_run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cycles", type=int, help=f"default {CYCLES}; control {CONTROL_CYCLES}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=8, choices=range(1, 65), metavar="N")
    parser.add_argument("--services", type=int, default=2, choices=range(1, 9), metavar="N")
    parser.add_argument(
        "--batches",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also post batches, where the service takes them",
    )
    parser.add_argument("--negative-control", "--negative_control", action="store_true")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


if __name__ == "__main__":
    sys.exit(main())

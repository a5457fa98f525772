"""Measures the ledger beside pgbench, psql and its peers, and has the books verified afterwards.

    .venv/bin/python -m scripts.bench.ledger [--quick] [--only single,batch] [--json PATH]
    python scripts/bench/ledger --help

Starts a PostgreSQL of its own with fsync and synchronous_commit on, the ledger service as its own
process, and loads it by wrk (`apt install wrk`). Exit codes: 0 measured, 1 an error was answered or
the books do not agree, 3 infrastructure.
"""

import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

if __package__ in (None, ""):  # run as `python scripts/bench/ledger`
    sys.path[0] = str(Path(__file__).resolve().parents[3])
    from shared.environment import use_project_environment

    use_project_environment()

from rich.console import Console

from migrations.prepare import DatabaseNotReady
from scripts.bench.ledger.measure import require_wrk
from scripts.bench.ledger.options import Options, parse_options
from scripts.bench.ledger.report import document, show, write_json
from scripts.bench.ledger.run import Run
from scripts.bench.ledger.server import BenchError, start_server
from scripts.processes import StackError
from shared import embedded_postgres
from shared.embedded_postgres import EmbeddedPostgresError

CLEAN, DISAGREEMENT, INFRASTRUCTURE, INTERRUPTED = 0, 1, 3, 130


def main() -> int:
    options = parse_options("python -m scripts.bench.ledger", "groups of cells:")
    signal.signal(signal.SIGTERM, _interrupt)
    folder = options.data_dir or Path(tempfile.mkdtemp(prefix="kairon-bench-"))
    try:
        require_wrk()
        return measure(options, folder.resolve())
    except (BenchError, StackError, EmbeddedPostgresError, DatabaseNotReady) as error:
        print(error, file=sys.stderr)
        return INFRASTRUCTURE
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if options.data_dir is None:
            embedded_postgres.remove(folder)
            shutil.rmtree(folder)
        else:
            embedded_postgres.stop(folder)


def measure(options: Options, folder: Path) -> int:
    """Run the bench in a data directory, show what came of it and return the exit code."""
    server = start_server(folder)
    run = Run(options, server, Console(stderr=True))
    try:
        run.measure()
        verdicts = run.verify()
    finally:
        run.services.stop()
    if options.json_path:
        whole = document(options, server.settings, run.cells, verdicts, run.facts)
        write_json(options.json_path, whole)
    show(run.cells, verdicts, run.facts)
    clean = all(verdict.agrees for verdict in verdicts) and not any(c.errors for c in run.cells)
    return CLEAN if clean else DISAGREEMENT


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

"""Times reconciliations of growing statements through the real services, and judges their results.

    .venv/bin/python -m scripts.bench.recon [--quick] [--sizes 10k,1m] [--json PATH]
    uv run --group bench python -m scripts.bench.recon          with Splink's rows

Starts a PostgreSQL of its own, fills a ledger by its batch endpoint, has it verified, and runs a
CSV statement from the inbox to the committed match log. Exit codes: 0 measured and right, 1 a
result is wrong, 3 infrastructure.
"""

import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from rich.console import Console

from migrations.prepare import DatabaseNotReady
from scripts.bench.ledger.report import write_json
from scripts.bench.ledger.server import BenchError, start_server
from scripts.bench.matching.splink_baseline import ABSENT, is_installed
from scripts.bench.recon.data import MIXED, WITHOUT_IDS, Shares, make_case
from scripts.bench.recon.options import Options, parse_options
from scripts.bench.recon.report import document, show
from scripts.bench.recon.run import Bench, Measured
from scripts.bench.recon.splink_row import SPLINK_ROWS_MAX, SplinkRow, measure_splink
from scripts.processes import StackError
from shared import embedded_postgres
from shared.embedded_postgres import EmbeddedPostgresError

CLEAN, WRONG, INFRASTRUCTURE, INTERRUPTED = 0, 1, 3, 130


def main() -> int:
    options = parse_options("python -m scripts.bench.recon")
    signal.signal(signal.SIGTERM, _interrupt)
    folder = options.data_dir or Path(tempfile.mkdtemp(prefix="kairon-bench-"))
    try:
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
    """Measure every case in a data directory, show what came of it and return the exit code."""
    server = start_server(folder)
    bench = Bench(server)
    measured: list[Measured] = []
    linked: list[SplinkRow] = []
    has_splink = options.splink and is_installed()
    say = Console(stderr=True)
    try:
        for name, rows, shares in _cases(options):
            with say.status(name):
                case = make_case(rows, shares)
                measured.append(bench.measure(name, case))
                if has_splink and rows <= SPLINK_ROWS_MAX:
                    linked.append(measure_splink(name, case))
            say.print(f"{name}: {measured[-1].watched.seconds:.1f} s", highlight=False)
    finally:
        bench.services.stop()
    if options.json_path:
        write_json(options.json_path, document(measured, linked, server.settings))
    show(measured, linked, ABSENT if options.splink and not has_splink else "")
    return WRONG if any(one.verdict.faults for one in measured) else CLEAN


def _cases(options: Options) -> list[tuple[str, int, Shares]]:
    cases = [(name, rows, MIXED) for name, rows in options.sizes.items()]
    if options.fuzzy_rows:
        name = f"{options.fuzzy_rows // 1_000}k without ids"
        cases.append((name, options.fuzzy_rows, WITHOUT_IDS))
    return cases


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

"""What people would use instead, on the same server: django-hordak, and a plain SQL function."""

import json
import platform
import shutil
from pathlib import Path

from scripts.bench.ledger.measure import Sample, run_pgbench
from scripts.bench.ledger.options import CONNECTIONS
from scripts.bench.ledger.server import BenchError, BenchServer, run_command, run_program
from shared.stack_files import PROJECT_ROOT

HORDAK_DATABASE = "hordak"
HORDAK_PROCESSES = 8
FUNCTION_DATABASE = "sql_function"
_HERE = Path(__file__).parent


def prepare_hordak(server: BenchServer, accounts: int) -> None:
    """Make its database and accounts; the first time its packages are downloaded."""
    server.sql(f"CREATE DATABASE {HORDAK_DATABASE}")
    _run_hordak(server, "prepare", "--accounts", str(accounts))
    server.analyze(HORDAK_DATABASE)


def measure_hordak(server: BenchServer, seconds: int) -> Sample:
    """Make transfers from several processes at once and check that its books balance."""
    counted = "SELECT count(*) AS transfers FROM hordak_transaction"
    [before] = server.sql(counted, database=HORDAK_DATABASE)
    arguments = ("--seconds", str(seconds), "--processes", str(HORDAK_PROCESSES))
    said = json.loads(_run_hordak(server, "run", *arguments))
    [after] = server.sql(counted, database=HORDAK_DATABASE)
    stored = after["transfers"] - before["transfers"]
    return Sample(
        rate=said["transfers"] / said["seconds"],
        details={name: said[name] for name in ("p50_ms", "p99_ms", "p999_ms")},
        errors={"stored differs from made": 1} if stored != said["transfers"] else {},
    )


def prepare_function(server: BenchServer, accounts: int) -> None:
    """Make its tables, its function and funded accounts."""
    server.sql(f"CREATE DATABASE {FUNCTION_DATABASE}")
    url = server.url(FUNCTION_DATABASE)
    make = ("-q", "-v", "ON_ERROR_STOP=1", "-v", f"accounts={accounts}")
    run_program("psql", *make, "-f", str(_HERE / "function.sql"), url)
    server.analyze(FUNCTION_DATABASE)


def measure_function(server: BenchServer, seconds: int, accounts: int) -> Sample:
    """Call the function by pgbench: one round trip a transfer, no HTTP."""
    script = server.data_dir / "function.pgbench"
    script.write_text(
        f"\\set source random(1, {accounts})\n"
        f"\\set destination 1 + (:source + random(0, {accounts - 2})) % {accounts}\n"
        "\\set amount random(1, 999)\n"
        "SELECT transfer(gen_random_uuid(), :source, :destination, :amount);\n",
        encoding="utf-8",
    )
    return run_pgbench(
        server, seconds, clients=CONNECTIONS, script=script, database=FUNCTION_DATABASE
    )


def _run_hordak(server: BenchServer, *arguments: str) -> str:
    uv = shutil.which("uv") or shutil.which("uv", path=PROJECT_ROOT / ".uv" / "bin")
    if uv is None:
        raise BenchError("django-hordak is measured in an environment that uv makes; install uv.")
    command = [uv, "run", "--quiet", "--isolated", "--no-project"]
    command += ["--python", ".".join(platform.python_version_tuple()[:2])]
    command += ["--with", "django-hordak", "--with", "psycopg[binary]"]
    command += ["python", "-P", str(_HERE / "peer_hordak.py"), *arguments]
    command += ["--url", server.url(HORDAK_DATABASE)]
    return run_command("django-hordak", command, folder=server.data_dir)

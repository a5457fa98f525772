"""Asks the ledger's own verifier about every database of the run, as a person would."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from scripts.bench.ledger.options import child_environment
from scripts.bench.ledger.server import BenchServer
from shared.stack_files import PROJECT_ROOT

VERIFY_SECONDS_MAX = 3_600
AT_ONCE_MAX = 2
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = $1"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the verifier said of one database: no gap, sum zero, balances equal replay, or not."""

    database: str
    entries: int
    events: int
    findings: list[str]
    deadlocks: int
    seconds: float

    @property
    def agrees(self) -> bool:
        return not self.findings and not self.deadlocks

    def sentence(self) -> str:
        said = "no gap, sum zero, balances equal replay" if not self.findings else "DISAGREES"
        counts = f"{self.entries:,} entries, {self.events:,} events, {self.deadlocks} deadlocks"
        counts += f", read in {self.seconds:.0f} s"
        return f"verifier, {self.database}: {said}; {counts}" + "".join(
            f"\n  {finding}" for finding in self.findings
        )


def verify_all(server: BenchServer, databases: list[str]) -> list[Verdict]:
    """Verify every database with `ledger verify`, a few at a time; nobody may be writing."""
    with ThreadPoolExecutor(AT_ONCE_MAX) as pool:
        return list(pool.map(lambda database: _verify(server, database), databases))


def _verify(server: BenchServer, database: str) -> Verdict:
    started = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-m", "ledger_service.cli", "verify", "--json"],
        cwd=PROJECT_ROOT,
        env=child_environment(LEDGER_DATABASE_URL=server.url(database, as_service=True)),
        capture_output=True,
        text=True,
        check=False,
        timeout=VERIFY_SECONDS_MAX,
    )
    try:
        said = json.loads(ran.stdout)
    except ValueError:
        said = {"entries": 0, "events": 0, "findings": [ran.stderr.strip()[-300:] or "no verdict"]}
    [row] = server.sql(_DEADLOCKS, database)
    return Verdict(
        database=database,
        entries=said["entries"],
        events=said["events"],
        findings=said["findings"],
        deadlocks=row["deadlocks"],
        seconds=time.monotonic() - started,
    )

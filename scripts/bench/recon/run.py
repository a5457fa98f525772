"""One measurement: books into a ledger, a statement into the inbox, a run through the services.

template ─▶ a database of its own ─▶ ledger service ─▶ books, by batches, and the verifier
a short run of another source ─▶ statement in the inbox ─▶ POST /recon/run
    ─▶ phases and memory watched ─▶ committed log judged
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from scripts.bench.ledger.server import BenchError, BenchServer, cpu_seconds_of
from scripts.bench.ledger.services import Running, Services
from scripts.bench.ledger.verdicts import verify_all
from scripts.bench.recon.books import fill_books
from scripts.bench.recon.data import BUSINESS_DATE, CURRENCY, Case, write_statement
from scripts.bench.recon.verdict import Verdict, judge
from scripts.bench.recon.watch import Memory, Watched, watch_run

ANSWER_SECONDS_MAX = 60
WARM_UP_ROWS = 100


@dataclass(frozen=True, slots=True)
class Measured:
    """What one case took and whether its result is right."""

    name: str
    rows: int
    watched: Watched
    peak_mb: float
    cpu: dict[str, float]
    verdict: Verdict
    fill_seconds: float


class Bench:
    """Measures cases one after another, each with services and a database of its own."""

    def __init__(self, server: BenchServer) -> None:
        self._server = server
        self.services = Services(server)
        server.prepare_template()

    def measure(self, name: str, case: Case) -> Measured:
        """Fill, verify, run, judge. Raises BenchError."""
        database = "recon_" + name.replace(" ", "_")
        self._server.copy_template(database)
        [ledger] = self.services.start_ledger(database)
        started = time.perf_counter()
        bank, empty = fill_books(ledger.port, case.books)
        fill_seconds = time.perf_counter() - started
        [books] = verify_all(self._server, [database])
        if not books.agrees:
            raise BenchError(books.sentence())
        inbox = self._server.data_dir / "inbox" / database
        inbox.mkdir(parents=True)
        write_statement(case.lines, inbox / "statement.csv")
        write_statement(case.lines.head(WARM_UP_ROWS), inbox / "warm_up.csv")
        self._server.analyze(database)
        self._server.checkpoint()
        recon = self.services.start_recon(database, ledger, inbox)
        try:
            self._run(recon, database, "warm_up", empty)
            before = self._cpu_seconds(recon, ledger)
            watched, peak_mb, run_id = self._run(recon, database, "statement", bank)
            after = self._cpu_seconds(recon, ledger)
        finally:
            self.services.stop([recon, ledger])
        verdict = judge(self._server.url(database), run_id, case.lines)
        self._server.sql(f"DROP DATABASE {database}")
        _remove(inbox)
        return Measured(
            name=name,
            rows=case.lines.height,
            watched=watched,
            peak_mb=peak_mb,
            cpu={who: after[who] - before[who] for who in after},
            verdict=verdict,
            fill_seconds=fill_seconds,
        )

    def _cpu_seconds(self, recon: Running, ledger: Running) -> dict[str, float]:
        """Return CPU seconds so far, by whom."""
        return {
            "recon": cpu_seconds_of(_with_children(recon)),
            "ledger": cpu_seconds_of(_with_children(ledger)),
            "postgres": self._server.cpu_seconds(),
        }

    def _run(
        self, recon: Running, database: str, name: str, account: str
    ) -> tuple[Watched, float, str]:
        """Reconcile the file `name` with an account, as a source of the same name."""
        with httpx.Client(
            base_url=recon.service.url, timeout=ANSWER_SECONDS_MAX, trust_env=False
        ) as client:
            _require(client.post("/recon/sources/", json=_source(name, account)))
            with Memory(recon.service.child.pid) as memory:
                requested_at = time.perf_counter()
                day = BUSINESS_DATE.isoformat()
                body = {"source": name, "date": day, "file_path": f"{name}.csv"}
                run_id = _require(client.post("/recon/run", json=body))["run_id"]
                watched = watch_run(self._server.url(database), run_id, requested_at)
        return watched, memory.peak_mb, run_id


def _with_children(running: Running) -> list[psutil.Process]:
    process = psutil.Process(running.service.child.pid)
    return [process, *process.children(recursive=True)]


def _source(name: str, account: str) -> dict[str, Any]:
    """Return a source with the default policy."""
    columns = ("txn_id", "timestamp", "amount", "currency", "description", "counterparty")
    return {
        "name": name,
        "config": {
            "kind": "csv",
            "columns": {column: column for column in columns},
            "currencies": [CURRENCY],
            "ledger_account_id": account,
        },
    }


def _require(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise BenchError(f"The service answered {answer.status_code}: {answer.text[:300]}")
    document: dict[str, Any] = answer.json()
    return document


def _remove(inbox: Path) -> None:
    for file in inbox.iterdir():
        file.unlink()
    inbox.rmdir()

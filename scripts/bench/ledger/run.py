"""The run from beginning to end.

server -> template with funded accounts -> a copy for each group -> services -> rounds -> export
       -> services end -> verifier on every copy
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rich.console import Console

from scripts.bench.ledger.batches import NotServed, fill, measure_batches
from scripts.bench.ledger.books import open_books
from scripts.bench.ledger.cells import ROUNDS_MAX, Cell
from scripts.bench.ledger.export import Export
from scripts.bench.ledger.measure import Load, Sample, prepare_pgbench, run_pgbench, run_wrk
from scripts.bench.ledger.one_key import POSTS, post_one_key
from scripts.bench.ledger.options import CONNECTIONS, Options
from scripts.bench.ledger.peers import (
    HORDAK_PROCESSES,
    measure_function,
    measure_hordak,
    prepare_function,
    prepare_hordak,
)
from scripts.bench.ledger.report import cpu_text, memory_text
from scripts.bench.ledger.server import TEMPLATE, BenchError, BenchServer
from scripts.bench.ledger.services import Services
from scripts.bench.ledger.verdicts import Verdict, verify_all

CONNECTIONS_MANY = 128
PROCESSES = (1, 2, 4)
PGBENCH = f"pgbench -c {CONNECTIONS}"
UNIFORM = f"single, {CONNECTIONS} connections"
WARM_UP_SECONDS = 2
STORED = "stored"
EXPORTED_EVENTS_MAX = 5_000_000  # in all rounds together, unless one export has more


class Run:
    """Holds the server, the services and the cells of one run."""

    def __init__(self, options: Options, server: BenchServer, say: Console) -> None:
        self.options = options
        self.server = server
        self.services = Services(server)
        self.cells: list[Cell] = []
        self.facts: dict[str, str] = {}
        self.accounts = server.data_dir / "accounts.txt"
        self._databases: list[str] = []
        self._say = say

    def measure(self) -> None:
        """Set everything up and measure every cell in every round."""
        started = time.monotonic()
        self._step("PostgreSQL: pgbench's own tables", self._prepare_pgbench)
        self._step(f"{self.options.accounts:,} accounts, opened and funded", self._open_books)
        for group in self.options.groups:
            add = getattr(self, f"_add_{group}", None)
            if add is not None:
                self._step(f"setting up: {group}", add)
        self._step("warming up", self._warm_up)
        for number in range(1, self.options.rounds + 1):
            for cell in self.cells:
                place = f"round {number} of {self.options.rounds}: {cell.name}"
                self._step(place, cell.take)
                self._say.print(f"{place}: {cell.last()}", highlight=False)
        for cell in self.cells:
            if text := cpu_text(cell) or memory_text(cell):
                self.facts[cell.name] = text
        self.facts["duration"] = f"setting up and measuring took {time.monotonic() - started:.0f} s"

    def verify(self) -> list[Verdict]:
        """End the services and let the verifier read every ledger of the run."""
        self.services.stop()
        verdicts: list[Verdict] = []
        self._step(
            "verifying every ledger",
            lambda: verdicts.extend(verify_all(self.server, self._databases)),
        )
        return verdicts

    def _step(self, name: str, work: Callable[[], None]) -> None:
        with self._say.status(name):
            work()

    # The parts that every run has.

    def _prepare_pgbench(self) -> None:
        prepare_pgbench(self.server, self.options.pgbench_scale)
        seconds = self.options.seconds
        for clients in (CONNECTIONS, 1):
            take = partial(run_pgbench, self.server, seconds, clients=clients)
            self._add(f"pgbench -c {clients}", take, unit="transactions/s")

    def _open_books(self) -> None:
        self.server.prepare_template()
        started = self.services.start_ledger(TEMPLATE)
        ids = open_books(started[0].port, self.options.accounts)
        self.services.stop(started)
        self.accounts.write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")
        self.server.analyze(TEMPLATE)
        self.server.checkpoint()

    def _warm_up(self) -> None:
        """Start nobody's first round with cold caches and the checkpoint of the setting up."""
        self.server.checkpoint()
        warm = min(WARM_UP_SECONDS, self.options.seconds)
        run_pgbench(self.server, warm, clients=CONNECTIONS)

    def _ledger(self, database: str, count: int = 1) -> list[int]:
        """Return the ports of new services on a new copy of the books."""
        self.server.copy_template(database)
        self._databases.append(database)
        return [one.port for one in self.services.start_ledger(database, count)]

    def _add(
        self,
        name: str,
        measure: Callable[[], Sample],
        *,
        unit: str = "transfers/s",
        beside: str = PGBENCH,
        rounds_max: int = ROUNDS_MAX,
    ) -> None:
        self.cells.append(Cell(name, measure, unit=unit, beside=beside, rounds_max=rounds_max))

    def _add_load(
        self, name: str, load: Load, *, unit: str = "transfers/s", beside: str = PGBENCH
    ) -> None:
        pids = self.services.pids(load.ports)

        def take() -> Sample:
            """Measure with caches as they are under this load, not as the last cell left them."""
            run_wrk(load, self.options.warm_up_seconds)
            return run_wrk(load, self.options.seconds, server=self.server, services=pids)

        self._add(name, take, unit=unit, beside=beside)

    def _add_note(self, name: str, note: str) -> None:
        """Add a row that says why there is no number."""
        self.cells.append(Cell(name, lambda: Sample(0), unit="", beside="", note=note))

    # The groups.

    def _add_single(self) -> None:
        ports = self._ledger("single")
        for connections in (1, CONNECTIONS, CONNECTIONS_MANY):
            name = f"single, {connections} connection{'s' if connections > 1 else ''}"
            beside = "pgbench -c 1" if connections == 1 else PGBENCH
            self._add_load(name, Load(ports, self.accounts, connections), beside=beside)

    def _add_hot(self) -> None:
        ports = self._ledger("hot")
        for place in ("destination", "source"):
            load = Load(ports, self.accounts, CONNECTIONS, hot=place)
            self._add_load(f"one hot {place}", load, beside=UNIFORM)

    def _add_mixed(self) -> None:
        ports = self._ledger("mixed")
        for name, reads in (("mixed, 80 % reads", 0.8), ("balance reads only", 1.0)):
            load = Load(ports, self.accounts, CONNECTIONS, reads=reads)
            self._add_load(name, load, unit="requests/s")

    def _add_batch(self) -> None:
        [port] = self._ledger("batch")
        take = partial(
            measure_batches,
            port,
            self.accounts,
            self.options.batches,
            server=self.server,
            services=self.services.pids([port]),
        )
        self._add("batches of 8,000, two in flight", take)

    def _add_stored(self) -> None:
        events = self.options.stored_events
        name = f"{UNIFORM}, {events:,} events stored"
        try:
            port = self._filled()
        except NotServed as error:
            self._add_note(name, f"Not filled: {error}")
            return
        self._add_load(name, Load([port], self.accounts, CONNECTIONS), beside=UNIFORM)

    def _add_export(self) -> None:
        """Export the filled ledger, or one of the books alone where none can be filled."""
        try:
            port = self._filled()
        except NotServed:
            [port] = self.services.ports(STORED)
        [pid] = self.services.pids([port])
        rounds = max(1, min(self.options.rounds, EXPORTED_EVENTS_MAX // self.options.stored_events))
        for name, media_type in (("CSV", "text/csv"), ("NDJSON", "application/x-ndjson")):
            export = Export(self.server, STORED, port=port, pid=pid, media_type=media_type)
            beside = f"psql \\copy, {name}"
            more: dict[str, Any] = {"unit": "MB/s", "beside": beside, "rounds_max": rounds}
            self._add(f"export of all events, {name}", export.over_http, **more)
            self._add(beside, export.by_psql, **more)

    def _filled(self) -> int:
        """Return the port of the service whose ledger holds many events already."""
        if running := self.services.ports(STORED):
            return running[0]
        [port] = self._ledger(STORED)
        filled = fill(port, self.accounts, self.options.stored_events)
        self.facts["fill"] = (
            f"{self.options.stored_events:,} events were stored by batches at "
            f"{filled.rate:,.0f} transfers/s, the client's building of them included"
        )
        self.server.analyze(STORED)
        return port

    def _add_processes(self) -> None:
        ports = self._ledger("processes", max(PROCESSES))
        for count in PROCESSES:
            load = Load(ports[:count], self.accounts, CONNECTIONS)
            self._add_load(f"{count} service process{'es' if count > 1 else ''}", load)
        self._add(
            f"{POSTS} posts of one key over {len(ports)} processes",
            lambda: post_one_key(ports, self.accounts),
            unit="posting",
            beside="",
        )

    def _add_anchor(self) -> None:
        load = Load([self.services.start_anchor().port], self.accounts, CONNECTIONS)
        self._add_load("FastAPI route that does nothing", load, unit="requests/s")

    def _add_hordak(self) -> None:
        name = f"django-hordak, {HORDAK_PROCESSES} processes, no HTTP"
        try:
            prepare_hordak(self.server, self.options.accounts)
        except BenchError as error:
            self._add_note(name, str(error))
            return
        self._add(name, lambda: measure_hordak(self.server, self.options.seconds))

    def _add_function(self) -> None:
        accounts = self.options.accounts
        prepare_function(self.server, accounts)
        take = partial(measure_function, self.server, self.options.seconds, accounts)
        self._add(f"plain SQL function, {CONNECTIONS} connections, no HTTP", take)

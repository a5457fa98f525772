"""Export of all events over HTTP beside psql's \\copy of the very query that the service ran."""

import asyncio
import re
import threading
import time
from http.client import HTTPConnection, HTTPException

import asyncpg
import psutil

from scripts.bench.ledger.measure import Sample
from scripts.bench.ledger.server import BenchError, BenchServer, run_program

PATH = "/ledger/events/"
MEGABYTE = 1_000_000
READ_BYTES = 1 << 20
SAMPLE_SECONDS = 0.1
LOOK_SECONDS = 0.01
FINDER_SECONDS_MAX = 30
ANSWER_SECONDS_MAX = 600
_RUNNING_COPY = """
SELECT query FROM pg_stat_activity
WHERE datname = $1 AND state = 'active' AND pid <> pg_backend_pid() AND query ILIKE 'COPY%'
"""
_COPY = re.compile(r"COPY\s*(\(.*\))\s*TO\s+STDOUT\b(.*)", re.IGNORECASE | re.DOTALL)


class Export:
    """One media type: its export over HTTP, then the same by psql."""

    def __init__(
        self, server: BenchServer, database: str, *, port: int, pid: int, media_type: str
    ) -> None:
        self._server = server
        self._database = database
        self._port = port
        self._process = psutil.Process(pid)
        self._media_type = media_type
        self._query = ""
        self._megabytes = 0.0
        self._rows = 0

    def over_http(self) -> Sample:
        """Read the whole list; the rate is in MB/s of the body."""
        watch = _Memory(self._process)
        begun, over = threading.Event(), threading.Event()
        finder = threading.Thread(target=lambda: asyncio.run(self._find_query(begun, over)))
        finder.start()
        begun.wait(FINDER_SECONDS_MAX)
        with watch:
            started = time.perf_counter()
            try:
                size, newlines = self._read()
                seconds = time.perf_counter() - started
            finally:
                over.set()
                finder.join()
        header = 1 if self._media_type == "text/csv" else 0
        self._megabytes, self._rows = size / MEGABYTE, newlines - header
        [head] = self._server.sql(
            "SELECT count(*) AS events FROM ledger.events", database=self._database
        )
        missing = head["events"] - self._rows
        return Sample(
            rate=self._megabytes / seconds,
            details={"events": self._rows, "events_per_s": self._rows / seconds} | watch.seen,
            errors={"events missing": abs(missing)} if missing else {},
        )

    def by_psql(self) -> Sample:
        """Run \\copy with the query that the service was seen to run; rows must be as many."""
        found = _COPY.match(self._query)
        if found is None:
            raise BenchError("The service ran no COPY that could be compared with psql's.")
        query, options = (" ".join(part.split("\n")) for part in found.groups())
        started = time.perf_counter()
        url = self._server.url(self._database)
        said = run_program("psql", "-X", "-c", rf"\copy {query} to '/dev/null' {options}", url)
        seconds = time.perf_counter() - started
        copied = re.search(r"COPY (\d+)", said)
        rows = int(copied[1]) if copied else 0
        return Sample(
            rate=self._megabytes / seconds,
            details={"events": rows, "events_per_s": rows / seconds},
            errors={} if rows == self._rows else {f"psql copied {rows} rows": 1},
        )

    def _read(self) -> tuple[int, int]:
        """Return the size of the body and its newlines; a body cut short is an error."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS_MAX)
        buffer = memoryview(bytearray(READ_BYTES))
        size = newlines = 0
        try:
            connection.request("GET", PATH, headers={"Accept": self._media_type})
            response = connection.getresponse()
            if response.status != 200:
                raise BenchError(f"The export was answered {response.status}.")
            while count := response.readinto(buffer):
                size += count
                newlines += bytes(buffer[:count]).count(b"\n")
        except (HTTPException, OSError) as error:
            raise BenchError(f"The export ended early: {error!r}") from error
        finally:
            connection.close()
        return size, newlines

    async def _find_query(self, begun: threading.Event, over: threading.Event) -> None:
        """Look at what the service's connections run, until it is seen or the export is over."""
        connection = await asyncpg.connect(self._server.url(self._database))
        try:
            begun.set()
            while not self._query and not over.is_set():
                rows = await connection.fetch(_RUNNING_COPY, self._database)
                self._query = rows[0]["query"] if rows else ""
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            begun.set()
            await connection.close()


class _Memory:
    """Watches the resident memory of a process, before, at its peak and after."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.seen: dict[str, float] = {}

    def __enter__(self) -> None:
        now = self._now()
        self.seen = {"rss_before_mb": now, "rss_peak_mb": now, "rss_after_mb": now}
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.seen["rss_after_mb"] = self._now()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            self.seen["rss_peak_mb"] = max(self.seen["rss_peak_mb"], self._now())

    def _now(self) -> float:
        return float(self._process.memory_info().rss) / MEGABYTE

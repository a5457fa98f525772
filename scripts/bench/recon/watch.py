"""Watches a run from outside: when it changes phase, and what memory the service holds."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Thread

import asyncpg
import psutil

from scripts.bench.ledger.server import BenchError

LOOK_SECONDS = 0.02
SAMPLE_SECONDS = 0.05
RUN_SECONDS_MAX = 3_600
# The engine's phases under the names of the table.
PHASES = {"reading": "read", "ledger": "ledger", "matching": "match", "writing": "log"}
_LOOK = "SELECT status, phase, error FROM recon.runs WHERE run_id = $1"


@dataclass(slots=True)
class Watched:
    """Seconds from the request to the committed end, and of each phase."""

    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)


def watch_run(url: str, run_id: str, requested_at: float) -> Watched:
    """Return when the run has finished; `requested_at` is of time.perf_counter.

    Raises BenchError where it failed.
    """
    return asyncio.run(_watch(url, run_id, requested_at))


async def _watch(url: str, run_id: str, requested_at: float) -> Watched:
    watched = Watched()
    connection = await asyncpg.connect(url)
    phase, since = "", requested_at
    try:
        while True:
            row = await connection.fetchrow(_LOOK, run_id)
            now = time.perf_counter()
            if row["status"] == "failed":
                raise BenchError(f"The run failed: {row['error']}")
            shown = PHASES.get(row["phase"] or "", "")
            if shown != phase:
                if phase:
                    watched.phases[phase] = now - since
                    since = now
                phase = shown  # the first one counts from the request: it includes the queue
            if row["status"] == "finished":
                watched.seconds = now - requested_at
                return watched
            if now - requested_at > RUN_SECONDS_MAX:
                raise BenchError(f"The run did not end within {RUN_SECONDS_MAX} seconds.")
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await connection.close()


class Memory:
    """Samples the memory of a process and all that it started while the context is open.

    `peak_mb` is the highest sum of resident memory: shared libraries count once per process.
    """

    def __init__(self, pid: int) -> None:
        self.peak_mb = 0.0
        self._root = psutil.Process(pid)
        self._ended = Event()
        self._thread = Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            total = 0
            for process in [self._root, *self._root.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    total += process.memory_info().rss
            self.peak_mb = max(self.peak_mb, total / 2**20)

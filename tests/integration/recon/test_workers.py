"""Worker processes: none outlives its parent, and one that dies costs no run."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from recon_service.domain.summary import Summary
from recon_service.engine import ReconEngine
from recon_service.runner import execute
from shared.workers import Workers
from tests.integration.recon.books import Books
from tests.integration.recon.test_leases import claimed
from tests.live import ROOT

END_SECONDS_MAX = 20
_Result = TypeVar("_Result")
PARENT = """
import asyncio, os
from shared.workers import Workers

async def main():
    print(await Workers(1)(os.getpid), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_worker_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        try:
            # The output ends when nobody is left who could write to it.
            assert parent.communicate(timeout=END_SECONDS_MAX) == ("", None)
        finally:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


class DiesOnce:
    """Workers of which the first dies at its work."""

    def __init__(self) -> None:
        self.deaths = 0

    async def __call__(self, work: Callable[..., _Result], *arguments: object) -> _Result:
        """Return what `work` returns, but not the first time."""
        if self.deaths == 0:
            self.deaths += 1
            workers = Workers(1)
            try:
                await workers(os._exit, 1)
            finally:
                workers.close()
        return await asyncio.to_thread(work, *arguments)


async def test_a_worker_that_dies_costs_no_run(books: Books) -> None:
    held = await claimed(books)
    engine: ReconEngine = books.app.state.resources.engine
    offload = DiesOnce()
    outcome = await execute(replace(engine, offload=offload), held, lease_seconds=60)
    assert isinstance(outcome, Summary)
    assert (outcome.document["exact"], offload.deaths) == (1, 1)

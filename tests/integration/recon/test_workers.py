"""Worker processes: none outlives its parent, and one that dies costs no run."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

from tests.live import ROOT

END_SECONDS_MAX = 20
PARENT = """
import asyncio, os
from recon_service.workers import Workers

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

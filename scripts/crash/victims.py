"""What a crash run kills and starts again: a durable PostgreSQL and the ledger's processes."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import asyncpg
import psutil
from sqlalchemy.engine import make_url

from migrations.prepare import prepare_database
from scripts.lean_http import LeanClient
from shared import embedded_postgres
from shared.stack_files import PROJECT_ROOT

READY_SECONDS_MAX = 60.0
POLL_SECONDS = 0.02
LOG_CHARS_SHOWN = 2_000
CATCHES_TRIED_MAX = 300
_COMMITTERS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'kairon ledger committer'"
_END_COMMITTERS = f"SELECT count(pg_terminate_backend(pid)) FROM ({_COMMITTERS})"  # noqa: S608
_WAITS_FOR_LOG = "SELECT coalesce(wait_event ILIKE 'wal%', false) FROM pg_stat_get_activity($1)"


class Victims:
    """A PostgreSQL with fsync on below `folder` and `services` ledger processes on it."""

    def __init__(self, folder: Path, *, services: int, settings: Mapping[str, str]) -> None:
        self.log = folder / "ledger.log"
        self.ports = _free_ports(services)
        self.admin_url = ""
        self._folder = folder
        self._settings = dict(settings)
        self._services: list[subprocess.Popen[bytes] | None] = [None] * services

    async def start(self) -> None:
        """Make the database and start everything."""
        await asyncio.to_thread(self._prepare)
        await self.revive()

    async def revive(self) -> None:
        """Start what does not run, and wait until every process answers that it is ready."""
        await asyncio.to_thread(embedded_postgres.start, self._folder)
        for number, process in enumerate(self._services):
            if process is None:
                self._services[number] = self._launch(self.ports[number])
        await asyncio.gather(*map(self._wait_until_ready, range(len(self.ports))))

    def kill_service(self, number: int) -> None:
        process = self._services[number]
        if process is not None:
            process.kill()
            process.wait()
            self._services[number] = None

    def kill_services(self) -> None:
        for number in range(len(self.ports)):
            self.kill_service(number)

    async def kill_postgres(self, *, at_commit: bool) -> bool:
        """Kill PostgreSQL; say whether it was caught `at_commit`, if that was asked for.

        A session that waits for its log to be flushed has written its commit and not yet said so:
        killed there, nobody was told of what the books will hold.
        """
        administrator = await asyncpg.connect(self.admin_url)
        try:
            is_caught = at_commit and await _catch_at_commit(administrator)
            await asyncio.to_thread(self._kill_postgres)
        finally:
            administrator.terminate()
        return is_caught

    def _kill_postgres(self) -> None:
        """Kill the postmaster and all its children at once, as a machine's end would.

        Each child leads a process group of its own, so they are killed one by one, while the
        postmaster stands still: it must not see them die and bring others up.
        """
        text = (self._folder / "postgres" / "postmaster.pid").read_text(encoding="utf-8")
        postmaster = psutil.Process(int(text.splitlines()[0]))
        postmaster.send_signal(signal.SIGSTOP)
        doomed = [*postmaster.children(recursive=True), postmaster]
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        while any(map(_is_alive, doomed)):
            time.sleep(POLL_SECONDS)

    async def end_committers(self, pauses_seconds: Iterable[float]) -> int:
        """Let PostgreSQL end the sessions that commit, after each pause; say how many it ended."""
        administrator, ended = await asyncpg.connect(self.admin_url), 0
        try:
            for pause_seconds in pauses_seconds:
                await asyncio.sleep(pause_seconds)
                ended += await administrator.fetchval(_END_COMMITTERS)
        finally:
            await administrator.close()
        return ended

    async def administer(self, *statements: str) -> None:
        """Execute statements, each on its own, as the administrator."""
        administrator = await asyncpg.connect(self.admin_url)
        try:
            for statement in statements:
                await administrator.execute(statement)
        finally:
            await administrator.close()

    def end(self) -> None:
        """Kill the services and delete the database."""
        self.kill_services()
        embedded_postgres.remove(self._folder)

    def _prepare(self) -> None:
        self.admin_url = embedded_postgres.start(self._folder).admin_url
        password = secrets.token_urlsafe(24)
        prepare_database(self.admin_url, ledger_password=password)
        url = make_url(self.admin_url).set(username="ledger_app", password=password)
        self._settings["LEDGER_DATABASE_URL"] = url.render_as_string(hide_password=False)
        self._settings["KAIRON_DATA_DIR"] = str(self._folder)

    def _launch(self, port: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "uvicorn", "ledger_service.main:app"]
        command += ["--port", str(port), "--no-access-log"]
        with self.log.open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=PROJECT_ROOT,
                env=os.environ | self._settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C at the terminal is ours to handle
            )

    async def _wait_until_ready(self, number: int) -> None:
        client = LeanClient(self.ports[number], seconds_max=READY_SECONDS_MAX)
        give_up_at = time.monotonic() + READY_SECONDS_MAX
        while True:
            with suppress(ConnectionError):
                if (await client.get("/readyz")).status == 200:
                    client.close()
                    return
            process = self._services[number]
            code = process.poll() if process else None
            if code is not None or time.monotonic() > give_up_at:
                said = self.log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARS_SHOWN:]
                raise VictimLost(f"A ledger process does not get ready (exit {code}):\n{said}")
            await asyncio.sleep(POLL_SECONDS)


async def _catch_at_commit(administrator: asyncpg.Connection) -> bool:
    """Stop a committing session while it waits for its log, and leave it so; False if none was."""
    for _ in range(CATCHES_TRIED_MAX):
        for (pid,) in await administrator.fetch(f"{_COMMITTERS} AND state = 'active'"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                if await administrator.fetchval(_WAITS_FOR_LOG, pid):
                    return True
                os.kill(pid, signal.SIGCONT)
    return False


class VictimLost(Exception):
    """A ledger process did not come back, or ended by itself."""


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:  # all at once, so that no two are the same
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

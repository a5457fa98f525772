"""Service processes under measurement: the ledger's own, and a FastAPI app that does nothing."""

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from scripts.bench.ledger.options import child_environment
from scripts.bench.ledger.server import BenchError, BenchServer
from scripts.processes import Identity, Service, end_processes, start_service
from shared.stack_files import PROJECT_ROOT, StackFiles

READY_SECONDS_MAX = 60.0
ANCHOR = "scripts.bench.ledger.anchor:app"


@dataclass(frozen=True, slots=True)
class Running:
    """A service process that answers."""

    service: Service
    port: int
    database: str = ""


class Services:
    """Starts service processes, each on a port of its own, and ends them all."""

    def __init__(self, server: BenchServer) -> None:
        self._server = server
        self._running: list[Running] = []

    def start_ledger(self, database: str, count: int = 1) -> list[Running]:
        """Start `count` ledger processes on one database, as scripts/up starts them."""
        env = {"LEDGER_DATABASE_URL": self._server.url(database, as_service=True)}
        started = [
            self._start("ledger", database, f"{database}-{number}", env) for number in range(count)
        ]
        _wait_until_ready(started, "/readyz")
        return started

    def start_recon(self, database: str, ledger: Running, inbox: Path) -> Running:
        """Start the reconciliation service beside a ledger, with its default settings."""
        env = {
            "RECON_DATABASE_URL": self._server.recon_url(database),
            "RECON_LEDGER_URL": ledger.service.url,
            "RECON_INBOX": str(inbox),
            "RECON_NIGHTLY": "false",
        }
        started = self._start("recon", database, f"{database}-recon", env)
        _wait_until_ready([started], "/readyz")
        return started

    def _start(self, name: str, database: str, folder: str, env: dict[str, str]) -> Running:
        port = _free_port()
        root = self._server.data_dir / "services" / folder
        files = StackFiles(root)
        files.logs.mkdir(parents=True, exist_ok=True)
        env = env | {"KAIRON_DATA_DIR": str(root)}
        service = start_service(name, port=port, files=files, env=env)
        self._running.append(Running(service, port, database))
        return self._running[-1]

    def start_anchor(self) -> Running:
        """Start the app that does nothing on the same HTTP server."""
        port = _free_port()
        log = self._server.data_dir / "services" / "anchor.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "uvicorn", ANCHOR, "--no-access-log"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        with log.open("wb") as output:
            child = subprocess.Popen(
                command,
                cwd=PROJECT_ROOT,
                env=child_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running = Running(Service("anchor", f"http://127.0.0.1:{port}", log, child), port)
        self._running.append(running)
        _wait_until_ready([running], "/ready")
        return running

    def ports(self, database: str) -> list[int]:
        """Return the ports of the ledger processes on a database."""
        return [one.port for one in self._running if one.database == database]

    def pids(self, ports: Sequence[int]) -> list[int]:
        """Return the process ids of the services on these ports."""
        return [one.service.child.pid for one in self._running if one.port in ports]

    def stop(self, some: Sequence[Running] | None = None) -> None:
        """End these processes in good order, or all."""
        ending = list(self._running if some is None else some)
        alive = [one for one in ending if one.service.child.poll() is None]
        end_processes([Identity.of(one.service.child.pid) for one in alive])
        for one in ending:
            one.service.child.wait(timeout=READY_SECONDS_MAX)
            self._running.remove(one)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(started: Sequence[Running], path: str) -> None:
    give_up_at = time.monotonic() + READY_SECONDS_MAX
    with httpx.Client(timeout=5, trust_env=False) as client:
        for one in started:
            while not _answers(client, one.service.url + path):
                if one.service.child.poll() is not None or time.monotonic() > give_up_at:
                    raise BenchError(
                        f"The {one.service.name} service does not start: {_end_of(one.service.log)}"
                    )
                time.sleep(0.05)


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else f"its log {log} is empty"

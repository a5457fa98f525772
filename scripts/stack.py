"""`scripts/up` and `scripts/down`: PostgreSQL, both services and the demo as one stack."""

import argparse
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

if __package__ in (None, ""):  # run as `python scripts/stack.py`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from shared.environment import use_project_environment

    use_project_environment()

import httpx
from dotenv import dotenv_values
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from migrations.prepare import DatabaseNotReady, prepare_database
from scripts.demo import run_demo
from scripts.processes import (
    STACK_STOP_SECONDS_MAX,
    Identity,
    Interrupted,
    Interruption,
    Service,
    StackError,
    StackLock,
    State,
    end_processes,
    require_free_port,
    start_service,
)
from shared import embedded_postgres
from shared.embedded_postgres import EmbeddedPostgresError
from shared.stack_files import (
    PROJECT_ROOT,
    StackFiles,
    read_environment,
    stack_files,
    write_environment,
)

CLEAN, DEMO_FAILED, INFRASTRUCTURE = 0, 1, 3
READY_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    files: StackFiles
    demo: bool
    ports: dict[str, int]


def main() -> int:
    parser = _parser()
    arguments = parser.parse_args()
    files = stack_files(arguments.data_dir)
    if arguments.command == "down":
        return _plainly(lambda: down(files), files)
    ports = {"ledger": arguments.ledger_port, "recon": arguments.recon_port}
    if ports["ledger"] == ports["recon"]:
        parser.error("the two services need two ports")
    options = Options(files, demo=arguments.demo, ports=ports)
    if arguments.detach:
        return _up_detached(options)
    return _plainly(lambda: up(options), files)


def up(options: Options, *, ready_pipe: int | None = None) -> int:
    """Start the stack and stay with it until Ctrl-C, SIGTERM or the end of a service.

    lock -> PostgreSQL -> roles and migrations -> services -> /readyz -> demo -> account -> wait
    and back: services, then PostgreSQL
    """
    files, interruption, lock = options.files, Interruption(), StackLock(options.files)
    running = _take_or_find_running(lock, files, interruption)
    if running:
        print(f"The stack is running already.\n\n{_account(files, running)}")
        return CLEAN
    state = State(phase="starting", supervisor=Identity.of(os.getpid()))
    services: list[Service] = []
    try:
        _end_leftovers(files)
        for name, port in options.ports.items():
            require_free_port(port, option=f"--{name}-port")
        state.save(files)
        environment = _prepare(options)
        for name, port in options.ports.items():
            service = start_service(name, port=port, files=files, env=environment)
            services.append(service)
            state.services[name] = Identity.of(service.child.pid)
            state.urls[name] = service.url
            state.save(files)
        _wait_until_ready(services, interruption)
        demo_failed = options.demo and not run_demo(files, state.urls, interruption)
        state.phase = "ready"
        state.save(files)
        with suppress(BrokenPipeError):  # whoever read our output needs no more of it
            print(_account(files, state), flush=True)
        if ready_pipe is not None:
            _let_go(ready_pipe, files, code=DEMO_FAILED if demo_failed else CLEAN)
        _stay(services, files, interruption)
    except Interrupted:
        return CLEAN
    finally:
        _shut_down(files, state)
        lock.release()


def down(files: StackFiles) -> int:
    """Stop the stack of a data directory, also what a crash left of it."""
    if not files.root.is_dir():
        print("Nothing is running.")
        return CLEAN
    lock = StackLock(files)
    if lock.take():
        ended = _end_leftovers(files)
        print("Stopped what a crash had left running." if ended else "Nothing is running.")
        lock.release()
        return CLEAN
    state = State.load(files)
    supervisor = state.supervisor.process() if state else None
    if supervisor:
        supervisor.send_signal(signal.SIGTERM)
    give_up_at = time.monotonic() + STACK_STOP_SECONDS_MAX
    while not lock.take():
        if time.monotonic() > give_up_at:
            raise StackError(f"The stack does not stop; its logs are in {files.logs}.")
        time.sleep(0.05)
    lock.release()
    print("Stopped.")
    return CLEAN


# Starting.


def _up_detached(options: Options) -> int:
    """Run `up` in a process of its own; return its exit code, 0 as soon as it is ready."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        code = _plainly(lambda: up(options, ready_pipe=writer), options.files)
        sys.stdout.flush()
        with suppress(OSError):  # closed once the stack was ready
            os.write(writer, bytes([code]))
        os._exit(code)
    os.close(writer)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os.kill(child, signal.SIGTERM))
    said = os.read(reader, 1)
    return said[0] if said else INFRASTRUCTURE


def _let_go(ready_pipe: int, files: StackFiles, *, code: int) -> None:
    """Tell the waiting `up --detach` that we are ready, and leave its terminal to it."""
    sys.stdout.flush()
    with files.log("stack").open("ab") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    os.write(ready_pipe, bytes([code]))
    os.close(ready_pipe)


def _take_or_find_running(
    lock: StackLock, files: StackFiles, interruption: Interruption
) -> State | None:
    """Take the lock, or return the stack that runs; wait while that is starting or stopping."""
    give_up_at = time.monotonic() + STACK_STOP_SECONDS_MAX
    while not lock.take():
        state = State.load(files)
        if state and state.phase == "ready" and state.supervisor.process():
            return state
        if time.monotonic() > give_up_at:
            raise StackError(f"Another scripts/up is still starting or stopping in {files.root}.")
        interruption.pause()
    return None


def _prepare(options: Options) -> dict[str, str]:
    """Make the database ready, write `stack.env` and return what the services are told."""
    files = options.files
    files.logs.mkdir(parents=True, exist_ok=True)
    saved = read_environment(files)
    given = {name: value for name, value in dotenv_values(PROJECT_ROOT / ".env").items() if value}
    given |= {name: value for name, value in os.environ.items() if value}
    is_embedded = "DATABASE_URL" not in given
    if is_embedded:
        admin_url = embedded_postgres.start(files.root).admin_url
        given = {}  # the services' URLs of the user lead to a server of the user's
    else:
        admin_url = given["DATABASE_URL"]
    names = {service: f"{service.upper()}_DATABASE_URL" for service in options.ports}
    passwords = {
        service: _password(given.get(name) or saved.get(name)) or secrets.token_urlsafe(24)
        for service, name in names.items()
    }
    prepare_database(
        admin_url, ledger_password=passwords["ledger"], recon_password=passwords["recon"]
    )
    urls = {service: f"http://127.0.0.1:{port}" for service, port in options.ports.items()}
    environment = {
        name: given.get(name) or _service_url(admin_url, service, passwords[service])
        for service, name in names.items()
    }
    environment["RECON_LEDGER_URL"] = urls["ledger"]
    environment |= {"LEDGER_URL": urls["ledger"], "RECON_URL": urls["recon"]}
    write_environment(files, ({"DATABASE_URL": admin_url} if is_embedded else {}) | environment)
    return environment | {"KAIRON_DATA_DIR": str(files.root)}


def _service_url(admin_url: str, service: str, password: str) -> str:
    url = make_url(admin_url).set(username=f"{service}_app", password=password)
    return url.render_as_string(hide_password=False)


def _password(url: str | None) -> str | None:
    try:
        return make_url(url).password if url else None
    except (ArgumentError, ValueError) as error:
        raise StackError("A service's database URL is not of the form postgresql://…") from error


def _wait_until_ready(services: list[Service], interruption: Interruption) -> None:
    give_up_at = time.monotonic() + READY_SECONDS_MAX
    with httpx.Client(timeout=5) as client:
        for service in services:
            while not _is_ready(client, service):
                service.require_alive()
                if time.monotonic() > give_up_at:
                    raise StackError(
                        f"The {service.name} service does not get ready; its log is {service.log}."
                    )
                interruption.pause()


def _is_ready(client: httpx.Client, service: Service) -> bool:
    try:
        return client.get(f"{service.url}/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _stay(services: list[Service], files: StackFiles, interruption: Interruption) -> NoReturn:
    """Wait for the user to ask for the end; raise StackError if a part of the stack ends first."""
    has_server = embedded_postgres.is_running(files.root)
    while True:
        interruption.pause(0.2)
        for service in services:
            service.require_alive()
        if has_server and not embedded_postgres.is_running(files.root):
            log = files.root / "postgres" / "postgres.log"
            raise StackError(f"PostgreSQL ended; its log is {log}.")


# Ending.


def _shut_down(files: StackFiles, state: State) -> None:
    if State.load(files):
        state.phase = "stopping"
        state.save(files)
    end_processes(state.services.values())
    embedded_postgres.stop(files.root)
    files.state.unlink(missing_ok=True)


def _end_leftovers(files: StackFiles) -> bool:
    """End what a supervisor that was killed left running; say whether there was anything."""
    state = State.load(files)
    left = [one for one in state.services.values() if one.process()] if state else []
    end_processes(left)
    files.state.unlink(missing_ok=True)
    return embedded_postgres.stop(files.root) or bool(left)


# Talking.


def _plainly(work: Callable[[], int], files: StackFiles) -> int:
    """Do the work; what a person can mend is said in a sentence, with exit code 3."""
    try:
        return work()
    except Interrupted:
        return CLEAN
    except (StackError, EmbeddedPostgresError, DatabaseNotReady) as error:
        print(error, file=sys.stderr, flush=True)
    except OSError as error:
        place = f" {error.filename}:" if error.filename else ""
        print(
            f"The data directory {files.root} cannot be used:{place} {error.strerror}.",
            file=sys.stderr,
            flush=True,
        )
    return INFRASTRUCTURE


def _account(files: StackFiles, state: State) -> str:
    lines = ["Kairon is running.", ""]
    for name, url in state.urls.items():
        lines.append(f"  {name:<10}{url}    {url}/docs    {files.log(name)}")
    lines += [
        f"  {'settings':<10}{files.environment}    (database and service URLs)",
        "",
        "Ctrl-C in its terminal or scripts/down stops it.",
    ]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    where: dict[str, Any] = {
        "metavar": "FOLDER",
        "help": "default: KAIRON_DATA_DIR, else .kairon in the checkout",
    }
    starting = commands.add_parser(
        "up", prog="scripts/up", help="start everything and stay with it"
    )
    starting.add_argument("--detach", action="store_true", help="return when all is ready")
    starting.add_argument("--no-demo", "--no_demo", action="store_false", dest="demo")
    for name, port in (("ledger", 8000), ("recon", 8001)):
        starting.add_argument(
            f"--{name}-port", f"--{name}_port", type=_port, default=port, metavar="PORT"
        )
    stopping = commands.add_parser("down", prog="scripts/down", help="stop everything")
    for command in (starting, stopping):
        command.add_argument("--data-dir", "--data_dir", **where)
    return parser


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (1 to 65535)")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

"""The Dockerfile and docker-compose.yml say what the services really need (read as text)."""

import re
import shlex
import tomllib
from typing import Any

import pytest
import yaml

from migrations.__main__ import main as migrate
from tests.architecture.settings_names import names_read_by_code, settings_fields
from tests.architecture.source import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
PORTS = {"ledger": 8000, "recon": 8001}
IMAGE_VARIABLES = {"POSTGRES_DB", "POSTGRES_PASSWORD", "POSTGRES_INITDB_ARGS"}


def _instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions as (name, rest), continued lines joined, comments dropped."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def test_postgres_is_healthy_before_the_migrations_and_these_are_done_before_the_services() -> None:
    healthy, done = "service_healthy", "service_completed_successfully"
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
    }
    assert waits == {
        "postgres": {},
        "migrate": {"postgres": healthy},
        "ledger": {"postgres": healthy, "migrate": done},
        "recon": {"postgres": healthy, "migrate": done, "ledger": healthy},
    }


def test_what_is_waited_for_has_a_healthcheck_and_none_needs_a_shell() -> None:
    for name in ("postgres", *PORTS):
        check = SERVICES[name]["healthcheck"]
        assert check["test"][0] == "CMD", name
        assert {"interval", "timeout", "retries"} <= check.keys(), name
    for name, port in PORTS.items():
        assert f"http://127.0.0.1:{port}/readyz" in SERVICES[name]["healthcheck"]["test"][-1]


def test_the_migration_job_runs_once() -> None:
    job = SERVICES["migrate"]
    assert job["command"] == ["python", "-m", "migrations", "upgrade"]
    assert job["restart"] == "no"
    assert "ports" not in job


def test_that_command_exists(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [*SERVICES["migrate"]["command"][2:], "--help"])
    with pytest.raises(SystemExit) as ended:
        migrate()
    assert ended.value.code == 0
    assert "python -m migrations upgrade" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "port"), PORTS.items())
def test_each_service_listens_in_its_container_and_is_published_to_this_machine_only(
    name: str, port: int
) -> None:
    service = SERVICES[name]
    command = " ".join(service["command"])
    assert command.startswith(f"uvicorn {name}_service.main:app ")
    assert f"--host 0.0.0.0 --port {port}" in command
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_nothing_else_is_published() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == set(PORTS)


def test_every_container_is_confined() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not {"privileged", "network_mode", "pid"} & service.keys(), name
    assert all(SERVICES[name]["init"] is True for name in ("migrate", *PORTS))


def test_images_are_pinned_to_a_version() -> None:
    images = [service["image"] for service in SERVICES.values()]
    images += [rest.split()[0] for name, rest in _instructions() if name == "FROM"]
    for image in images:
        assert re.fullmatch(r"[a-z/.-]+:\d[\w.-]*", image), image
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"kairon:{version}" in images


def test_what_the_containers_are_told_is_a_setting() -> None:
    known = settings_fields() | names_read_by_code() | IMAGE_VARIABLES
    told = {key for service in SERVICES.values() for key in service.get("environment", {})}
    assert not told - known
    assert {"LEDGER_DATABASE_URL", "RECON_DATABASE_URL", "RECON_LEDGER_URL"} <= told


def test_only_the_migrations_know_the_administrator() -> None:
    told = {name: str(service.get("environment", {})) for name, service in SERVICES.items()}
    holders = {name for name, text in told.items() if "KAIRON_ADMIN_PASSWORD" in text}
    assert holders == {"postgres", "migrate"}
    assert "RECON_PASSWORD" not in told["ledger"]
    assert "LEDGER_PASSWORD" not in told["recon"]


def test_default_passwords_say_that_they_are_for_development() -> None:
    defaults = re.findall(
        r"\$\{(\w+PASSWORD):-([^}]*)\}", (ROOT / "docker-compose.yml").read_text()
    )
    assert len(defaults) >= 3
    assert all(value.startswith("dev-only-") for _, value in defaults)


def test_the_inbox_is_mounted_read_only_and_what_is_written_lies_in_volumes() -> None:
    inbox = SERVICES["recon"]["environment"]["RECON_INBOX"]
    assert f"./data:{inbox}:ro" in SERVICES["recon"]["volumes"]
    written = [
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.endswith(":ro")
    ]
    assert sorted(written) == sorted(COMPOSE["volumes"])


def test_the_image_is_built_in_stages_and_runs_as_nobody_in_particular() -> None:
    instructions = _instructions()
    stages = [rest for name, rest in instructions if name == "FROM"]
    assert len(stages) == 2
    users = [rest for name, rest in instructions if name == "USER"]
    assert users
    assert users[-1].partition(":")[0] not in {"", "root", "0"}
    last = len(instructions) - [name for name, _ in reversed(instructions)].index("FROM")
    assert not [rest for name, rest in instructions[last:] if "uv sync" in rest]


def test_the_image_holds_what_is_locked_and_no_test_tools() -> None:
    syncs = [rest for name, rest in _instructions() if name == "RUN" and "uv sync" in rest]
    assert syncs
    for command in syncs:
        assert {"--locked", "--no-dev"} <= set(shlex.split(command)), command
        assert "--extra" not in command


def test_everything_that_is_copied_exists_and_reaches_the_build() -> None:
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copies = [rest for name, rest in _instructions() if name == "COPY" and "--from" not in rest]
    sources = {source for rest in copies for source in shlex.split(rest)[:-1]}
    assert sources == allowed
    for source in sources:
        assert (ROOT / source).exists(), source


def test_every_package_that_is_installed_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {one["include"] for one in project["tool"]["poetry"]["packages"]}
    copied = {source for name, rest in _instructions() if name == "COPY" for source in rest.split()}
    assert packages <= copied

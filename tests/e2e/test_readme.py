"""The README's tour, run as written on a stack that scripts/up started; only the ports differ."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared import embedded_postgres
from tests.live import ROOT, free_port

TOUR = re.compile(r"^## The tour\n(.*?)^## ", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
STACK = [sys.executable, str(ROOT / "scripts" / "stack.py")]


class Stack:
    """A stack of its own: ports, data directory, and the environment that its commands run in."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.ports = (free_port(), free_port())
        kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        self.environment = kept | {
            "KAIRON_DATA_DIR": str(data_dir),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "120",
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        ledger, recon = map(str, self.ports)
        return self.run(*STACK, "up", "--detach", "--ledger-port", ledger, "--recon-port", recon)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path / "data directory")
    yield stack
    stack.run(*STACK, "down")
    embedded_postgres.remove(stack.data_dir)


def test_up_the_tour_up_again_and_down(stack: Stack) -> None:
    started = stack.up()
    assert started.returncode == 0, started.stdout + started.stderr
    assert re.search(r"exact\W+2\b", started.stdout), started.stdout
    assert "0.87" in started.stdout

    tour = stack.run("bash", "-euo", "pipefail", "-c", _tour(stack.ports))
    assert tour.returncode == 0, tour.stdout + tour.stderr
    assert '"balance": "100.50"' in tour.stdout
    assert '"logs": []' in tour.stdout
    assert "0.87" in tour.stdout

    logs = httpx.get(
        f"http://127.0.0.1:{stack.ports[1]}/recon/logs",
        params={"source": "bank_csv", "date": "2025-07-13"},
    ).json()["logs"]
    assert [(row["match_type"], row["decision"], round(row["score"], 2)) for row in logs] == [
        ("exact", "auto", 1.0),
        ("exact", "auto", 1.0),
        ("fuzzy", "auto", 0.87),
    ]

    again = stack.up()
    assert again.returncode == 0, again.stdout + again.stderr
    assert "running" in again.stdout

    stopped = stack.run(*STACK, "down")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{stack.ports[0]}/livez")


def _tour(ports: tuple[int, int]) -> str:
    section = TOUR.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert section is not None
    blocks = BLOCK.findall(section.group(1))
    assert len(blocks) >= 5
    text = "\n".join(blocks)
    assert ":8000" in text
    assert ":8001" in text
    return text.replace(":8000", f":{ports[0]}").replace(":8001", f":{ports[1]}")

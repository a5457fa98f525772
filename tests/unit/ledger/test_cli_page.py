"""The command line of the ledger: quick to begin, and docs/cli.md lists what there is of it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from typer.main import get_command

from ledger_service.cli import LATER, app
from tests.live import ROOT

ROW = re.compile(r"^\| `ledger ([a-z -]+)` \|", re.MULTILINE)


def test_the_page_lists_every_command() -> None:
    listed = ROW.findall((ROOT / "docs" / "cli.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(commands(get_command(app)))


def test_every_command_of_an_area_that_is_imported_later_is_known_by_its_name() -> None:
    for area in set(LATER.values()):
        group: Any = get_command(import_module(f"ledger_service.{area}").app)
        assert sorted(group.commands) == sorted(name for name in LATER if LATER[name] == area)


def test_commands_that_only_ask_the_service_do_not_wait_for_the_databases_libraries() -> None:
    heavy = "{'asyncpg', 'cryptography', 'fastapi', 'sqlalchemy', 'polars'}"
    code = f"import sys, ledger_service.cli; print(*sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def commands(group: Any, before: str = "") -> Iterator[str]:
    """Yield the names of all commands, those of groups behind the group's."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield before + name

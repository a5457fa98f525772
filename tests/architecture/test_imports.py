"""Imports point inward, and what decides neither reads nor guesses (the rules: .importlinter)."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source import PURE, ROOT, Module, modules

IMPURE_MODULES = {"asyncio", "os", "random", "secrets", "socket", "subprocess", "threading", "time"}
IMPURE_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "uuid6", "uuid7", "open", "print"}


def test_every_import_contract_is_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run(
        [linter, "--no-logo", "--no-cache", "--config", ROOT / ".importlinter"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert " 0 broken" in found.stdout


def test_pure_code_imports_no_clock_no_chance_and_no_io() -> None:
    found = [
        f"{module.at(node)} imports {name}"
        for module in modules(*PURE)
        for node in ast.walk(module.tree)
        for name in _imported(node)
        if name.partition(".")[0] in IMPURE_MODULES
    ]
    assert not found, "\n".join(found)


def test_pure_code_calls_no_clock_no_chance_and_no_io() -> None:
    found = [place for module in modules(*PURE) for place in _impure_calls(module)]
    assert not found, "\n".join(found)


def test_an_impure_call_would_be_found() -> None:
    text = "from datetime import datetime\n\n\ndef age() -> datetime:\n    return datetime.now()\n"
    module = Module(Path("sample.py"), text, ast.parse(text))
    assert list(_impure_calls(module)) == ["sample.py:5 calls now"]


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return []


def _impure_calls(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in IMPURE_CALLS:
                yield f"{module.at(node)} calls {name}"

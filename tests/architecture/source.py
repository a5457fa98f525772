"""The project's own source as parsed modules, for the tests that judge its form."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("ledger_service", "recon_service")
PACKAGES = (*SERVICES, "shared", "migrations", "scripts")
PURE = (
    "ledger_service/domain",
    "recon_service/domain",
    "recon_service/matchers",
    "recon_service/explanations",
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file: its path from the project's root, its text and its syntax tree."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return self.path.as_posix()

    def functions(self) -> Iterator[Function]:
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node

    def at(self, node: ast.stmt | ast.expr | ast.arg) -> str:
        """Return where `node` stands as `path:line`, which editors can open."""
        return f"{self.name}:{node.lineno}"


def modules(*folders: str) -> list[Module]:
    """The Python files below `folders`, in the order of their paths; never none."""
    found = [_parse(path) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found, f"there is no Python file below {', '.join(folders)}"
    return found


@cache
def _parse(path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    return Module(path.relative_to(ROOT), text, ast.parse(text, filename=str(path)))

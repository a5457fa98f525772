"""Lets a program that is run as a plain file find the project and its installed dependencies.

Such a program begins, before any other import of ours or of a package, with

    if __package__ in (None, ""):  # run as `python folder/program.py`
        sys.path[0] = str(Path(__file__).resolve().parent.parent)
        from shared.environment import use_project_environment

        use_project_environment()
"""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Sequence  # noqa: UP035 - this file must load in a Python older than ours

PROJECT_ROOT = Path(__file__).resolve().parent.parent
PYTHON_MIN = (3, 11)
NEEDED = ("alembic", "asyncpg", "httpx", "psutil", "pydantic_settings", "sqlalchemy", "typer")
INFRASTRUCTURE = 3


def use_project_environment(needed: Sequence[str] = NEEDED) -> None:
    """Go on in this Python if it has what we need, else start again in that of `.venv`.

    Exits with 3 and a sentence where neither will do.
    """
    complete = all(importlib.util.find_spec(name) for name in needed)
    if sys.version_info >= PYTHON_MIN and complete:
        return
    python = PROJECT_ROOT / ".venv" / "bin" / "python"
    if python.exists() and Path(sys.prefix).resolve() != python.parent.parent.resolve():
        os.execv(python, [str(python), *_arguments()])  # noqa: S606 - a list of our own
    print("Run scripts/up first, it sets up the environment.", file=sys.stderr)  # noqa: T201
    raise SystemExit(INFRASTRUCTURE)


def _arguments() -> Sequence[str]:
    return getattr(sys, "orig_argv", ["", *sys.argv])[1:]

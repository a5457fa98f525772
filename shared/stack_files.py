"""The layout of the data directory: where a running stack leaves what others need to find it."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent


def data_dir(explicit: str | Path | None = None) -> Path:
    """The data directory: the caller's own choice, else KAIRON_DATA_DIR, else `.kairon`.

    `.kairon` lies in the checkout, or in the current folder where Kairon is an installed package.
    """
    chosen = explicit or os.environ.get("KAIRON_DATA_DIR")
    if chosen:
        return Path(chosen).expanduser().resolve()
    is_checkout = (PROJECT_ROOT / "pyproject.toml").is_file()
    return (PROJECT_ROOT if is_checkout else Path.cwd()) / ".kairon"


def stack_env_path(root: Path) -> Path:
    """KEY=value lines with the database and service URLs; readable by its owner only."""
    return root / "stack.env"


@dataclass(frozen=True, slots=True)
class StackFiles:
    """Names of the files in one data directory."""

    root: Path

    @property
    def environment(self) -> Path:
        return stack_env_path(self.root)

    @property
    def state(self) -> Path:
        """Which processes make up the running stack (JSON); absent when nothing runs."""
        return self.root / "stack.json"

    @property
    def lock(self) -> Path:
        """Held by whoever starts or stops the stack."""
        return self.root / "stack.lock"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def log(self, service: str) -> Path:
        return self.logs / f"{service}.log"


def stack_files(explicit: str | Path | None = None) -> StackFiles:
    """The files of the data directory that `data_dir` chooses."""
    return StackFiles(data_dir(explicit))


def read_environment(files: StackFiles) -> dict[str, str]:
    """What `stack.env` says, in its order; empty where no stack has been set up yet."""
    try:
        lines = files.environment.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def write_environment(files: StackFiles, values: Mapping[str, str]) -> None:
    """Replace `stack.env` in one step, readable by its owner only: it holds passwords."""
    text = "# Written by scripts/up: how to reach the running stack.\n"
    text += "".join(f"{name}={value}\n" for name, value in values.items())
    replace_private_file(files.environment, text)


def replace_private_file(path: Path, text: str) -> None:
    """Write a file that only its owner may read; a reader sees the old or the new, never half."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

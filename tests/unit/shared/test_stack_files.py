"""The data directory: which one is chosen, and files that hold passwords."""

import stat
from pathlib import Path

import pytest

from shared.stack_files import (
    PROJECT_ROOT,
    StackFiles,
    data_dir,
    read_environment,
    write_environment,
)


def test_the_callers_choice_wins_over_the_variable_and_that_over_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAIRON_DATA_DIR", raising=False)
    assert data_dir() == PROJECT_ROOT / ".kairon"
    monkeypatch.setenv("KAIRON_DATA_DIR", str(tmp_path / "variable"))
    assert data_dir() == tmp_path / "variable"
    assert data_dir(tmp_path / "chosen") == tmp_path / "chosen"


def test_what_was_written_is_read_again_by_its_owner_only(tmp_path: Path) -> None:
    files = StackFiles(tmp_path)
    assert read_environment(files) == {}
    values = {"LEDGER_DATABASE_URL": "postgresql://a:b=c#d@h/x?y=z", "EMPTY": ""}
    write_environment(files, {"OLD": "gone"})
    write_environment(files, values)
    assert read_environment(files) == values
    assert stat.S_IMODE(files.environment.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["stack.env"]

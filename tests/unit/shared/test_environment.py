"""A program run as a plain file finds the project, its environment, or says what to do."""

import shutil
import subprocess
import sys
from pathlib import Path

from shared.stack_files import PROJECT_ROOT

PROGRAM = """
import sys
from pathlib import Path
if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from shared.environment import use_project_environment
    use_project_environment({needed})
print(sys.argv[1:], sys.prefix == {prefix!r})
"""


def test_it_goes_on_where_everything_is_installed(tmp_path: Path) -> None:
    said = _run(tmp_path, needed="['json']", prefix=sys.prefix)
    assert (said.returncode, said.stdout) == (0, "['one', '--two'] True\n"), said.stderr


def test_it_starts_again_in_the_environment_with_the_same_arguments(tmp_path: Path) -> None:
    prefix = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    site = next(prefix.glob("lib/python*/site-packages"))
    (site / "only_here.py").write_text("")
    said = _run(tmp_path, needed="['only_here']", prefix=str(prefix))
    assert (said.returncode, said.stdout) == (0, "['one', '--two'] True\n"), said.stderr


def test_it_says_what_to_do_where_there_is_no_environment(tmp_path: Path) -> None:
    said = _run(tmp_path, needed="['not_to_be_found']", prefix="")
    assert (said.returncode, said.stdout) == (3, "")
    assert said.stderr == "Run scripts/up first, it sets up the environment.\n"


def _run(project: Path, *, needed: str, prefix: str) -> subprocess.CompletedProcess[str]:
    """Run a program below `folder/` of a project that holds only what the first lines need."""
    for folder in ("shared", "folder"):
        (project / folder).mkdir()
    for name in ("__init__.py", "environment.py"):
        shutil.copy(PROJECT_ROOT / "shared" / name, project / "shared")
    program = project / "folder" / "program.py"
    program.write_text(PROGRAM.format(needed=needed, prefix=prefix))
    command = [sys.executable, str(program), "one", "--two"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")

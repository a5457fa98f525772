"""What the documents point at exists, and the README's tour needs nothing but bash and curl."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#]+)")
QUOTED_PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]+|(?:[\w.-]+/){2,})`")
OF_A_RUNNING_STACK = {".kairon/stack.env"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_path_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = [link for link in LINK.findall(text) if "://" not in link]
    missing = [link for link in links if not (document.parent / link).exists()]
    paths = set(QUOTED_PATH.findall(text)) - OF_A_RUNNING_STACK
    missing += [path for path in sorted(paths) if not (ROOT / path).exists()]
    assert not missing, f"{document.name} names {', '.join(missing)}"


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in folder.glob("0*.md")}


def test_the_tour_is_bash_that_calls_what_everybody_has() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tour = readme.partition("## The tour")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```bash\n(.*?)^```", tour, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    bash = shutil.which("bash")
    assert bash is not None
    checked = subprocess.run([bash, "-n"], input="".join(blocks), text=True, check=False)
    assert checked.returncode == 0
    assert not re.search(r"\b(jq|wget|docker|psql)\b", "".join(blocks))

"""The pages about the ledger: their examples, run as written, each page on books of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import ROOT, live_service
from tests.postgres import TestDatabases

LEDGER = "ledger_service.main"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = sorted(
    page
    for page in (ROOT / "docs").glob("*.md")
    if "$LEDGER" in "".join(BLOCK.findall(page.read_text(encoding="utf-8")))
)


def test_there_are_pages_with_examples() -> None:
    assert len(PAGES) >= 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run_in_their_order(
    page: Path, databases: TestDatabases, tmp_path: Path
) -> None:
    """A block that fails, or an answer that is an error where none is announced, fails the page.

    Commands whose answer is a refusal say so by `curl -s`; the others use `curl -sf`.
    """
    script = "\n".join(BLOCK.findall(page.read_text(encoding="utf-8")))
    environment = {
        "LEDGER_DATABASE_URL": databases.ledger_url,
        "DATABASE_URL": databases.admin_url,
        "KAIRON_DATA_DIR": str(tmp_path),
        "LEDGER_WEBHOOK_PRIVATE": "true",
        "LEDGER_SEAL_SECONDS": "0.2",
    }
    with live_service(LEDGER, environment, tmp_path / "log") as (url, _):
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT,
            env=os.environ
            | environment
            | {
                "LEDGER": url,
                "LEDGER_URL": url,
                "FILES": str(tmp_path),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "COLUMNS": "120",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert ran.returncode == 0, f"{ran.stdout[-3_000:]}\n{ran.stderr[-3_000:]}"

"""The demo that scripts/up runs: seed the books, reconcile a statement, print the summary."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from scripts.processes import Interruption, StackError
from shared.stack_files import PROJECT_ROOT, StackFiles

DEMO_SOURCE, DEMO_DATE = "bank_csv", "2025-07-13"
DEMO_SECONDS_MAX = 120.0


def run_demo(files: StackFiles, urls: dict[str, str], interruption: Interruption) -> bool:
    """Seed the demo books, reconcile the demo statement and print both; False if that failed."""
    seed = [sys.executable, str(PROJECT_ROOT / "scripts" / "seed_data.py"), "--demo"]
    child = subprocess.Popen(
        [*seed, "--data-dir", str(files.root)], stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while child.poll() is None:
            interruption.pause()
    finally:
        child.terminate()
        child.wait()
    if child.returncode:
        print("The demo books could not be seeded; the services run all the same.", file=sys.stderr)
        return False
    try:
        with httpx.Client(base_url=urls["recon"], timeout=DEMO_SECONDS_MAX) as recon:
            _reconcile_demo(recon, interruption)
    except (httpx.HTTPError, StackError) as error:
        print(f"The demo statement was not reconciled: {error}", file=sys.stderr)
        return False
    return True


def _reconcile_demo(recon: httpx.Client, interruption: Interruption) -> None:
    accepted = recon.post("/recon/run", json={"source": DEMO_SOURCE, "date": DEMO_DATE})
    accepted.raise_for_status()
    status_url = accepted.headers.get("Location") or accepted.json()["status_url"]
    give_up_at = time.monotonic() + DEMO_SECONDS_MAX
    while time.monotonic() < give_up_at:
        status = recon.get(status_url).raise_for_status().json()
        runs = status.get("runs", [status])
        if any(run["status"] == "failed" for run in runs):
            raise StackError(f"the run failed, see {recon.base_url.join(status_url)}")
        if all(run["status"] == "finished" for run in runs):
            break
        interruption.pause()
    else:
        raise StackError(f"the run did not finish within {DEMO_SECONDS_MAX:.0f} seconds")
    summary = recon.get(f"/recon/summary/{DEMO_DATE}", params={"source": DEMO_SOURCE})
    _print_summary(summary.raise_for_status().json())


def _print_summary(summary: dict[str, Any]) -> None:
    table = Table(title=f"{DEMO_SOURCE} of {DEMO_DATE}", show_header=False)
    for document in summary.get("summaries", [summary]):
        for name, value in _facts(document):
            table.add_row(name, value)
    Console().print(table)


def _facts(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The numbers and words of a document, each named by its way down to it."""
    for name, value in document.items():
        path = f"{prefix} {name}".replace("_", " ").strip()
        if isinstance(value, dict):
            yield from _facts(value, path)
        elif not isinstance(value, list):
            yield path, str(value)

"""The demo that scripts/up runs: seed the books, reconcile a statement, print the summary."""

import subprocess
import sys
import time
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
    """Reconcile the demo statement unless that was done before, and print the summary."""
    path = f"/recon/summary/{DEMO_DATE}?source={DEMO_SOURCE}"
    summary = recon.get(path)
    if summary.status_code == httpx.codes.NOT_FOUND:
        _run_once(recon, interruption)
        summary = recon.get(path)
    _print_summary(summary.raise_for_status().json())


def _run_once(recon: httpx.Client, interruption: Interruption) -> None:
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


def _print_summary(answer: dict[str, Any]) -> None:
    (summary,) = answer["summaries"]
    ledger = summary["ledger"]
    table = Table(title=f"{DEMO_SOURCE} of {DEMO_DATE}, attempt {summary['attempt']}")
    table.add_column("what became of each line")
    table.add_column("lines", justify="right")
    table.add_row("read from the statement", str(summary["lines"]))
    table.add_row("matched exact", str(summary["exact"]))
    table.add_row(f"matched fuzzy{_scores(summary['fuzzy_scores'])}", str(summary["fuzzy"]))
    for name in ("suggested", "unmatched", "already_reconciled", "rejected"):
        table.add_row(name.replace("_", " "), str(summary[name]))
    table.caption = (
        f"{ledger['read']} ledger transactions read, {ledger['matched']} matched; "
        f"every line accounted for: {'yes' if summary['equation']['proved'] else 'no'}"
    )
    Console().print(table)


def _scores(scores: dict[str, float | None]) -> str:
    lowest, highest = scores["lowest"], scores["highest"]
    if lowest is None or highest is None:
        return ""
    if f"{lowest:.2f}" == f"{highest:.2f}":
        return f" (score {lowest:.2f})"
    return f" (scores {lowest:.2f} to {highest:.2f})"

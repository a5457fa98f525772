"""Batches measured, and a ledger filled by them."""

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.bench.ledger.measure import Sample, cpu_seconds
from scripts.bench.ledger.server import BenchError, BenchServer, run_command
from shared.stack_files import PROJECT_ROOT

BATCH_TRANSFERS = 8_000
EVENTS_PER_TRANSFER = 2
NOT_FOUND = "404"


class NotServed(BenchError):
    """The ledger under measurement has no such route."""


def measure_batches(
    port: int, accounts: Path, batches: int, *, server: BenchServer, services: Sequence[int]
) -> Sample:
    """Post batches built beforehand; the rate counts transfers."""
    _run_client(port, accounts, 1)  # the first one starts the process that reads large batches
    before = cpu_seconds(server, services)
    said = _run_client(port, accounts, batches)
    after = cpu_seconds(server, services)
    sample = _sample(said)
    # the client's own CPU time includes the building before its clock starts: it is not told
    for name in ("cpu_service", "cpu_postgres"):
        sample.details[name] = (after[name] - before[name]) / said["seconds"]
    return sample


def fill(port: int, accounts: Path, events: int) -> Sample:
    """Store at least `events` events by batches, each of which must be accepted whole."""
    batches = -(-events // (BATCH_TRANSFERS * EVENTS_PER_TRANSFER))
    sample = _sample(_run_client(port, accounts, batches, "--build-late"))
    if sample.errors:
        raise BenchError(f"The ledger could not be filled: {sample.errors}")
    return sample


def _sample(said: dict[str, Any]) -> Sample:
    each = said["seconds_each"]
    if not each:
        raise BenchError(f"No batch was answered: {'; '.join(said['failures'])}")
    return Sample(
        rate=said["posted"] / said["seconds"],
        details={
            "p50_ms": statistics.median(each) * 1e3,
            "max_ms": each[-1] * 1e3,
            "requests": len(each),
        },
        errors=dict.fromkeys(said["failures"], 1),
    )


def _run_client(port: int, accounts: Path, batches: int, *more: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "scripts.bench.ledger.batch_client", "--port", str(port)]
    command += ["--accounts", str(accounts), "--batches", str(batches), *more]
    command += ["--size", str(BATCH_TRANSFERS)]
    printed = run_command("the batch client", command, folder=PROJECT_ROOT)
    said: dict[str, Any] = json.loads(printed)
    if NOT_FOUND in said["statuses"]:
        raise NotServed("POST /ledger/batch/ is not served (404).")
    return said

"""Measurements with programs that others wrote: wrk over HTTP and pgbench."""

import json
import re
import resource
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from scripts.bench.ledger.options import child_environment
from scripts.bench.ledger.server import BenchError, BenchServer, cpu_seconds_of, run_program

PGBENCH_DATABASE = "pgbench"
WRK_GRACE_SECONDS = 60
_LOAD = Path(__file__).with_name("load.lua")
_ERRORS = ("status", "connect", "read", "write", "timeout")


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: a rate per second, and what else was seen."""

    rate: float
    details: dict[str, float] = field(default_factory=dict)  # p50_ms, p99_ms, cpu shares, …
    errors: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk sends and where: `hot` is the place of one account in every transfer."""

    ports: Sequence[int]
    accounts: Path
    connections: int
    reads: float = 0.0
    hot: str = ""


def require_wrk() -> str:
    """Return wrk's path; raise BenchError with how to install it where it is missing."""
    path = shutil.which("wrk")
    if path is None:
        raise BenchError(
            "The bench needs wrk, an HTTP load generator: install it by `apt install wrk`, "
            "`dnf install wrk` or `brew install wrk`."
        )
    return path


def run_wrk(
    load: Load, seconds: int, *, server: BenchServer | None = None, services: Sequence[int] = ()
) -> Sample:
    """Run wrk in a process of its own; `services` are the pids whose CPU share is told."""
    threads = min(load.connections, max(2, len(load.ports)))
    command = [require_wrk(), f"-t{threads}", f"-c{load.connections}", f"-d{seconds}s"]
    command += ["--timeout", "30s", "-s", str(_LOAD), f"http://127.0.0.1:{load.ports[0]}/"]
    environment = child_environment(
        BENCH_ACCOUNTS=str(load.accounts),
        BENCH_RUN=secrets.token_hex(8),
        BENCH_PORTS=",".join(map(str, load.ports)),
        BENCH_READS=str(load.reads),
        BENCH_HOT=load.hot,
    )
    before = cpu_seconds(server, services)
    ran = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + WRK_GRACE_SECONDS,
    )
    after = cpu_seconds(server, services)
    found = re.search(r"^JSON (.*)$", ran.stdout, re.MULTILINE)
    if found is None:
        reason = (ran.stderr.strip() or ran.stdout.strip()).splitlines()
        raise BenchError(f"wrk gave no result: {reason[-1] if reason else 'it said nothing'}")
    said = json.loads(found[1])
    errors = {name: said[name] for name in _ERRORS if said[name]}
    good = said["requests"] - said["status"]
    details = {name: said[name] for name in ("p50_ms", "p99_ms", "p999_ms", "max_ms", "requests")}
    if server is not None:
        details |= {name: (after[name] - before[name]) / said["seconds"] for name in before}
    return Sample(rate=good / said["seconds"], details=details, errors=errors)


def prepare_pgbench(server: BenchServer, scale: int) -> None:
    server.sql(f"CREATE DATABASE {PGBENCH_DATABASE}")
    run_program("pgbench", "-i", "-q", "-s", str(scale), server.url(PGBENCH_DATABASE))


def run_pgbench(
    server: BenchServer,
    seconds: int,
    *,
    clients: int,
    script: Path | None = None,
    database: str = PGBENCH_DATABASE,
) -> Sample:
    """Run pgbench's TPC-B-like transactions, or those of a script, prepared."""
    arguments = ["-c", str(clients), "-j", str(min(2, clients)), "-M", "prepared"]
    arguments += ["-T", str(seconds), *(["-n", "-f", str(script)] if script else [])]
    said = run_program("pgbench", *arguments, server.url(database))
    rate = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
    latency = re.search(r"^latency average = ([\d.]+) ms", said, re.MULTILINE)
    failed = re.search(r"^number of failed transactions: (\d+)", said, re.MULTILINE)
    if rate is None or latency is None:
        raise BenchError("pgbench printed no rate.")
    errors = {"failed": int(failed[1])} if failed and failed[1] != "0" else {}
    return Sample(float(rate[1]), {"mean_ms": float(latency[1])}, errors)


def cpu_seconds(server: BenchServer | None, services: Sequence[int]) -> dict[str, float]:
    """Return CPU seconds so far, by whom; wrk is the only child that is waited for meanwhile."""
    if server is None:
        return {}
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu_service": cpu_seconds_of(psutil.Process(pid) for pid in services),
        "cpu_postgres": server.cpu_seconds(),
        "cpu_wrk": ended.ru_utime + ended.ru_stime,
    }

"""What a run of the bench is asked to do, and the files of its data directory."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32

GROUPS = {
    "single": "transfers over HTTP at 1, 32 and 128 connections",
    "hot": "one account in every transfer, as destination and as source",
    "mixed": "80 % balance reads, 20 % transfers",
    "batch": "batches of 8,000 transfers, two in flight",
    "stored": "transfers at 32 connections with many events already stored",
    "processes": "one, two and four service processes on one ledger",
    "export": "all events as CSV and NDJSON beside psql's \\copy",
    "anchor": "a FastAPI route that does nothing",
    "hordak": "django-hordak, which keeps the same books with Django's ORM",
    "function": "the same transfer as one SQL function, one round trip",
}


@dataclass(frozen=True, slots=True)
class Options:
    """A run: how long, how often, how much, and which groups of cells."""

    groups: tuple[str, ...]
    seconds: int  # of one measurement
    warm_up_seconds: int  # of the same load before it, not counted
    rounds: int  # measurements of each cell, all cells taking turns
    accounts: int
    stored_events: int
    batches: int  # of one measurement
    pgbench_scale: int
    data_dir: Path | None  # None: a temporary one, removed at the end
    json_path: Path | None


def parse_options(prog: str, epilog: str) -> Options:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Measure the ledger beside pgbench, psql and its peers on one server.",
        epilog=epilog + "\n" + "\n".join(f"  {name:<10} {of}" for name, of in GROUPS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="NAMES", help="groups, with commas between; else all")
    parser.add_argument("--quick", action="store_true", help="a look, under three minutes")
    parser.add_argument("--seconds", type=_count, help="of one measurement")
    parser.add_argument(
        "--warm-up", type=_count, help="seconds of the same load before each, not counted"
    )
    parser.add_argument("--rounds", type=_count, help="measurements of each cell; medians count")
    parser.add_argument("--accounts", type=_count, help="opened beforehand")
    parser.add_argument("--stored-events", type=_count, help="in the ledger of `stored`, `export`")
    parser.add_argument("--data-dir", type=Path, help="kept afterwards; else a temporary one")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every value there")
    given = parser.parse_args()
    chosen = set(given.only.split(",")) if given.only else set(GROUPS)
    if unknown := sorted(chosen - GROUPS.keys()):
        parser.error(f"there is no group {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    if chosen & {"hot", "stored"}:
        chosen.add("single")  # beside which they stand
    return Options(
        groups=tuple(name for name in GROUPS if name in chosen),
        seconds=given.seconds or (2 if given.quick else 6),
        warm_up_seconds=given.warm_up or (1 if given.quick else 3),
        rounds=given.rounds or (2 if given.quick else 3),
        accounts=given.accounts or (2_000 if given.quick else 10_000),
        stored_events=given.stored_events or (200_000 if given.quick else 10_000_000),
        batches=6 if given.quick else 30,
        pgbench_scale=10 if given.quick else 50,
        data_dir=given.data_dir,
        json_path=given.json,
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def child_environment(**more: str) -> dict[str, str]:
    """Return our environment without what would point a child at another server."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return ours | more

"""Measures what the type of the amount columns costs when batches of events are written.

    python scripts/bench/amount_types.py [--data-dir DIR]

Starts a PostgreSQL of its own with fsync on, writes the same batches of events (two rows a
transfer, the indexes of ledger.events) with bigint and with numeric(38,0) amounts, taking turns,
and prints transfers per second (median) and their ratio.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from uuid import UUID

if __package__ in (None, ""):  # run as `python scripts/bench/amount_types.py`
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)
    from shared.environment import use_project_environment

    use_project_environment()

import asyncpg
from rich.console import Console
from rich.table import Table

from shared import embedded_postgres

TRANSFERS_PER_BATCH = 500
BATCHES_PER_TURN = 40
TURNS = 5
TYPES = ("bigint", "numeric(38,0)")

_CREATE = """
CREATE TABLE {table} (
    ledger_id int, seq bigint, line smallint, account_id uuid, transaction_id uuid, direction text,
    amount_minor {type}, balance_after_minor {type}, position bigint,
    PRIMARY KEY (ledger_id, seq, line));
CREATE INDEX ON {table} (ledger_id, account_id, seq, line);
"""
_INSERT = """
INSERT INTO {table} SELECT 1, * FROM unnest($1::bigint[], $2::smallint[], $3::uuid[], $4::uuid[],
    $5::text[], $6::{type}[], $7::{type}[], $8::bigint[])
"""


async def measure(url: str) -> dict[str, float]:
    """Return transfers per second for each type, the median of all turns."""
    connection = await asyncpg.connect(url)
    rates: dict[str, list[float]] = {type_: [] for type_ in TYPES}
    for number, type_ in enumerate(TYPES):
        await connection.execute(_CREATE.format(table=f"events_{number}", type=type_))
    for turn in range(TURNS):
        for number, type_ in enumerate(TYPES):
            insert = _INSERT.format(table=f"events_{number}", type=type_)
            started = time.perf_counter()
            for batch in range(BATCHES_PER_TURN):
                first = (turn * BATCHES_PER_TURN + batch) * TRANSFERS_PER_BATCH
                await connection.execute(insert, *_columns(first, exact=type_ != "bigint"))
            seconds = time.perf_counter() - started
            rates[type_].append(BATCHES_PER_TURN * TRANSFERS_PER_BATCH / seconds)
    await connection.close()
    return {type_: statistics.median(found) for type_, found in rates.items()}


def _columns(first: int, *, exact: bool) -> list[list[object]]:
    kind = Decimal if exact else int
    rows = [
        (
            seq,
            line,
            UUID(int=seq * 7 % 10_000),
            UUID(int=seq),
            ("debit", "credit")[line - 1],
            kind(100 + seq % 900_000),
            kind(5_000_000_000 + seq),
            seq,
        )
        for seq in range(first, first + TRANSFERS_PER_BATCH)
        for line in (1, 2)
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-dir", "--data_dir", type=Path, help="kept; else a temporary one")
    arguments = parser.parse_args()
    folder = arguments.data_dir or Path(tempfile.mkdtemp(prefix="kairon-bench-"))
    server = embedded_postgres.start(folder)
    try:
        rates = asyncio.run(measure(server.admin_url))
    finally:
        if arguments.data_dir is None:
            embedded_postgres.remove(folder)
        else:
            embedded_postgres.stop(folder)
    table = Table("amount type", "transfers/s", "ratio", title="Events written in batches of 500")
    for type_, rate in rates.items():
        table.add_row(type_, f"{rate:,.0f}", f"{rate / rates['numeric(38,0)']:.2f}")
    Console().print(table)
    print(json.dumps({type_: round(rate) for type_, rate in rates.items()}))


if __name__ == "__main__":
    main()

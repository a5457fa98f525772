"""What a frame says is what the table holds, whatever its types and nulls."""

from datetime import UTC, date, datetime
from uuid import UUID

import asyncpg
import polars as pl
import pytest

from recon_service.repositories import copying
from tests.postgres import TestDatabases

RUN = "01890000-0000-7000-8000-000000000001"
TEXTS = ["plain", "", None, 'a "quote", a comma', "tab\tand\nline", "ünï ✓ 😀", "\\.", "x" * 9_000]


def record(number: int) -> str:
    return f"01890000-0000-8000-8000-{number:012x}"


@pytest.mark.parametrize("block_rows", [1, 3, 25_000])
async def test_rows_are_stored_as_they_are(
    databases: TestDatabases, monkeypatch: pytest.MonkeyPatch, block_rows: int
) -> None:
    monkeypatch.setattr(copying, "BLOCK_ROWS", block_rows)
    rows = pl.DataFrame(
        {
            "record_id": [record(n) for n in range(len(TEXTS))],
            "source": "bank",
            "fingerprint": [f"{n:064x}" for n in range(len(TEXTS))],
            "ordinal": [0, 1, -1, 2**31 - 1, -(2**31), 5, 6, 7],
            "first_run_id": RUN,
            "external_id": [*TEXTS[1:], TEXTS[0]],
            "occurred_at": [datetime(1900 + 40 * n, 3, 1, 1, 2, 3, n, UTC) for n in range(8)],
            "booked_on": [date(1900 + 40 * n, 3, 1) for n in range(8)],
            "currency": "EUR",
            "scale": [0, 1, 2, 3, 4, 5, 6, 18],
            "amount_minor": [0, 1, -1, 10**18 - 1, -(10**18) + 1, 5, 6, 7],
            "text": TEXTS,
            "counterparty": pl.Series([None] * 8, dtype=pl.String),
        }
    )
    connection = await asyncpg.connect(databases.admin_url)
    try:
        await copying.copy_rows(connection, "records", rows)
        stored = await connection.fetch("SELECT * FROM recon.records ORDER BY record_id")
    finally:
        await connection.close()
    expected = [
        row
        | {name: UUID(row[name]) for name in ("record_id", "first_run_id")}
        | {"fingerprint": bytes.fromhex(row["fingerprint"])}
        for row in rows.to_dicts()
    ]
    assert [dict(row) for row in stored] == expected


async def test_numbers_may_be_missing_in_some_rows(databases: TestDatabases) -> None:
    at = datetime(2025, 7, 1, 12, tzinfo=UTC)
    rows = pl.DataFrame(
        {
            "side": ["external", "ledger", "external"],
            "scope": "one",
            "key": ["a", "b", "c"],
            "state": "open",
            "late": [True, False, True],
            "source": "bank",
            "run_id": RUN,
            "opened_at": at,
            "changed_at": at,
            "reference": [None, "R", ""],
            "date": at.date(),
            "at": at,
            "currency": ["EUR", "JPY", "EUR"],
            "scale": [2, 0, 2],
            "amount_minor": [1, -2, 3],
            "text": ["only", None, None],
            "seq": [None, 7, None],
            "recorded_at": [None, at, None],
        }
    )
    connection = await asyncpg.connect(databases.admin_url)
    try:
        await copying.copy_rows(connection, "breaks", rows)
        stored = await connection.fetch(
            "SELECT key, late, reference, text, seq, recorded_at FROM recon.breaks ORDER BY key"
        )
    finally:
        await connection.close()
    assert [tuple(row) for row in stored] == [
        ("a", True, None, "only", None, None),
        ("b", False, "R", None, 7, at),
        ("c", True, "", None, None, None),
    ]

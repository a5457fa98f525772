"""Lists: every filter gives exactly its rows, page by page, and no page reads much."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import asyncpg as dialect

from ledger_service.repositories import events, pages, transactions
from ledger_service.repositories.rows import Range
from ledger_service.tables import MAIN_LEDGER_ID
from tests.postgres import TestDatabases

START = datetime(2025, 1, 1, tzinfo=UTC)
ACCOUNTS = 20
HOT = UUID(int=1)  # debited in every second transaction
LIMIT = 100
BUFFERS_MAX = 800  # of a page: up to seven for each of its rows
BUFFERS_BOUNDED_MAX = 7 * pages.SCANNED_ROWS_MAX  # where rows are looked at that do not fit
# Every tenth entry counts up to a day and a half before it was recorded. Of eight entries two
# place a hold and move nothing, two are exchanges, one is a capture, and three are transfers.
FILL = """
INSERT INTO ledger.accounts (ledger_id, account_id, opened_seq, currency, scale, type, metadata,
                             opened_at)
SELECT 1, ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, n, 'USD', 2,
       'internal', '{}', $2::timestamptz FROM generate_series(1, $1::int) AS n
"""
FILL_JOURNAL = """
INSERT INTO ledger.journal (ledger_id, seq, entry_id, kind, effective_at, recorded_at, reference,
                            payload)
SELECT 1, $3::int + n, md5(n::text)::uuid,
       CASE WHEN n % 4 = 1 THEN 'hold_placed' WHEN n % 4 = 3 THEN 'exchange'
            WHEN n % 8 = 2 THEN 'hold_captured' ELSE 'transfer' END,
       $2::timestamptz + n * interval '10 s'
           - CASE WHEN n % 10 = 0 THEN n % 2000 * interval '1 minute' ELSE interval '0' END,
       $2::timestamptz + n * interval '10 s', CASE WHEN n % 3 = 0 THEN 'R' || n % 50 END,
       (CASE WHEN n % 4 = 1 OR n % 8 = 2
             THEN '{"hold": {"currency": "USD", "scale": 2}, "amount_minor": 100, '
             WHEN n % 4 = 3
             THEN '{"moved": [{"currency": "USD", "scale": 2, "amount_minor": 100}, '
                  || '{"currency": "JPY", "scale": 0, "amount_minor": 7}], '
             ELSE '{"amount_minor": 100, "currency": "USD", "scale": 2, ' END
        || '"metadata": {"description": "x\\"y"}}')::json
FROM generate_series(1, $1::int) AS n
"""
FILL_EVENTS = """
INSERT INTO ledger.events (ledger_id, seq, line, account_id, transaction_id, direction,
                           amount_minor, balance_after_minor, position)
SELECT 1, $2::int + n, line,
       ('00000000-0000-0000-0000-' || lpad(to_hex(
           CASE WHEN line = 1 AND n % 2 = 0 THEN 1 ELSE 2 + (n * 7 + line) % ($2::int - 1) END
       ), 12, '0'))::uuid,
       md5(n::text)::uuid, CASE line WHEN 1 THEN 'debit' ELSE 'credit' END, 100, -100, n
FROM generate_series(1, $1::int) AS n, generate_series(1, 2) AS line WHERE n % 4 <> 1
"""
HEAD = "UPDATE ledger.ledgers SET last_seq = $1::int + $2::int"


async def fill(databases: TestDatabases, transfers: int) -> asyncpg.Connection:
    """Write a history as the processor would have left it, and return a connection to it."""
    admin = await asyncpg.connect(databases.admin_url)
    await admin.execute(FILL, ACCOUNTS, START)
    await admin.execute(FILL_JOURNAL, transfers, START, ACCOUNTS)
    await admin.execute(FILL_EVENTS, transfers, ACCOUNTS)
    await admin.execute(HEAD, transfers, ACCOUNTS)
    await admin.execute("VACUUM ANALYZE")
    return admin


def ranges(transfers: int) -> list[Range]:
    """Every combination of filters, each bound somewhere in the middle or left open."""
    middle = START + timedelta(seconds=10) * (transfers // 2)
    choices: dict[str, list[Any]] = {
        "effective_from": [None, middle],
        "effective_to": [None, middle + timedelta(seconds=transfers)],
        "after_seq": [None, ACCOUNTS + transfers // 3],
        "up_to_seq": [None, ACCOUNTS + transfers * 2 // 3],
        "reference": [None, "R3"],
        "account_id": [None, HOT, UUID(int=5)],
    }
    return [
        Range(**dict(zip(choices, chosen, strict=True))) for chosen in product(*choices.values())
    ]


def query(wanted: Range, **more: Any) -> dict[str, Any]:
    found = {name: getattr(wanted, name) for name in Range.__slots__} | more
    return {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in found.items()
        if value is not None
    }


@pytest.mark.parametrize("name", ["events", "transactions"])
async def test_pages_of_every_filter_hold_each_row_once(
    ledger: httpx.AsyncClient,
    databases: TestDatabases,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(pages, "SCANNED_ROWS_MAX", 41)
    admin = await fill(databases, 300)
    await admin.close()
    path = f"/ledger/{name}/"
    headers = {"Accept": "application/x-ndjson"}
    everything = await _all(ledger, path)
    for event in await _all(ledger, "/ledger/events/"):
        for row in everything:
            if row["seq"] == event["seq"] and row.get("line") in (None, event["line"]):
                row.setdefault("accounts", []).append(event["account_id"])
    for wanted in ranges(300):
        streamed = await ledger.get(path, params=query(wanted), headers=headers)
        rows = [json.loads(line) for line in streamed.text.splitlines()]
        fitting = [row for row in everything if _fits(row, wanted)]
        assert rows == [{name: row[name] for name in row if name != "accounts"} for row in fitting]
        paged: list[dict[str, Any]] = []
        following: str | None = path + "?" + str(httpx.QueryParams(query(wanted, limit=17)))
        while following is not None:
            page = (await ledger.get(following)).json()
            paged += page[name]
            following = page["next"]
        if wanted.pages_by_effective_time:
            rows.sort(key=lambda row: (row["effective_at"], row["seq"], row.get("line")))
        assert paged == rows, wanted
    assert len(everything) == (225 if name == "transactions" else 450)
    if name == "transactions":
        dollars, yen = {"amount": "1.00", "currency": "USD"}, {"amount": "7", "currency": "JPY"}
        assert [row["amounts"] for row in everything[:4]] == [
            [dollars],
            [dollars, yen],
            [dollars],
            [dollars],
        ]


def _fits(row: dict[str, Any], wanted: Range) -> bool:
    effective_at = datetime.fromisoformat(row["effective_at"])
    return (
        (wanted.effective_from is None or effective_at >= wanted.effective_from)
        and (wanted.effective_to is None or effective_at <= wanted.effective_to)
        and row["seq"] > (wanted.after_seq or 0)
        and (wanted.up_to_seq is None or row["seq"] <= wanted.up_to_seq)
        and wanted.reference in (None, row["reference"])
        and (wanted.account_id is None or str(wanted.account_id) in row["accounts"])
    )


async def _all(ledger: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    streamed = await ledger.get(path, headers={"Accept": "application/x-ndjson"})
    return [json.loads(line) for line in streamed.text.splitlines()]


async def test_no_page_of_a_long_history_reads_much_of_it(databases: TestDatabases) -> None:
    transfers = 100_000
    admin = await fill(databases, transfers)
    last = ACCOUNTS + transfers
    seen = []
    for wanted in ranges(transfers):
        for seq in (None, ACCOUNTS + transfers // 2, last - 3):
            by_time = wanted.pages_by_effective_time
            at = START + timedelta(seconds=10) * ((seq or 0) - ACCOUNTS)
            for statement_of, key in (
                (events.page_statement, (seq, 1)),
                (transactions.page_statement, (seq,)),
            ):
                after = None if seq is None else (at, *key) if by_time else key
                plan, buffers = await _explain(admin, statement_of, _begun(wanted, after), after)
                seen.append((buffers, wanted, after, plan))
    await admin.close()
    for buffers, wanted, after, plan in seen:
        assert '"Seq Scan", "Relation Name": "events"' not in plan, (wanted, after)
        assert '"Seq Scan", "Relation Name": "journal"' not in plan, (wanted, after)
        mixed = wanted.account_id and wanted.reference
        assert buffers <= (BUFFERS_BOUNDED_MAX if mixed else BUFFERS_MAX), (wanted, after, plan)


def _begun(wanted: Range, after: tuple[Any, ...] | None) -> Range:
    """Return what the first page makes of a range: it begins where the range can have entries."""
    if after is None and wanted.effective_from and not wanted.pages_by_effective_time:
        never = int((wanted.effective_from - START) / timedelta(seconds=10)) + ACCOUNTS - 1
        return replace(wanted, after_seq=max(wanted.after_seq or 0, never))
    return wanted


async def _explain(
    admin: asyncpg.Connection,
    statement_of: Callable[..., Select[Any]],
    wanted: Range,
    after: tuple[Any, ...] | None,
) -> tuple[str, int]:
    if statement_of is transactions.page_statement:
        wanted = transactions.TransactionRange(
            **{name: getattr(wanted, name) for name in Range.__slots__}
        )
    compiled = statement_of(MAIN_LEDGER_ID, wanted, after, LIMIT).compile(
        dialect=dialect.dialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"render_postcompile": True},
    )
    values = [compiled.params[name] for name in compiled.positiontup or ()]
    plan = json.loads(
        await admin.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {compiled}", *values)
    )[0]["Plan"]
    text = json.dumps(_nodes(plan))
    return text, plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    names = ("Node Type", "Relation Name", "Index Name", "Actual Rows", "Shared Hit Blocks")
    node = {name: plan[name] for name in names if name in plan}
    return [node, *(found for part in plan.get("Plans", []) for found in _nodes(part))]


async def test_the_search_by_time_skips_only_what_cannot_count(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    admin = await fill(databases, 300)
    await admin.close()
    for seconds in (-10, 0, 10, 1_495, 1_500, 2_999, 3_000, 4_000):
        instant = START + timedelta(seconds=seconds)
        wanted = Range(effective_from=instant, account_id=HOT)
        answer = await ledger.get("/ledger/events/", params=query(wanted, limit=500))
        wanted_rows = await _all(ledger, "/ledger/events/")
        rows = [
            row for row in wanted_rows if _fits(row | {"accounts": [row["account_id"]]}, wanted)
        ]
        assert answer.json()["events"] == rows


@pytest.mark.parametrize("cursor", ["WyJldmVudHMiLDEsMV0", "WyJldmVudHMgYnkgdGltZSIsIngiLDEsMV0"])
async def test_a_cursor_of_another_order_is_refused(ledger: httpx.AsyncClient, cursor: str) -> None:
    answer = await ledger.get(
        "/ledger/events/", params={"effective_from": START.isoformat(), "cursor": cursor}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")

"""Lists of accounts: every filter gives exactly its rows, and no page reads much."""

import asyncio
import json
from itertools import product
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import asyncpg as dialect

from ledger_service.repositories import account_history, pages
from ledger_service.repositories.account_lists import AccountFilter, page_statement
from ledger_service.repositories.metadata_keys import MetadataFilter
from ledger_service.tables import MAIN_LEDGER_ID
from migrations.index_metadata import index_metadata
from migrations.prepare import DatabaseNotReady, check_database
from tests.integration.ledger.calls import open_account
from tests.postgres import TestDatabases

LIMIT = 100
BUFFERS_MAX = 700  # of a page: up to four for each of its rows
BUFFERS_BOUNDED_MAX = 7 * pages.SCANNED_ROWS_MAX  # where rows are looked at that do not fit
# Every third account has a code; countries are common, customer numbers rare.
FILL = """
INSERT INTO ledger.accounts (ledger_id, account_id, opened_seq, currency, scale, type, metadata,
                             code, status, opened_at)
SELECT 1, ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, n,
       CASE WHEN n % 2 = 0 THEN 'USD' ELSE 'EUR' END, 2,
       CASE WHEN n % 5 = 0 THEN 'asset' ELSE 'user' END,
       jsonb_build_object('country', 'C' || n % 7, 'customer', n / 2, 'vip', n % 9 = 0,
                          'note', CASE WHEN n % 11 = 0 THEN repeat('x', 300) || n % 2 END),
       CASE WHEN n % 3 = 0 THEN 'chart:p' || n % 50 || ':' || n END,
       CASE WHEN n % 13 = 0 THEN 'closed' ELSE 'open' END, '2025-01-01Z'::timestamptz
FROM generate_series(1, $1::int) AS n
"""


async def fill(databases: TestDatabases, accounts: int) -> asyncpg.Connection:
    """Write accounts as the processor would have left them; return a connection to them."""
    admin = await asyncpg.connect(databases.admin_url)
    await admin.execute(FILL, accounts)
    for key in ("country", "customer", "vip", "note"):
        await asyncio.to_thread(index_metadata, databases.admin_url, "accounts", key)
    await admin.execute("VACUUM ANALYZE")
    return admin


def fits(account: dict[str, Any], query: dict[str, Any]) -> bool:
    code, metadata = account["code"], account["metadata"]
    under = query.get("under")
    wanted = [one.split("=", 1) for one in query.get("metadata", [])]
    return (
        (under is None or (code is not None and f"{code}:".startswith(f"{under}:")))
        and query.get("type") in (None, account["type"])
        and query.get("status") in (None, account["status"])
        and query.get("currency") in (None, account["currency"])
        and all(_text(metadata.get(key)) == value for key, value in wanted)
    )


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


async def pages_of(client: httpx.AsyncClient, query: dict[str, Any]) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    following: str | None = "/ledger/account/?" + str(httpx.QueryParams(query | {"limit": 17}))
    while following is not None:
        answer = await client.get(following)
        assert answer.status_code == 200, answer.text
        shown += answer.json()["accounts"]
        following = answer.json()["next"]
    return shown


async def test_pages_of_every_filter_hold_each_account_once(
    ledger: httpx.AsyncClient, databases: TestDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SCANNED_ROWS_MAX", 41)
    await (await fill(databases, 300)).close()
    everything = await pages_of(ledger, {})
    assert len(everything) == 300
    choices: dict[str, list[Any]] = {
        "under": [None, "chart", "chart:p12"],
        "type": [None, "asset"],
        "status": [None, "closed"],
        "currency": [None, "USD"],
        "metadata": [
            None,
            ["country=C3"],
            ["vip=true", "country=C0"],
            ["customer=66"],
            ["note=" + "x" * 300 + "1"],
        ],
    }
    found = 0
    for chosen in product(*choices.values()):
        query = {
            name: value for name, value in zip(choices, chosen, strict=True) if value is not None
        }
        rows = [one for one in everything if fits(one, query)]
        if "under" in query and "metadata" not in query:
            rows.sort(key=lambda one: one["code"].encode())
        assert await pages_of(ledger, query) == rows, query
        found += bool(rows)
    assert found > 40, "most filters find something"


async def test_no_page_of_many_accounts_reads_many(databases: TestDatabases) -> None:
    accounts = 60_000
    admin = await fill(databases, accounts)
    seen = []
    for under, metadata, kind in product(
        (None, "chart", "chart:p12", "chart:none"),
        (None, ("country", "C3"), ("customer", "30000"), ("country", "C9")),
        (None, "asset", "nothing"),
    ):
        chosen = () if metadata is None else (MetadataFilter(*metadata),)
        wanted = AccountFilter(under=under, type=kind, metadata=chosen)
        middle = "chart:p3:30003" if wanted.pages_by_code else accounts // 2
        for after in (None, (middle,)):
            statement = page_statement(MAIN_LEDGER_ID, wanted, after, LIMIT)
            seen.append((wanted, after, *await _explain(admin, statement)))
    await admin.close()
    for wanted, after, plan, buffers in seen:
        assert '"Seq Scan"' not in plan, (wanted, after, plan)
        is_mixed = wanted.type is not None or (wanted.under is not None and wanted.metadata)
        assert buffers <= (BUFFERS_BOUNDED_MAX if is_mixed else BUFFERS_MAX), (wanted, after, plan)


async def test_the_history_of_one_account_is_found_by_its_index(databases: TestDatabases) -> None:
    admin = await asyncpg.connect(databases.admin_url)
    await admin.execute(
        """
        INSERT INTO ledger.journal (ledger_id, seq, entry_id, kind, effective_at, recorded_at,
                                    payload)
        SELECT 1, n, md5(n::text)::uuid, CASE WHEN n % 10 = 0 THEN 'account_changed'
               ELSE 'transfer' END, now(), now(),
               json_build_object('facts', json_build_object(
                   'account_id', md5((n % 500)::text)::uuid))
        FROM generate_series(1, 50000) AS n
        """
    )
    await admin.execute("VACUUM ANALYZE")
    account_id = await admin.fetchval("SELECT md5('10')::uuid")
    statement = account_history.changes_statement(MAIN_LEDGER_ID, account_id, 0).limit(51)
    plan, buffers = await _explain(admin, statement)
    await admin.close()
    assert "ix_journal__account_changes" in plan
    assert buffers < 100


async def _explain(admin: asyncpg.Connection, statement: Select[Any]) -> tuple[str, int]:
    compiled = statement.compile(
        dialect=dialect.dialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"render_postcompile": True},
    )
    values = [compiled.params[name] for name in compiled.positiontup or ()]
    explained = await admin.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {compiled}", *values)
    plan = json.loads(explained)[0]["Plan"]
    return json.dumps(plan), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


async def test_a_key_without_an_index_is_refused_by_name(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    await open_account(ledger, metadata={"country": "DE", "b.c": 1})
    query = {"metadata": "country=DE"}
    before = await ledger.get("/ledger/account/", params=query)
    assert (before.status_code, before.json()["code"]) == (422, "metadata_key_not_indexed")
    assert (before.json()["key"], before.json()["declared"]) == ("country", [])
    for key in ("country", "b.c"):
        await asyncio.to_thread(index_metadata, databases.admin_url, "accounts", key)
    assert len((await ledger.get("/ledger/account/", params=query)).json()["accounts"]) == 1
    found = await ledger.get("/ledger/account/", params={"metadata": "b.c=1"})
    assert len(found.json()["accounts"]) == 1
    other = await ledger.get("/ledger/account/", params={"metadata": "name=x"})
    assert other.json()["declared"] == ["b.c", "country"]
    for text in ("country", "=", "=x", ""):
        answer = await ledger.get("/ledger/account/", params={"metadata": text})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_long_values_are_indexed_and_found(
    ledger: httpx.AsyncClient, databases: TestDatabases
) -> None:
    await asyncio.to_thread(index_metadata, databases.admin_url, "accounts", "note")
    long = "ü" * 3_000  # more than an entry of an index may have
    account_id = await open_account(ledger, metadata={"note": long})
    await open_account(ledger, metadata={"note": long[:-1]})
    found = await ledger.get("/ledger/account/", params={"metadata": f"note={long}"})
    assert [one["account_id"] for one in found.json()["accounts"]] == [account_id]


async def test_indexing_a_key_again_changes_nothing(databases: TestDatabases) -> None:
    for _ in range(2):
        for subject in ("accounts", "transactions"):
            await asyncio.to_thread(index_metadata, databases.admin_url, subject, "Order-No")
    await asyncio.to_thread(check_database, databases.admin_url)  # raises where tables differ
    admin = await asyncpg.connect(databases.admin_url)
    made = await admin.fetch(
        "SELECT relname, indisvalid, rolname FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
        "JOIN pg_roles r ON r.oid = relowner WHERE relname LIKE '%metadata_Order-No' ORDER BY 1"
    )
    declared = await admin.fetch("SELECT subject, key FROM ledger.indexed_metadata ORDER BY 1")
    await admin.close()
    assert [tuple(row) for row in made] == [
        ("ix_accounts__metadata_Order-No", True, "ledger_owner"),
        ("ix_journal__metadata_Order-No", True, "ledger_owner"),
    ]
    assert [tuple(row) for row in declared] == [
        ("accounts", "Order-No"),
        ("transactions", "Order-No"),
    ]


@pytest.mark.parametrize("key", ["", "a b", "a'b", 'a"b', "a}b", "a,b", "ä", "a" * 41])
async def test_a_key_that_no_index_can_name_is_refused(databases: TestDatabases, key: str) -> None:
    with pytest.raises(DatabaseNotReady, match="letters, digits"):
        await asyncio.to_thread(index_metadata, databases.admin_url, "accounts", key)

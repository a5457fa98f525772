"""A whole ledger goes to a file and comes back as it was, or not at all."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from ledger_service.export_format import BadExport, ExportReader
from ledger_service.files.export import ExportRefused, export_ledger, new_file
from ledger_service.files.restore import ImportRefused, import_ledger
from ledger_service.main import create_app
from ledger_service.projections.verifier import verify
from ledger_service.settings import LedgerSettings
from ledger_service.tables import MAIN_LEDGER_ID, metadata
from ledger_service.trust.sealer import seal_what_is_new
from tests import postgres
from tests.conftest import Serve
from tests.integration.ledger.calls import balance, open_account, transfer
from tests.integration.ledger.histories import write_history
from tests.postgres import Template, TestDatabases

SEEDS = (1, 2, 3)


@pytest.fixture
async def other(template: Template) -> AsyncIterator[TestDatabases]:
    """A second database, into which exports go."""
    name = await postgres.clone(template)
    yield template.databases(name)
    await postgres.drop_database(template.admin_url, name)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def exported(url: str, ledger: str = "main") -> bytes:
    file = io.BytesIO()
    async with connected(url) as connection:
        await export_ledger(connection, ledger, file)
    return file.getvalue()


async def imported(url: str, content: bytes, path: Path, ledger: str | None = None) -> None:
    with new_file(path, overwrite=True) as file:
        file.write(content)
    async with connected(url) as connection:
        with ExportReader(path) as reader:
            await import_ledger(connection, reader, ledger=ledger)


async def findings(url: str, ledger_id: int = MAIN_LEDGER_ID) -> list[str]:
    async with connected(url) as connection:
        return [str(one) for one in (await verify(connection, ledger_id)).findings]


async def sealed_history(url: str, seed: int, steps: int = 150) -> int:
    async with connected(url) as connection:
        entries = await write_history(connection, seed, steps)
        assert await seal_what_is_new(connection, MAIN_LEDGER_ID) == 1
    return entries


async def contents(url: str) -> dict[str, list[str]]:
    """All rows of all tables, as text; the epochs of the heads are left out."""
    found = {}
    async with connected(url) as connection:
        for table in metadata.sorted_tables:
            rows = await connection.fetch(
                "SELECT (to_jsonb(t) - 'epoch')::text "  # noqa: S608
                f"FROM ledger.{table.name} t ORDER BY 1"
            )
            found[table.name] = [row[0] for row in rows]
    return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_an_imported_ledger_is_the_exported_one(
    databases: TestDatabases, other: TestDatabases, tmp_path: Path, seed: int
) -> None:
    entries = await sealed_history(databases.ledger_url, seed)
    content = await exported(databases.ledger_url)
    await imported(other.ledger_url, content, tmp_path / "books")
    assert content.count(b'\n{"entry":') == entries > 20
    assert await exported(other.ledger_url) == content
    assert await contents(other.admin_url) == await contents(databases.admin_url)
    assert await findings(other.ledger_url) == []


HELD_BEFORE_THE_HEAD = """
INSERT INTO ledger.ledgers VALUES (2, 'berlin'), (3, 'paris');
CREATE FUNCTION ledger.hold() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END';
CREATE TRIGGER hold BEFORE UPDATE ON ledger.ledgers EXECUTE FUNCTION ledger.hold();
SELECT pg_advisory_lock(42);
"""
WAITING = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_imports_at_the_same_time_put_no_account_into_two_ledgers(
    databases: TestDatabases, other: TestDatabases, tmp_path: Path
) -> None:
    await sealed_history(databases.ledger_url, seed=1)
    content = await exported(databases.ledger_url)
    async with connected(other.admin_url) as connection:
        await connection.execute(HELD_BEFORE_THE_HEAD)
        imports = [
            asyncio.create_task(imported(other.ledger_url, content, tmp_path / name, ledger=name))
            for name in ("berlin", "paris")
        ]
        async with asyncio.timeout(60):
            while await connection.fetchval(WAITING) < 2:
                pass
    outcomes = await asyncio.gather(*imports, return_exceptions=True)
    (refused,) = [one for one in outcomes if one is not None]
    assert isinstance(refused, ImportRefused)
    assert "one account cannot be in two ledgers" in str(refused)


async def test_an_import_raises_the_epoch(
    databases: TestDatabases, other: TestDatabases, tmp_path: Path
) -> None:
    await sealed_history(databases.ledger_url, seed=1, steps=20)
    await imported(other.ledger_url, await exported(databases.ledger_url), tmp_path / "books")
    async with connected(other.ledger_url) as connection:
        assert await connection.fetchval("SELECT epoch FROM ledger.ledgers") == 1


async def test_a_service_that_runs_goes_on_from_what_was_imported(
    ledger: httpx.AsyncClient,
    databases: TestDatabases,
    other: TestDatabases,
    serve: Serve,
    tmp_path: Path,
) -> None:
    """It has decided on an empty ledger before; an old key gets its first answer there."""
    settings = LedgerSettings(database_url=other.ledger_url)
    there = await serve(create_app(settings), base_url="http://ledger")
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    first = await transfer(ledger, funding, user, "10.00", key="rent")
    asked = {"currency": "USD", "type": "user"}
    assert (await there.post("/ledger/account/?dry_run=true", json=asked)).status_code == 200
    await imported(other.ledger_url, await exported(databases.ledger_url), tmp_path / "books")
    again = await transfer(there, funding, user, "10.00", key="rent")
    assert (again.headers["idempotency-replayed"], again.text) == ("true", first.text)
    assert (await transfer(there, user, funding, "10.01")).status_code == 422
    assert (await transfer(there, user, funding, "4.00")).status_code == 201
    assert await balance(there, user) == "6.00"
    assert await findings(other.ledger_url) == []


async def test_a_ledger_of_another_name_is_made(
    databases: TestDatabases, other: TestDatabases, tmp_path: Path
) -> None:
    await sealed_history(databases.ledger_url, seed=1)
    content = await exported(databases.ledger_url)
    await imported(other.ledger_url, content, tmp_path / "books", ledger="berlin")
    assert await findings(other.ledger_url, ledger_id=2) == []
    again = await exported(other.ledger_url, "berlin")
    ours, theirs = content.splitlines(), again.splitlines()
    assert theirs[0] == ours[0].replace(b'"main"', b'"berlin"')
    assert theirs[1:-1] == ours[1:-1]


async def test_an_empty_ledger_is_exported_and_imported(
    databases: TestDatabases, other: TestDatabases, tmp_path: Path
) -> None:
    content = await exported(databases.ledger_url)
    await imported(other.ledger_url, content, tmp_path / "books")
    assert content.count(b"\n") == 2
    assert await exported(other.ledger_url) == content


async def test_a_ledger_that_is_not_empty_takes_no_file(
    databases: TestDatabases, tmp_path: Path
) -> None:
    await sealed_history(databases.ledger_url, seed=1)
    content, before = await exported(databases.ledger_url), await contents(databases.admin_url)
    with pytest.raises(ImportRefused, match="main is not empty"):
        await imported(databases.ledger_url, content, tmp_path / "books")
    with pytest.raises(ImportRefused, match="is no name of a ledger"):
        await imported(databases.ledger_url, content, tmp_path / "books", ledger="Berlin\n")
    with pytest.raises(ImportRefused, match="main of this database has the account"):
        await imported(databases.ledger_url, content, tmp_path / "books", ledger="berlin")
    assert await contents(databases.admin_url) == before


async def test_a_ledger_that_only_keeps_a_refusal_takes_no_file(
    databases: TestDatabases, tmp_path: Path
) -> None:
    content = await exported(databases.ledger_url)
    async with connected(databases.ledger_url) as connection:
        await connection.execute(
            "INSERT INTO ledger.idempotency (ledger_id, key_hash, fingerprint, recorded_at) "
            "VALUES (1, $1, $1, now())",
            bytes(16),
        )
    with pytest.raises(ImportRefused, match="not empty"):
        await imported(databases.ledger_url, content, tmp_path / "books")


def sealed_again(lines: list[Any]) -> bytes:
    """Lines whose header and trailer count them, whatever they say."""
    header, trailer = lines[0]["header"], lines[-1]["trailer"]
    entries = [line["entry"] for line in lines if "entry" in line]
    counts = {
        "entries": len(entries),
        "events": sum(len(entry["events"]) for entry in entries),
        "keys": sum("key" in line for line in lines),
        "rows": sum("row" in line for line in lines),
    }
    header |= counts
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines[:-1])
    trailer |= counts | {"sha256": sha256(body).hexdigest()}
    return body + json.dumps(lines[-1]).encode() + b"\n"


def _of_kind(lines: list[Any], kind: str) -> Any:
    return next(line["entry"] for line in lines if line.get("entry", {}).get("kind") == kind)


def _key(lines: list[Any]) -> Any:
    return next(line["key"] for line in lines if "key" in line)


def _set_payload(lines: list[Any], kind: str, **facts: Any) -> None:
    entry = _of_kind(lines, kind)
    entry["payload"] = json.dumps(json.loads(entry["payload"]) | facts)


def _drop_entry(lines: list[Any]) -> None:
    del lines[3]


def _swap_entries(lines: list[Any]) -> None:
    lines[3], lines[4] = lines[4], lines[3]


def _open_twice(lines: list[Any]) -> None:
    first, second = lines[1]["entry"], lines[2]["entry"]
    second["payload"], second["entry_id"] = first["payload"], first["entry_id"]


def _unbalance(lines: list[Any]) -> None:
    entry = _of_kind(lines, "transaction")
    payload = json.loads(entry["payload"])
    payload["lines"][0]["amount_minor"] += 1
    entry["payload"] = json.dumps(payload)


def _forget_the_end(lines: list[Any]) -> None:
    lines[0]["header"]["last_seq"] += 1


def _twin_keys(lines: list[Any]) -> None:
    place = next(number for number, line in enumerate(lines) if "key" in line)
    lines[place + 1] = lines[place]


def _strange_table(lines: list[Any]) -> None:
    next(line["row"] for line in lines if "row" in line)["table"] = "accounts"


def _strange_column(lines: list[Any]) -> None:
    next(line["row"] for line in lines if "row" in line)["values"]["ledger_id"] = 9


DAMAGES: dict[str, Callable[[list[Any]], object]] = {
    "seq 3 is missing": _drop_entry,
    "Line 4: seq 3 is missing": _swap_entries,
    "was recorded before": lambda lines: lines[5]["entry"].update(
        recorded_at="2020-01-01T00:00:00+00:00"
    ),
    "is damaged: TypeError": lambda lines: lines[1]["entry"].update(payload="{}"),
    "is damaged: JSONDecodeError": lambda lines: lines[1]["entry"].update(payload="{"),
    "Transferred.amount_minor has a wrong type": lambda lines: _set_payload(
        lines, "transfer", amount_minor="5"
    ),
    "AccountOpened.facts.scale has a wrong type": lambda lines: _set_payload(
        lines, "account_opened", scale=True
    ),
    "AccountOpened.metadata has a wrong type": lambda lines: _set_payload(
        lines, "account_opened", metadata=[]
    ),
    "is damaged: ValueError": lambda lines: lines[1]["entry"].update(kind="gift"),
    "open already": _open_twice,
    "has the account's id": lambda lines: _set_payload(lines, "account_opened", account_id=(
        "00000000-0000-0000-0000-0000000000ff"
    )),
    "are not those that its payload makes": lambda lines: _set_payload(
        lines, "transfer", amount_minor=987_654
    ),
    "the events of seq": lambda lines: _of_kind(lines, "transfer")["events"].pop(),
    "differ by 1 minor units": _unbalance,
    "it moves -5 on account": lambda lines: _set_payload(lines, "transfer", amount_minor=-5),
    "cannot be: it moves": lambda lines: _set_payload(
        lines, "transfer", source_account_id="00000000-0000-0000-0000-00000000ffff"
    ),
    "The file ends with": _forget_the_end,
    "not in the order": _twin_keys,
    "have 16 bytes each": lambda lines: _key(lines).update(fingerprint="00"),
    "for seq 99999, which there is not": lambda lines: _key(lines).update(seq=99_999),
    "refusal that the key keeps is damaged": lambda lines: _key(lines).update(refusal="{}"),
    "The database refuses": lambda lines: lines[1]["entry"].update(
        reference="\0", effective_at="2024-12-31T00:00:00+00:00"
    ),
    "violates check constraint": lambda lines: lines[1]["entry"].update(
        effective_at="2999-01-01T00:00:00+00:00"
    ),
    "there is no table of seals accounts": _strange_table,
    "the columns are not those of": _strange_column,
}  # fmt: skip


async def test_books_that_do_not_follow_from_their_entries_are_refused(
    databases: TestDatabases, other: TestDatabases, tmp_path: Path
) -> None:
    await sealed_history(databases.ledger_url, seed=1)
    content, before = await exported(databases.ledger_url), await contents(other.admin_url)
    for sentence, damage in DAMAGES.items():
        lines = [json.loads(line) for line in content.splitlines()]
        damage(lines)
        with pytest.raises(BadExport) as refusal:
            await imported(other.ledger_url, sealed_again(lines), tmp_path / "books")
        assert sentence in str(refusal.value)
        assert await contents(other.admin_url) == before, sentence


async def test_a_file_that_is_cut_leaves_nothing(
    databases: TestDatabases, other: TestDatabases, tmp_path: Path
) -> None:
    await sealed_history(databases.ledger_url, seed=2)
    content, before = await exported(databases.ledger_url), await contents(other.admin_url)
    for part in (0.3, 0.7, 0.999):
        with pytest.raises(BadExport, match="is cut"):
            await imported(other.ledger_url, content[: int(len(content) * part)], tmp_path / "cut")
    assert await contents(other.admin_url) == before


async def test_what_belongs_to_no_entry_is_not_exported(databases: TestDatabases) -> None:
    await sealed_history(databases.ledger_url, seed=1)
    async with connected(databases.admin_url) as admin:
        await admin.execute("ALTER TABLE ledger.journal DISABLE TRIGGER ALL")
        await admin.execute("DELETE FROM ledger.journal WHERE kind = 'transfer'")
    with pytest.raises(ExportRefused, match="belong to no entry"):
        await exported(databases.ledger_url)


async def test_no_ledger_no_file(databases: TestDatabases) -> None:
    with pytest.raises(ExportRefused, match="There is no ledger nowhere"):
        await exported(databases.ledger_url, "nowhere")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "books"
    with pytest.raises(RuntimeError), new_file(path, overwrite=False) as file:
        file.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with new_file(path, overwrite=False) as file:
        file.write(b"all")
    assert path.read_bytes() == b"all"
    assert path.stat().st_mode & 0o077 == 0


def test_a_file_is_overwritten_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "books"
    path.write_bytes(b"old")
    with pytest.raises(ExportRefused, match="there already"), new_file(path, overwrite=False):
        pytest.fail("it was opened")
    with pytest.raises(ExportRefused, match="appeared meanwhile"):
        path.unlink()
        with new_file(path, overwrite=False) as file:
            file.write(b"new")
            path.write_bytes(b"another's")
    assert path.read_bytes() == b"another's"
    with new_file(path, overwrite=True) as file:
        file.write(b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["books"]
    assert path.read_bytes() == b"new"

"""Seals, anchors and exports: damage is found and named, with a database and without one."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import click.testing
import pytest
from typer.testing import CliRunner

from ledger_service.cli import app
from ledger_service.export_format import (
    BadExport,
    ExportReader,
    ExportWriter,
    Line,
    TableRow,
)
from ledger_service.files.check import verify_export
from ledger_service.files.export import export_ledger
from ledger_service.projections.verifier import verify
from ledger_service.tables import MAIN_LEDGER_ID
from ledger_service.trust.anchors import read_anchor, read_public_key
from ledger_service.trust.findings import Damage
from ledger_service.trust.seal_reader import last_seal
from ledger_service.trust.sealer import seal_what_is_new
from scripts.damage.books import keep_books
from scripts.damage.run import damage_run
from scripts.damage.wounds import WOUNDS
from tests.postgres import TestDatabases

CLEAN, DISAGREEMENT, USAGE = 0, 1, 2


@pytest.fixture
async def books(databases: TestDatabases) -> AsyncIterator[asyncpg.Connection]:
    """Books of some sixty commands, sealed, and the administrator's connection to them."""
    await keep_books(databases.ledger_url, commands=40, seed=3)
    connection = await asyncpg.connect(databases.admin_url)
    yield connection
    await connection.close()


async def ledger(*arguments: str | Path) -> click.testing.Result:
    """Run the command line as a person would, in a thread, where it has a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, [str(one) for one in arguments])


@pytest.mark.usefixtures("books")
async def test_damage_in_random_places_is_found_and_named(databases: TestDatabases) -> None:
    results = await damage_run(databases.admin_url, places=3 * len(WOUNDS), seed=11)
    assert [one for one in results if not one.is_found] == []
    assert [one for one in results if one.is_named is False] == []
    assert Counter(one.kind for one in results) == dict.fromkeys(WOUNDS, 3)
    assert sum(one.is_covered_up for one in results) > 10


@pytest.mark.usefixtures("books")
async def test_without_an_anchor_what_was_covered_up_is_missed(databases: TestDatabases) -> None:
    places = 2 * len(WOUNDS)
    results = await damage_run(databases.admin_url, places=places, seed=11, is_anchored=False)
    missed = {one.number for one in results if not one.is_found}
    assert missed == {one.number for one in results if one.is_covered_up}
    assert 0 < len(missed) < places


async def test_the_damage_run_leaves_the_books_as_they_were(
    books: asyncpg.Connection, databases: TestDatabases
) -> None:
    await damage_run(databases.admin_url, places=len(WOUNDS), seed=12)
    anchor = await last_seal(books, MAIN_LEDGER_ID)
    report = await verify(books, MAIN_LEDGER_ID, anchor=anchor)
    assert report.findings == []
    assert report.anchored_seq == report.sealed_seq == report.entries > 40
    triggers = await books.fetchval(
        "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'ledger.journal'::regclass "
        "AND tgenabled = 'A'"
    )
    assert triggers == 2


@pytest.mark.parametrize(
    ("statement", "damage", "seq"),
    [
        (
            "UPDATE ledger.journal SET reference = 'x' WHERE seq = 9",
            Damage.ENTRY_CHANGED,
            9,
        ),
        (
            "UPDATE ledger.journal SET payload = (' ' || payload::text)::json WHERE seq = 20",
            Damage.ENTRY_CHANGED,
            20,
        ),
        (
            "UPDATE ledger.events SET balance_after_minor = balance_after_minor + 1 "
            "WHERE seq = 7 AND line = 2",
            Damage.EVENT_CHANGED,
            7,
        ),
        ("DELETE FROM ledger.events WHERE seq = 8 AND line = 1", Damage.EVENT_CHANGED, 8),
        ("DELETE FROM ledger.journal WHERE seq = 11", Damage.ENTRY_MISSING, 11),
        ("DELETE FROM ledger.journal WHERE seq > 30", Damage.TAIL_CUT, 31),
        (
            "UPDATE ledger.idempotency SET fingerprint = key_hash WHERE seq = 6",
            Damage.KEY_CHANGED,
            6,
        ),
        ("DELETE FROM ledger.idempotency WHERE seq = 6", Damage.KEY_MISSING, 7),
        (
            "INSERT INTO ledger.idempotency SELECT 1, '0123456789abcdef', fingerprint, seq, "
            "refusal, recorded_at FROM ledger.idempotency WHERE seq = 6",
            Damage.KEY_INSERTED,
            6,
        ),
        (
            "UPDATE ledger.seals SET keys_root = entries_root WHERE number = 1",
            Damage.SEAL_CHANGED,
            None,
        ),
        ("DELETE FROM ledger.seals WHERE number = 1", Damage.SEAL_CHANGED, None),
        ("DELETE FROM ledger.seal_leaves WHERE first_index = 0", Damage.SEAL_CHANGED, None),
    ],
)
async def test_what_was_done_is_named_with_its_seq(
    books: asyncpg.Connection, statement: str, damage: Damage, seq: int | None
) -> None:
    for table in ("journal", "events", "idempotency", "seals", "seal_leaves"):
        await books.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL")
    await books.execute(statement)
    report = await verify(books, MAIN_LEDGER_ID)
    first = report.in_order()[0]
    assert (first.damage, first.seq) == (damage, seq), report.in_order()
    assert report.first_bad_seq == seq


async def test_a_tail_cut_with_its_seals_is_told_by_the_anchor_alone(
    books: asyncpg.Connection,
) -> None:
    anchor = await last_seal(books, MAIN_LEDGER_ID)
    assert anchor is not None
    for table in ("journal", "events", "idempotency", "seals", "seal_leaves"):
        await books.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL")
    cut = await books.fetchrow("SELECT * FROM ledger.seals WHERE number = 1")
    for statement in (
        "DELETE FROM ledger.journal WHERE seq > $1",
        "DELETE FROM ledger.events WHERE seq > $1",
        "DELETE FROM ledger.idempotency WHERE seq > $1 OR seq IS NULL AND recorded_at > "
        "(SELECT max(recorded_at) FROM ledger.journal) AND $1 > 0",
        "UPDATE ledger.ledgers SET last_seq = seq, last_entry_id = entry_id, "
        "last_recorded_at = recorded_at FROM ledger.journal WHERE seq = $1",
    ):
        await books.execute(statement, cut["entries_size"])
    await books.execute("DELETE FROM ledger.seals WHERE number > 1")
    await books.execute("DELETE FROM ledger.seal_leaves WHERE first_index > 0")
    told = [one for one in (await verify(books, MAIN_LEDGER_ID)).findings if one.by_seal]
    assert told == []
    report = await verify(books, MAIN_LEDGER_ID, anchor=anchor)
    assert (report.first_bad_seq, report.in_order()[0].damage) == (
        cut["entries_size"] + 1,
        Damage.TAIL_CUT,
    )


async def test_an_anchor_of_another_ledger(books: asyncpg.Connection) -> None:
    anchor = await last_seal(books, MAIN_LEDGER_ID)
    assert anchor is not None
    report = await verify(books, MAIN_LEDGER_ID, anchor=anchor._replace(ledger="berlin"))
    assert [one.damage for one in report.findings] == [Damage.ANCHOR_DIFFERS]


async def test_from_keys_to_a_check_without_a_database(
    books: asyncpg.Connection,
    databases: TestDatabases,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private, public, anchor = (tmp_path / name for name in ("private", "public", "anchor"))
    monkeypatch.setenv("LEDGER_DATABASE_URL", databases.ledger_url)
    made = await ledger("keygen", "auditor", "--private", private, "--public", public)
    assert made.exit_code == CLEAN, made.output
    assert private.stat().st_mode & 0o077 == 0
    again = await ledger("keygen", "auditor", "--private", private, "--public", public)
    assert (again.exit_code, "is there already" in again.output) == (USAGE, True)
    signed = await ledger("anchor", anchor, "--key", private)
    assert signed.exit_code == CLEAN, signed.output
    said = read_anchor(anchor.read_text("utf-8"), read_public_key(public.read_text("utf-8")))
    assert said == await last_seal(books, MAIN_LEDGER_ID)
    trusted = ("--anchor", anchor, "--public-key", public)
    verified = await ledger("verify", *trusted, "--json")
    document = json.loads(verified.output)
    assert (verified.exit_code, document["anchored_seq"]) == (CLEAN, said.entries_size)
    file = tmp_path / "books.ndjson"
    with file.open("wb") as opened:
        await export_ledger(books, "main", opened)
    monkeypatch.setenv("LEDGER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    checked = await ledger("verify-export", file, *trusted, "--json")
    offline = json.loads(checked.output)
    assert (checked.exit_code, offline) == (CLEAN, document)
    anchor.write_text(anchor.read_text("utf-8").replace("kairon/main", "kairon/mine"), "utf-8")
    refused = await ledger("verify-export", file, *trusted)
    assert (refused.exit_code, "was changed" in refused.output) == (DISAGREEMENT, True)


async def test_a_file_that_was_changed_with_its_seals_is_told_by_the_anchor(
    books: asyncpg.Connection, tmp_path: Path
) -> None:
    anchor = await last_seal(books, MAIN_LEDGER_ID)
    file, forged = tmp_path / "books", tmp_path / "forged"
    with file.open("wb") as opened:
        await export_ledger(books, "main", opened)
    assert (await verify_export(file, anchor=anchor)).findings == []

    def changed(line: Line) -> Line:
        is_it = not isinstance(line, TableRow) and line.seq == 9 and hasattr(line, "payload")
        return line._replace(reference="forged") if is_it else line

    rewrite(file, forged, changed)
    report = await verify_export(forged, anchor=anchor)
    assert (report.first_bad_seq, report.in_order()[0].damage) == (9, Damage.ENTRY_CHANGED)
    rewrite(file, forged, lambda line: None if isinstance(line, TableRow) else changed(line))
    report = await verify_export(forged, anchor=anchor)
    assert Damage.ANCHOR_DIFFERS in {one.damage for one in report.findings}
    rewrite(file, forged, lambda line: None if isinstance(line, TableRow) else line)
    report = await verify_export(forged, anchor=anchor)
    assert {one.damage for one in report.findings} == {Damage.SEAL_CHANGED}


async def test_a_file_that_is_cut_is_no_export(books: asyncpg.Connection, tmp_path: Path) -> None:
    file = tmp_path / "books"
    with file.open("wb") as opened:
        await export_ledger(books, "main", opened)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(BadExport, match="cut"):
        await verify_export(file)
    said = await ledger("verify-export", file)
    assert (said.exit_code, "cut" in said.output) == (DISAGREEMENT, True)


async def test_what_cannot_be_done_is_said(
    databases: TestDatabases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", databases.ledger_url)
    private, public, anchor = (tmp_path / name for name in ("private", "public", "anchor"))
    await ledger("keygen", "auditor", "--private", private, "--public", public)
    for arguments, sentence in (
        (("anchor", anchor, "--key", private), "has no entries to anchor"),
        (("anchor", anchor, "--key", public), "not a private key"),
        (("anchor", anchor, "--key", tmp_path / "none"), "cannot be read"),
        (("verify", "--ledger", "none"), "There is no ledger none"),
        (("verify", "--anchor", anchor), "--public-key"),
        (("verify", "--anchor", anchor, "--public-key", public), "cannot be read"),
        (("keygen", "two words", "--private", anchor, "--public", public), "cannot have the name"),
        (("verify-export", tmp_path / "none"), "cannot be read"),
    ):
        said = await ledger(*arguments)
        assert (said.exit_code, sentence in said.output) == (USAGE, True), said.output
    nothing = await ledger("seal")
    assert (nothing.exit_code, nothing.output) == (CLEAN, "There is nothing to seal.\n")


async def test_seal_covers_all_at_once(
    books: asyncpg.Connection, databases: TestDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", databases.ledger_url)
    last_seq = await books.fetchval("SELECT last_seq FROM ledger.ledgers")
    said = await ledger("seal")
    assert f"covers {last_seq} entries" in said.output
    assert await seal_what_is_new(books, MAIN_LEDGER_ID) == 0


def rewrite(file: Path, to: Path, change: Any) -> None:
    """Write an export anew with its lines changed, None to leave one out; sums are made anew."""
    with ExportReader(file) as reader:
        header = reader.header
        lines = [changed for line in reader if (changed := change(line)) is not None]
    rows = sum(isinstance(line, TableRow) for line in lines)
    header = header._replace(counts=header.counts._replace(rows=rows))
    with to.open("wb") as opened:
        writer = ExportWriter(opened, header, compress=False)
        for line in lines:
            if isinstance(line, TableRow):
                writer.row(line)
            elif hasattr(line, "payload"):
                writer.entry(line)
            else:
                writer.key(line)
        writer.finish()

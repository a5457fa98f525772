"""Whole ledgers and files on the command line: results, exit codes, and who is told what."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from ledger_service.cli import app
from tests import postgres
from tests.live import live_service
from tests.postgres import Template, TestDatabases

CLEAN, DISAGREEMENT, USAGE, INFRASTRUCTURE, REFUSED = 0, 1, 2, 3, 4
LEDGER = "ledger_service.main"


@dataclass
class Terminal:
    """A shell in which the ledger's settings are in force, and a folder for files."""

    environment: dict[str, str]
    folder: Path
    admin_url: str

    def run(self, *arguments: str, code: int = CLEAN) -> Result:
        """Run a command; whatever happens, it ends in an exit code and not in a traceback."""
        done = CliRunner().invoke(app, arguments, env=self.environment | {"COLUMNS": "200"})
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code == code, done.output
        return done

    def json(self, *arguments: str, code: int = CLEAN) -> Any:
        """Run a command with --json and return what it prints."""
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def file(self, name: str, text: str = "") -> str:
        path = self.folder / name
        if text:
            path.write_text(text, encoding="utf-8")
        return str(path)

    def damage(self, statement: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(self.admin_url)
            await connection.execute(statement)
            await connection.close()

        asyncio.run(execute())

    def accounts(self) -> dict[str, str]:
        return {one["code"]: one["account_id"] for one in self.json("accounts")}

    def balance(self, code: str) -> str:
        found: str = self.json("balance", self.accounts()[code])["balance"]
        return found


@pytest.fixture
def terminal(databases: TestDatabases, tmp_path: Path) -> Iterator[Terminal]:
    environment = {
        "LEDGER_DATABASE_URL": databases.ledger_url,
        "DATABASE_URL": databases.admin_url,
        "KAIRON_DATA_DIR": str(tmp_path),
        "LEDGER_SEAL_SECONDS": "0",
    }
    with live_service(LEDGER, environment, tmp_path / "log") as (url, _):
        yield Terminal(environment | {"LEDGER_URL": url}, tmp_path, databases.admin_url)


@pytest.fixture
def elsewhere(template: Template, tmp_path: Path) -> Iterator[Terminal]:
    """A shell whose database is another one; no service runs there."""
    name = asyncio.run(postgres.clone(template))
    urls = template.databases(name)
    environment = {
        "LEDGER_DATABASE_URL": urls.ledger_url,
        "DATABASE_URL": "",
        "KAIRON_DATA_DIR": str(tmp_path / "no"),
    }
    yield Terminal(environment, tmp_path, urls.admin_url)
    asyncio.run(postgres.drop_database(template.admin_url, name))


OPENING = """\
code,type,name,currency,balance
assets:bank,asset,Bank,USD,1000.00
users:anna,user,Anna,USD,250.50
users:bob,user,Bob,USD,0
assets:vault,asset,Vault,EUR,-3.00
"""


def test_a_ledger_begins_with_its_opening_balances(terminal: Terminal) -> None:
    file = terminal.file("opening.csv", OPENING)
    shown = terminal.run("opening-balances", file).stdout
    assert "Nothing is posted yet; --yes posts it." in shown
    assert shown.count("opens it, posts it") == 3
    assert terminal.json("accounts") == []
    terminal.run("opening-balances", file, "--yes")
    assert {code: terminal.balance(code) for code in terminal.accounts()} == {
        "assets:bank": "1000.00",
        "users:anna": "250.50",
        "users:bob": "0.00",
        "assets:vault": "-3.00",
        "equity:opening-balances:EUR": "-3.00",
        "equity:opening-balances:USD": "749.50",
    }
    before = terminal.json("verify")["entries"]
    again = terminal.json("opening-balances", file, "--yes")
    assert [one["what"] for one in again] == [
        "posted before", "posted before", "nothing to do", "posted before",
    ]  # fmt: skip
    assert terminal.json("verify") | {"entries": before} == terminal.json("verify")
    assert terminal.json("verify")["findings"] == []


def test_an_account_that_balances_them_may_be_named(terminal: Terminal) -> None:
    opened = ["account", "open", "--currency", "USD", "--type"]
    equity = terminal.json(*opened, "equity")["account_id"]
    user = terminal.json(*opened, "user")["account_id"]
    file = terminal.file("opening.csv", f"account_id,currency,balance\n{user},USD,12.5\n")
    terminal.run("opening-balances", file, "--equity-account", equity, "--yes",
                 "--effective-at", "2026-01-01T00:00:00Z")  # fmt: skip
    assert terminal.json("balance", user)["balance"] == "12.50"
    assert terminal.json("balance", equity)["balance"] == "-12.50"
    (event, _) = terminal.json("events")
    assert event["effective_at"] == "2026-01-01T00:00:00.000000Z"
    euros = terminal.file("euros.csv", "code,type,currency,balance\na:b,asset,EUR,1\n")
    refused = terminal.run("opening-balances", euros, "--equity-account", equity, code=USAGE)
    assert "No --equity-account is in EUR." in refused.stderr


def test_every_bad_line_is_told_and_nothing_is_posted(terminal: Terminal) -> None:
    opened = ["account", "open", "--currency", "USD", "--type"]
    funding = terminal.json(*opened, "internal")["account_id"]
    user = terminal.json(*opened, "user", "--code", "users:moved")["account_id"]
    terminal.run("transfer", funding, user, "1.00", "USD")
    file = terminal.file(
        "opening.csv",
        "code,account_id,type,currency,balance\n"
        "users:anna,,user,USD,1.00\n"
        "users:none,,,USD,1.00\n"
        "users:martian,,martian,USD,1.00\n"
        "users:odd code,,user,USD,1.00\n"
        "users:yen,,user,JPY,1.50\n"
        "users:strange,,user,QQQ,1\n"
        "users:poor,,user,USD,-1.00\n"
        "users:moved,,,USD,5.00\n"
        "users:moved,,,EUR,5.00\n"
        ",01980b5c-6f60-7b44-9a21-0d4f4d1f2a13,,USD,5.00\n"
        f",{funding},,EUR,5.00\n",
    )
    before = terminal.json("verify")["entries"]
    told = terminal.run("opening-balances", file, "--yes", code=REFUSED).stderr
    assert told.startswith("Nothing is posted.\n")
    for sentence in (
        "Line 3: there is no account users:none, and no type to open it.",
        "Line 4: users:martian: martian is neither a type of ours",
        "Line 5: users:odd code:",
        "Line 6: balance 1.50 JPY: 2 decimals",
        "Line 7: users:strange: ",
        "Line 8: users:poor may not have less than 0.00 USD.",
        "Line 9: users:moved has 1 events already.",
        "Line 10: users:moved stands in line 9 already.",
        "Line 11: 01980b5c-6f60-7b44-9a21-0d4f4d1f2a13: there is no account",
        f"Line 12: {funding} has the currency USD, not EUR.",
    ):
        assert sentence in told
    assert "Line 2" not in told
    assert terminal.json("verify")["entries"] == before


def test_a_file_that_is_no_csv_of_balances_is_a_misuse(terminal: Terminal) -> None:
    for text in ("a,b\n1,2\n", "code,currency,balance\n", "\x00"):
        terminal.run("opening-balances", terminal.file("bad.csv", text), code=USAGE)
    terminal.run("opening-balances", terminal.file("none.csv"), code=USAGE)
    terminal.run("opening-balances", str(terminal.folder), code=USAGE)


def test_a_ledger_goes_to_a_file_and_comes_back_elsewhere(
    terminal: Terminal, elsewhere: Terminal
) -> None:
    terminal.run("opening-balances", terminal.file("opening.csv", OPENING), "--yes")
    terminal.run("seal")
    file, zipped = terminal.file("books.ndjson"), terminal.file("books.ndjson.gz")
    told = terminal.json("export", file)
    assert (told["entries"], told["last_seq"]) == (8, 8)
    terminal.run("export", zipped)
    assert gzip.decompress(Path(zipped).read_bytes()) == Path(file).read_bytes()
    assert "is there already; --force overwrites it." in (
        terminal.run("export", file, code=USAGE).stderr
    )
    terminal.run("export", file, "--force")
    assert "ledger main up to seq 8, 8 entries" in elsewhere.run("import", zipped).stdout
    assert elsewhere.json("verify")["findings"] == []
    again = elsewhere.file("again.ndjson")
    assert elsewhere.json("export", again)["sha256"] == told["sha256"]
    assert Path(again).read_bytes() == Path(file).read_bytes()
    refused = elsewhere.run("import", file, code=USAGE)
    assert "The ledger main is not empty" in refused.stderr
    refused = elsewhere.run("import", file, "--ledger", "berlin", code=USAGE)
    assert "has the account" in refused.stderr


def test_files_that_do_not_read_end_in_a_sentence(elsewhere: Terminal) -> None:
    for name, text, sentence in (
        ("empty", "", "The file is empty."),
        ("foreign.csv", "a,b\n1,2\n", "not an export"),
        ("cut", '{"header": {"format": "kairon-ledger", "version": 1', "not an export"),
        ("new", '{"header": {"format": "kairon-ledger", "version": 2}}\n', "has version 2"),
    ):
        path = elsewhere.folder / name
        path.write_text(text, encoding="utf-8")
        told = elsewhere.run("import", str(path), code=DISAGREEMENT)
        assert sentence in told.stderr
    assert (
        "none: No such file" in elsewhere.run("import", elsewhere.file("none"), code=USAGE).stderr
    )
    elsewhere.run("import", str(elsewhere.folder), code=USAGE)
    elsewhere.run("export", str(elsewhere.folder / "no" / "books"), code=USAGE)
    told = elsewhere.run("export", elsewhere.file("x"), "--ledger", "nowhere", code=USAGE)
    assert "There is no ledger nowhere." in told.stderr
    assert not (elsewhere.folder / "x").exists()


def test_without_a_database_the_commands_say_so(tmp_path: Path) -> None:
    nowhere = {"LEDGER_DATABASE_URL": "postgresql://x:y@127.0.0.1:1/x"}
    terminal = Terminal(nowhere | {"KAIRON_DATA_DIR": str(tmp_path)}, tmp_path, "")
    terminal.run("export", terminal.file("books"), code=INFRASTRUCTURE)
    terminal.run("rebuild", code=INFRASTRUCTURE)
    assert not (tmp_path / "books").exists()


def test_damaged_projections_are_shown_and_repaired(terminal: Terminal) -> None:
    terminal.run("opening-balances", terminal.file("opening.csv", OPENING), "--yes")
    assert "8 entries replayed: no rows differ" in terminal.run("rebuild").stdout
    terminal.damage("UPDATE ledger.balances SET credits_minor = credits_minor + 1")
    shown = terminal.run("rebuild", code=DISAGREEMENT).stdout
    assert "8 entries replayed: 6 rows differ" in shown
    assert "credits_minor is 25051, replay makes it 25050" in shown
    terminal.run("verify", code=DISAGREEMENT)
    repaired = terminal.json("rebuild", "--repair")
    assert (repaired["repaired"], len(repaired["differences"])) == (True, 6)
    assert terminal.json("rebuild") | {"epoch": None} == {
        "ledger": "main", "entries": 8, "differences": [], "repaired": False, "epoch": None,
    }  # fmt: skip
    assert terminal.json("verify")["findings"] == []
    assert terminal.balance("users:anna") == "250.50"
    terminal.run("rebuild", "--ledger", "nowhere", code=USAGE)


def test_a_repair_needs_the_administrator(elsewhere: Terminal) -> None:
    told = elsewhere.run("rebuild", "--repair", code=INFRASTRUCTURE)
    assert "DATABASE_URL is not set: a repair needs the administrator's rights" in told.stderr


def test_nothing_is_made_of_a_damaged_log(terminal: Terminal) -> None:
    terminal.run("opening-balances", terminal.file("opening.csv", OPENING), "--yes")
    terminal.damage("ALTER TABLE ledger.journal DISABLE TRIGGER ALL")
    terminal.damage("DELETE FROM ledger.journal WHERE seq = 2")
    told = terminal.run("rebuild", "--repair", code=DISAGREEMENT).stderr
    assert "The log itself is damaged: seq 2 is missing: 3 follows." in told

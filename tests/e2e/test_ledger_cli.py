"""The ledger's command line against a live service: results, refusals, exit codes, a live feed."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from ledger_service.cli import app
from tests import postgres
from tests.live import ROOT, free_port, live_service
from tests.postgres import Template, TestDatabases

CLEAN, USAGE, INFRASTRUCTURE, REFUSED = 0, 2, 3, 4
LEDGER = "ledger_service.main"


@dataclass
class Terminal:
    """A shell in which the ledger's settings are in force."""

    environment: dict[str, str]
    ledger: str | None = None

    def run(self, *arguments: str, code: int = CLEAN) -> Result:
        """Run a command; whatever happens, it ends in an exit code and not in a traceback."""
        if self.ledger is not None and "--ledger" not in arguments:
            arguments = (*arguments, "--ledger", self.ledger)
        done = CliRunner().invoke(app, arguments, env=self.environment | {"COLUMNS": "200"})
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code == code, done.output
        return done

    def json(self, *arguments: str) -> Any:
        """Run a command with --json and return what it prints."""
        return json.loads(self.run(*arguments, "--json").stdout)

    @contextmanager
    def process(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """Run `python ledger_service/cli.py` as a process of its own, to the end of the block."""
        command = [sys.executable, "ledger_service/cli.py", *arguments]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A test run in the background ignores Ctrl-C, and so would whatever it starts.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def account(self, *options: str) -> str:
        opened: str = self.json("account", "open", "--currency", "USD", *options)["account_id"]
        return opened

    def funded(self, amount: str = "100.00") -> tuple[str, str]:
        """Open an internal account and a user's, which has `amount`."""
        funding, user = self.account("--type", "internal"), self.account()
        self.run("transfer", funding, user, amount, "USD")
        return funding, user


@pytest.fixture(scope="module")
def live(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One service for all tests here, on a database of its own; yields its URL."""
    folder = tmp_path_factory.mktemp("ledger")
    name = asyncio.run(postgres.clone(template))
    with live_service(LEDGER, environment(template.databases(name), folder), folder / "log") as (
        url,
        _,
    ):
        yield url
    asyncio.run(postgres.drop_database(template.admin_url, name))


@pytest.fixture
def terminal(live: str, tmp_path: Path) -> Terminal:
    """A shell, and a ledger of the test's own that its commands name."""
    name = f"test-{secrets.token_hex(4)}"
    assert httpx.put(f"{live}/ledger/ledger/{name}").status_code == 201
    return Terminal({"LEDGER_URL": live, "KAIRON_DATA_DIR": str(tmp_path)}, name)


def environment(databases: TestDatabases, folder: Path) -> dict[str, str]:
    return {
        "LEDGER_DATABASE_URL": databases.ledger_url,
        "KAIRON_DATA_DIR": str(folder),
        "LEDGER_SEAL_SECONDS": "0",
    }


def test_money_from_the_first_account_to_a_reversal(terminal: Terminal) -> None:
    funding = terminal.account("--type", "internal", "--name", "Funding")
    user = terminal.account("--name", "[bold]Ann[/bold]", "--metadata", "country=DE")
    shown = terminal.run("account", "show", user).stdout
    assert '{"name": "[bold]Ann[/bold]", "country": "DE"}' in shown
    posted = terminal.json(
        "transfer", funding, user, "100.50", "USD", "--reference", "R1", "--description", "Rent"
    )
    assert posted["metadata"] == {"description": "Rent"}
    assert "100.50" in terminal.run("balance", user).stdout
    assert terminal.json("balance", user)["balance"] == "100.50"
    assert terminal.json("balance", user, "--at-seq", "2")["balance"] == "0.00"
    listed = terminal.json("transactions", "--reference", "R1")
    assert [one["transaction_id"] for one in listed] == [posted["transaction_id"]]
    assert "100.50 USD" in terminal.run("transactions").stdout
    assert posted["transaction_id"] in terminal.run("transaction", posted["transaction_id"]).stdout
    events = terminal.json("events", "--account", user)
    assert [(one["direction"], one["balance_after"]) for one in events] == [("credit", "100.50")]
    assert "100.50" in terminal.run("events").stdout
    back = terminal.json("reverse", posted["transaction_id"], "--amount", "0.50")
    assert back["kind"] == "reversal"
    assert terminal.json("balance", user)["balance"] == "100.00"


def test_a_hold_is_placed_captured_in_part_and_voided(terminal: Terminal) -> None:
    funding, user = terminal.funded()
    hold = terminal.json("hold", "place", user, funding, "40.00", "USD", "--expires-in", "600")
    hold_id = hold["hold_id"]
    assert terminal.json("balance", user)["available"] == "60.00"
    terminal.run("hold", "increase", hold_id, "10.00")
    terminal.run("hold", "capture", hold_id, "--amount", "30.00", "--reference", "C1")
    terminal.run("hold", "release", hold_id, "5.00")
    assert [one["remaining"] for one in terminal.json("holds", "--status", "open")] == ["15.00"]
    terminal.run("hold", "void", hold_id)
    history = terminal.json("hold", "show", hold_id)["history"]
    assert [one["kind"] for one in history] == [
        "hold_placed",
        "hold_increased",
        "hold_captured",
        "hold_released",
        "hold_voided",
    ]
    assert "hold_captured" in terminal.run("hold", "show", hold_id).stdout
    assert terminal.json("balance", user)["available"] == "70.00"
    late = terminal.run("hold", "capture", hold_id, code=REFUSED)
    assert "voided" in late.stderr


def test_a_refusal_is_a_sentence_with_its_numbers(terminal: Terminal) -> None:
    funding, user = terminal.funded("10.00")
    refused = terminal.run("transfer", user, funding, "12.50", "USD", code=REFUSED)
    assert refused.stdout == ""
    sentence, *numbers = refused.stderr.splitlines()
    assert sentence == "the source can pay 10.00 USD, 2.50 less than 12.50"
    assert "  shortfall: 2.50" in numbers
    assert not any(line.strip().startswith(("type:", "status:", "code:")) for line in numbers)
    as_json = terminal.run("transfer", user, funding, "12.50", "USD", "--json", code=REFUSED)
    problem = json.loads(as_json.stderr)
    assert (problem["code"], problem["shortfall"]) == ("insufficient_funds", "2.50")
    assert terminal.json("balance", user)["balance"] == "10.00"


def test_what_would_be_is_told_and_not_done(terminal: Terminal) -> None:
    funding, user = terminal.funded()
    done = terminal.run("transfer", user, funding, "1.00", "USD", "--dry-run")
    assert "Would be posted" in done.stdout
    assert terminal.json("balance", user)["balance"] == "100.00"


def test_the_same_key_does_it_once(terminal: Terminal) -> None:
    funding, user = terminal.funded()
    ask = ("transfer", user, funding, "1.00", "USD", "--key", "once")
    assert terminal.json(*ask) == terminal.json(*ask)
    assert terminal.json("balance", user)["balance"] == "99.00"


def test_an_account_is_found_frozen_and_closed(terminal: Terminal) -> None:
    funding, user = terminal.funded()
    bank = terminal.account("--type", "asset", "--code", "assets:bank")
    assert [one["account_id"] for one in terminal.json("accounts", "--under", "assets")] == [bank]
    assert [one["account_id"] for one in terminal.json("accounts", "--type", "user")] == [user]
    assert "assets:bank" in terminal.run("accounts").stdout
    terminal.run("account", "freeze", user, "debits")
    assert terminal.json("accounts", "--type", "user")[0]["frozen"] == "debits"
    assert "frozen" in terminal.run("transfer", user, funding, "1", "USD", code=REFUSED).stderr
    terminal.run("account", "freeze", user, "none")
    not_empty = terminal.run("account", "close", user, code=REFUSED)
    assert "100.00" in not_empty.stderr
    terminal.run("account", "close", bank)
    changes = terminal.json("account", "history", bank)
    assert [one["status"] for one in changes] == ["open", "closed"]


def test_lists_longer_than_a_page_come_whole(terminal: Terminal) -> None:
    funding, user = terminal.funded()
    body = {"source_account_id": user, "destination_account_id": funding, "currency": "USD"}
    items = [body | {"amount": "0.01"} for _ in range(600)]
    batch = {"mode": "atomic", "transfers": items}
    url = terminal.environment["LEDGER_URL"]
    params = {"ledger": terminal.ledger}
    done = httpx.post(f"{url}/ledger/batch/", json=batch, params=params, timeout=30)
    assert done.status_code == 200, done.text
    events = terminal.json("events", "--limit", "5000")
    assert len(events) == 2 * 601
    assert [one["seq"] for one in events] == sorted(one["seq"] for one in events)
    assert len(terminal.json("events", "--limit", "501")) == 501


def test_ledgers_are_chosen_by_name(terminal: Terminal) -> None:
    terminal.funded()
    url = terminal.environment["LEDGER_URL"]
    assert httpx.put(f"{url}/ledger/ledger/berlin").status_code == 201
    assert terminal.ledger != "berlin"
    berlin = terminal.account("--ledger", "berlin")
    there = terminal.json("accounts", "--ledger", "berlin")
    assert [one["account_id"] for one in there] == [berlin]
    assert len(terminal.json("accounts")) == 2
    nowhere = terminal.run("accounts", "--ledger", "nowhere", code=USAGE)
    assert "there is no ledger nowhere" in nowhere.stderr


def test_what_was_typed_wrongly_ends_with_2_and_no_traceback(terminal: Terminal) -> None:
    unknown = "01980b5c-6f5e-7c3a-9d55-0d4f4d1f2a10"
    assert unknown in terminal.run("balance", unknown, code=USAGE).stderr
    assert terminal.run("balance", "mine", code=USAGE).stderr
    assert "KEY=VALUE" in terminal.run("accounts", "--metadata", "x", code=USAGE).stderr
    assert "theft" in terminal.run("account", "freeze", unknown, "theft", code=USAGE).stderr
    assert terminal.run("events", "--limit", "0", code=USAGE).stderr
    assert terminal.run("transfer", code=USAGE).stderr


def test_a_service_that_is_not_there_ends_with_3(tmp_path: Path) -> None:
    nobody = Terminal(
        {"LEDGER_URL": f"http://127.0.0.1:{free_port()}", "KAIRON_DATA_DIR": str(tmp_path)}
    )
    for command in (("accounts",), ("transfer", "a", "b", "1", "USD"), ("events", "--follow")):
        failed = nobody.run(*command, code=INFRASTRUCTURE)
        assert "does not answer" in failed.stderr
        assert "scripts/up" in failed.stderr


def test_events_are_followed_through_a_restart_of_the_service(
    databases: TestDatabases, tmp_path: Path
) -> None:
    """What is posted while nobody serves the feed comes when it is back, once and in order."""
    port = free_port()
    settings = environment(databases, tmp_path)
    terminal = Terminal(settings | {"LEDGER_URL": f"http://127.0.0.1:{port}"})
    follow = ("events", "--follow", "--after-seq", "0", "--json")
    with ExitStack() as stack:
        with live_service(LEDGER, settings, tmp_path / "one", port):
            funding, user = terminal.funded()  # entries 1 to 3
            following = stack.enter_context(terminal.process(*follow))
            seen = [_seq(following) for _ in range(2)]
        with live_service(LEDGER, settings, tmp_path / "two", port):
            for _ in range(3):
                terminal.run("transfer", user, funding, "1.00", "USD")
            seen += [_seq(following) for _ in range(6)]
            following.send_signal(signal.SIGINT)
            _, said = following.communicate(timeout=30)
    assert seen == [3, 3, 4, 4, 5, 5, 6, 6]
    assert following.returncode == CLEAN, said
    assert said.count("The connection broke") == 1


def test_following_ends_where_it_was_told_to(terminal: Terminal) -> None:
    _, user = terminal.funded()
    done = terminal.run("events", "--follow", "--after-seq", "0", "--up-to-seq", "3")
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert user in lines[1]
    assert "+100.00 USD" in lines[1]
    one = terminal.run(
        "events", "--follow", "--account", user, "--after-seq", "0", "--up-to-seq", "3", "--json"
    )
    assert [json.loads(line)["account_id"] for line in one.stdout.splitlines()] == [user]


def _seq(following: "subprocess.Popen[str]") -> int:
    """Return the seq of the next event that is followed."""
    assert following.stdout is not None
    event = json.loads(following.stdout.readline())
    assert isinstance(event["seq"], int)
    return event["seq"]

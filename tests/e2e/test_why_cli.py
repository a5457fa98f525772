"""Explanations on the command line, from a running service: tables, bars, JSON, and refusals."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from typer.testing import CliRunner, Result

from recon_service.cli import app
from tests.live import live_service
from tests.postgres import TestDatabases

LINES = (
    "txn_id,timestamp,amount,currency,description",
    "TXN-1,2025-07-13T12:00:00Z,10.00,USD,",
    "X-2,2025-07-13T12:00:00Z,20.00,USD,[bold]office[/bold] chairs meyer",
    "TXN-3,2025-07-13T12:00:00Z,30.30,USD,",
)
USAGE = 2


@pytest.fixture
def environment(databases: TestDatabases, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Both services as processes, with a statement reconciled."""
    found = {
        "LEDGER_DATABASE_URL": databases.ledger_url,
        "RECON_DATABASE_URL": databases.recon_url,
        "RECON_NIGHTLY": "false",
        "RECON_WORKERS": "0",
        "KAIRON_DATA_DIR": str(tmp_path),
        "COLUMNS": "160",
    }
    statement = tmp_path / "bank.csv"
    statement.write_text("\n".join([*LINES, ""]), encoding="utf-8")
    with live_service("ledger_service.main", found, tmp_path / "ledger.log") as (ledger, _):
        found |= {"RECON_LEDGER_URL": ledger}
        post(ledger, ("TXN-1", "10.00"), ("INV-2", "20.00"), ("TXN-3", "30.00"))
        with live_service("recon_service.main", found, tmp_path / "recon.log") as (recon, _):
            found |= {"RECON_URL": recon}
            run = ("run-recon", "--source", "bank_csv", "--date", "2025-07-13", "--file_path")
            assert recon_command(found, *run, str(statement)).exit_code == 1
            yield found


def post(url: str, *payments: tuple[str, str]) -> None:
    with httpx.Client(base_url=url) as ledger:
        account = {"currency": "USD", "type": "internal"}
        ids = [ledger.post("/ledger/account/", json=account).json()["account_id"] for _ in range(2)]
        for reference, amount in payments:
            body = {
                "source_account_id": ids[0],
                "destination_account_id": ids[1],
                "amount": amount,
                "currency": "USD",
                "reference": reference,
                "effective_at": "2025-07-13T12:00:00Z",
                "metadata": {"description": "Office chairs Meyer"},
            }
            assert ledger.post("/ledger/transfer/", json=body).status_code == 201


def recon_command(environment: dict[str, str], *arguments: str) -> Result:
    done = CliRunner().invoke(app, arguments, env=os.environ | environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_decisions_are_explained_in_a_terminal(environment: dict[str, str]) -> None:
    told = recon_command(environment, "logs", "--date", "2025-07-13", "--json")
    exact, fuzzy, unmatched = json.loads(told.stdout)
    shown = recon_command(environment, "why", str(exact["log_id"])).stdout
    assert "matched exactly" in shown
    assert "Transaction id" in shown
    shown = recon_command(environment, "why", str(fuzzy["log_id"])).stdout
    assert "█" in shown
    assert "[bold]office[/bold]" in shown
    document = json.loads(recon_command(environment, "why", str(fuzzy["log_id"]), "--json").stdout)
    assert f"p = {document['weighing']['probability']:.4g}" in shown
    shown = recon_command(environment, "why-unmatched", unmatched["record_id"]).stdout
    assert "amount_difference" in shown
    assert "An absolute tolerance of 0.30 would match it automatically (tried)." in shown
    told = recon_command(environment, "why-unmatched", unmatched["record_id"], "--json")
    assert json.loads(told.stdout)["change"]["policy"] == {"amount_tolerance": {"absolute": "0.30"}}
    for arguments in (("why", "999999"), ("why-unmatched", str(uuid4())), ("why", "x")):
        assert recon_command(environment, *arguments).exit_code == USAGE


def test_examples_in_swagger_exist(environment: dict[str, str]) -> None:
    with httpx.Client(base_url=environment["RECON_URL"]) as recon:
        paths = recon.get("/openapi.json").json()["paths"]
        for path in ("/recon/logs/{log_id}/why", "/recon/records/{record_id}/why-unmatched"):
            parameter = paths[path]["get"]["parameters"][0]
            [example] = parameter["examples"].values()
            answer = recon.get(path.replace(f"{{{parameter['name']}}}", str(example["value"])))
            assert answer.status_code == 200, answer.text

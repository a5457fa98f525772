"""The ledger on the command line: look at accounts and events, verify the books.

Exit codes: 0 fine, 1 the books do not agree with themselves, 2 usage, 3 infrastructure.
"""

import asyncio
import json
import os
import sys
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

if __package__ in (None, ""):  # run as `python ledger_service/cli.py`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from shared.environment import use_project_environment

    use_project_environment()

import asyncpg
import httpx
import typer
from rich.console import Console
from rich.table import Table

from ledger_service.projections.verifier import Report, verify
from ledger_service.settings import LedgerSettings
from ledger_service.tables import MAIN_LEDGER_ID
from shared.database import connect
from shared.settings import MissingSetting
from shared.stack_files import read_environment, stack_files

LEDGER_URL_DEFAULT = "http://127.0.0.1:8000"
VERIFY_STATEMENT_MS_MAX = 600_000
ANSWER_SECONDS_MAX = 30


class Exit(IntEnum):
    CLEAN = 0
    DISAGREEMENT = 1
    USAGE = 2
    INFRASTRUCTURE = 3


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
Limit = Annotated[int, typer.Option(min=1, max=500)]


@app.callback()
def ledger(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", "--data_dir", help="of the running stack")
    ] = None,
) -> None:
    """The double-entry ledger."""
    if data_dir is not None:
        os.environ["KAIRON_DATA_DIR"] = str(data_dir)


@app.command()
def accounts(limit: Limit = 50, as_json: AsJson = False) -> None:
    """List accounts in the order in which they were opened."""
    found = _get("/ledger/account/", limit=limit)["accounts"]
    _show(found, ("account_id", "type", "currency", "opened_at"), "Accounts", as_json)


@app.command()
def balance(account_id: str, as_json: AsJson = False) -> None:
    """Show an account's balance."""
    found = _get(f"/ledger/account/{account_id}/balance")
    _show([found], ("balance", "currency", "debits", "credits", "position"), account_id, as_json)


@app.command()
def events(
    account: Annotated[str | None, typer.Option(help="only this account's")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List debits and credits in the order of the history."""
    params: dict[str, str | int] = {"limit": limit}
    if account is not None:
        params["account_id"] = account
    columns = ("seq", "account_id", "direction", "amount", "currency", "balance_after", "reference")
    _show(_get("/ledger/events/", **params)["events"], columns, "Events", as_json)


@app.command(name="verify")
def verify_books(as_json: AsJson = False) -> None:
    """Replay the whole log and compare balances, accounts and events with it."""
    try:
        report = asyncio.run(_verify())
    except MissingSetting as error:
        _fail(f"{error}.")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        _fail(f"The database does not answer: {error}.")
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "entries": report.entries,
                    "events": report.events,
                    "accounts": report.accounts,
                    "findings": report.findings,
                }
            )
        )
    else:
        verdict = "all agree" if not report.findings else "they do NOT agree"
        typer.echo(
            f"{report.entries} entries, {report.events} events, {report.accounts} accounts: "
            f"{verdict}"
        )
        for finding in report.findings:
            typer.echo(f"  {finding}")
    raise typer.Exit(Exit.DISAGREEMENT if report.findings else Exit.CLEAN)


async def _verify() -> Report:
    url = LedgerSettings.load().require_database_url()
    connection = await connect(
        url, application_name="kairon ledger verify", statement_timeout_ms=VERIFY_STATEMENT_MS_MAX
    )
    try:
        return await verify(connection, MAIN_LEDGER_ID)
    finally:
        await connection.close()


def _get(path: str, **params: str | int) -> dict[str, Any]:
    url = os.environ.get("LEDGER_URL") or read_environment(stack_files()).get("LEDGER_URL")
    try:
        answer = httpx.get(
            (url or LEDGER_URL_DEFAULT) + path, params=params, timeout=ANSWER_SECONDS_MAX
        )
        document: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        _fail(f"The ledger does not answer: {error}. Is it running (scripts/up)?")
    if answer.is_error:
        _fail(str(document.get("detail")), Exit.USAGE)
    return document


def _show(rows: list[dict[str, Any]], columns: tuple[str, ...], title: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(title=title)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    Console().print(table)


def _fail(sentence: str, code: Exit = Exit.INFRASTRUCTURE) -> Any:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    app()

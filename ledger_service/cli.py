"""The ledger on the command line: look at accounts and events, verify the books.

Exit codes: 0 fine, 1 the books do not agree with themselves, 2 usage, 3 infrastructure.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated

if __package__ in (None, ""):  # run as `python ledger_service/cli.py`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from shared.environment import use_project_environment

    use_project_environment()

import asyncpg
import typer

from ledger_service.projections.verifier import Report, verify
from ledger_service.settings import LedgerSettings
from ledger_service.tables import MAIN_LEDGER_ID
from ledger_service.terminal import AsJson, Exit, Limit, fail, get, show
from shared.database import connect
from shared.settings import MissingSetting

VERIFY_STATEMENT_MS_MAX = 600_000

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


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
    found = get("/ledger/account/", limit=limit)["accounts"]
    show(found, ("account_id", "type", "currency", "opened_at"), "Accounts", as_json)


@app.command()
def balance(account_id: str, as_json: AsJson = False) -> None:
    """Show an account's balance."""
    found = get(f"/ledger/account/{account_id}/balance")
    show([found], ("balance", "currency", "debits", "credits", "position"), account_id, as_json)


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
    show(get("/ledger/events/", **params)["events"], columns, "Events", as_json)


@app.command(name="verify")
def verify_books(as_json: AsJson = False) -> None:
    """Replay the whole log and compare balances, accounts and events with it."""
    try:
        report = asyncio.run(_verify())
    except MissingSetting as error:
        fail(f"{error}.")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        fail(f"The database does not answer: {error}.")
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


if __name__ == "__main__":
    app()

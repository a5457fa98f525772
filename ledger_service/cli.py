"""The ledger on the command line: its commands, each area in a module of its own.

Exit codes: 0 fine, 1 the books do not agree with themselves, 2 usage, 3 infrastructure, 4 a rule of
the ledger refused the command.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

if __package__ in (None, ""):  # run as `python ledger_service/cli.py`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from shared.environment import use_project_environment

    use_project_environment()

import typer

from ledger_service import (
    cli_accounts,
    cli_events,
    cli_files,
    cli_opening,
    cli_postings,
    cli_reports,
    cli_trust,
)

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


for area in (cli_accounts, cli_postings, cli_events):
    app.add_typer(area.app)
app.add_typer(cli_trust.app)
app.add_typer(cli_files.app)
app.add_typer(cli_opening.app)
app.add_typer(cli_reports.app)

if __name__ == "__main__":
    app()

"""The ledger on the command line: its commands, each area in a module of its own.

Exit codes: 0 fine, 1 the books do not agree with themselves, 2 usage, 3 infrastructure, 4 a rule of
the ledger refused the command.
"""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

if __package__ in (None, ""):  # run as `python ledger_service/cli.py`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from shared.environment import use_project_environment

    use_project_environment()

import typer
from typer.core import TyperGroup
from typer.main import get_command

from ledger_service import cli_accounts, cli_events, cli_opening, cli_postings, cli_reports

# Commands that bring the database's libraries with them, which take longer to import than most
# commands take: their modules are imported when they are called.
LATER = {
    "verify": "cli_trust",
    "verify-export": "cli_trust",
    "seal": "cli_trust",
    "anchor": "cli_trust",
    "keygen": "cli_trust",
    "export": "cli_files",
    "import": "cli_files",
    "rebuild": "cli_files",
}


class Commands(TyperGroup):
    """The commands of all areas; some of them are looked for only by their names."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *LATER]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in LATER:
            return super().get_command(ctx, cmd_name)
        area: Any = get_command(import_module(f"ledger_service.{LATER[cmd_name]}").app)
        return area.commands[cmd_name]


app = typer.Typer(
    cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.callback()
def ledger(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", "--data_dir", help="of the running stack")
    ] = None,
) -> None:
    """The double-entry ledger."""
    if data_dir is not None:
        os.environ["KAIRON_DATA_DIR"] = str(data_dir)


for module in (cli_accounts, cli_postings, cli_events, cli_reports, cli_opening):
    app.add_typer(module.app)

if __name__ == "__main__":
    app()

"""What every command of the `ledger` command line needs: ask the service, show rows, or fail."""

import json
import os
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import httpx
import typer
from rich.console import Console
from rich.table import Table

from shared.stack_files import read_environment, stack_files

LEDGER_URL_DEFAULT = "http://127.0.0.1:8000"
ANSWER_SECONDS_MAX = 30
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
Limit = Annotated[int, typer.Option(min=1, max=500)]


class Exit(IntEnum):
    """What a command's exit code says."""

    CLEAN = 0
    DISAGREEMENT = 1
    USAGE = 2
    INFRASTRUCTURE = 3


def base_url() -> str:
    """Return where the ledger answers: LEDGER_URL, the running stack's, or the default."""
    url = os.environ.get("LEDGER_URL") or read_environment(stack_files()).get("LEDGER_URL")
    return url or LEDGER_URL_DEFAULT


def get(path: str, **params: str | int) -> dict[str, Any]:
    """Return the document at `path` of the running ledger; where there is none, fail."""
    try:
        answer = httpx.get(base_url() + path, params=params, timeout=ANSWER_SECONDS_MAX)
        document: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        fail(f"The ledger does not answer: {error}. Is it running (scripts/up)?")
    if answer.is_error:
        fail(str(document.get("detail")), Exit.USAGE)
    return document


def show(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str, as_json: bool
) -> None:
    """Print `rows` as JSON, or these columns of them as a table."""
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(title=title)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    Console().print(table)


def fail(sentence: str, code: Exit = Exit.INFRASTRUCTURE) -> NoReturn:
    """Say on standard error what is the matter, and end."""
    typer.echo(sentence, err=True)
    raise typer.Exit(code)

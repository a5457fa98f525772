"""Reconciliation on the command line: run a statement, look at status, results and breaks.

Exit codes: 0 clean, 1 there are breaks, 2 usage (also a statement that cannot be read),
3 infrastructure.
"""

import asyncio
import json
import os
import sys
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn
from uuid import UUID

if __package__ in (None, ""):  # run as `python recon_service/cli.py`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from shared.environment import use_project_environment

    use_project_environment()

import asyncpg
import httpx
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from recon_service.by_hand import Interrupted, reconcile
from recon_service.domain.run import WhatIf
from recon_service.readers.errors import SourceUnreadable
from recon_service.runner import Failed
from recon_service.terminal import decision_tables, unmatched_tables
from shared.errors import AppError
from shared.logging import configure_logging
from shared.settings import MissingSetting
from shared.stack_files import read_environment, stack_files

RECON_URL_DEFAULT = "http://127.0.0.1:8001"
ANSWER_SECONDS_MAX = 30
# An open connection went away; what never opened says so in other words.
LOST_CONNECTION = (
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    ConnectionResetError,
    BrokenPipeError,
)
# A run that ended with one of these could not have ended otherwise: the caller must change it.
USAGE_CODES = frozenset(
    {
        "not-found",
        "not-a-file",
        "permission-denied",
        "file-too-large",
        "empty-file",
        "wrong-encoding",
        "missing-column",
        "duplicate-column",
        "outside-inbox",
        "host-not-allowed",
        "unknown-account",
        "later_run_depends",
    }
)


class Exit(IntEnum):
    CLEAN = 0
    BREAKS = 1
    USAGE = 2
    INFRASTRUCTURE = 3


def _use_data_dir(value: Path | None) -> Path | None:
    if value is not None:
        os.environ["KAIRON_DATA_DIR"] = str(value)
    return value


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
Limit = Annotated[int, typer.Option(min=1, max=500)]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", "--data_dir", callback=_use_data_dir, help="of the running stack"),
]
Day = Annotated[datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="the business date")]
SourceName = Annotated[str | None, typer.Option("--source", help="only this source's")]


@app.callback()
def recon(data_dir: DataDir = None) -> None:
    """Reconciliation of the ledger with the outside world."""


@app.command("run-recon")
@app.command("run_recon", hidden=True)
def run_recon(
    source: Annotated[str, typer.Option(help="which source's statement it is")],
    day: Day,
    file_path: Annotated[
        Path | None,
        typer.Option(
            "--file_path", "--file-path", help="any file; default: the one that the source names"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "--dry_run", help="keep the log, put nothing in force")
    ] = False,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|JSON",
            help="what a dry run tries out: a JSON merge patch of the source's policy",
        ),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Reconcile a statement with the ledger, here and now, and print the result."""
    configure_logging("recon", "ERROR")
    what_if = _what_if(dry_run, policy)
    try:
        outcome = asyncio.run(
            reconcile(source, day.date(), file_path, quiet=as_json, what_if=what_if)
        )
    except (MissingSetting, SourceUnreadable, AppError) as error:
        usage = not isinstance(error, MissingSetting)
        _fail(_sentence(error), Exit.USAGE if usage else Exit.INFRASTRUCTURE)
    except ValidationError as error:
        _fail(f"A setting is not valid: {error.errors()[0]['msg']}.", Exit.USAGE)
    except (OSError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        _fail(_database_sentence(error))
    except (KeyboardInterrupt, Interrupted):
        _fail("Interrupted: nothing was written.")
    if isinstance(outcome, Failed):
        code = Exit.USAGE if outcome.code in USAGE_CODES else Exit.INFRASTRUCTURE
        _fail(f"The run failed: {outcome.detail}", code)
    if outcome is None:
        _fail("Another process has taken the run over; see `status`.")
    if as_json:
        typer.echo(json.dumps(outcome))
    else:
        _show_summary(outcome)
    raise typer.Exit(Exit.BREAKS if _has_breaks(outcome) else Exit.CLEAN)


@app.command()
def status(
    day: Day, source: SourceName = None, as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Show the runs of a date."""
    found = _get(f"/recon/status/{day.date()}", source=source)["runs"]
    _show(found, ("source", "attempt", "status", "phase", "finished_at", "error"), "Runs", as_json)


@app.command()
def summary(
    day: Day, source: SourceName = None, as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Show what the runs in force of a date counted."""
    found = _get(f"/recon/summary/{day.date()}", source=source)["summaries"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in found:
        _show_summary(one)


@app.command()
def logs(
    day: Day,
    source: SourceName = None,
    matched: Annotated[bool | None, typer.Option(help="only (not) matched ones")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List the decisions of a date."""
    wanted = None if matched is None else str(matched).lower()
    found = _get("/recon/logs/", date=day.date(), source=source, matched=wanted, limit=limit)
    columns = (
        "external_id",
        "external_amount",
        "external_currency",
        "decision",
        "match_type",
        "score",
        "internal_reference",
        "reason",
    )
    _show(found["logs"], columns, "Decisions", as_json)


@app.command()
def breaks(
    source: SourceName = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List what has no counterpart."""
    columns = ("kind", "source", "date", "amount", "currency", "reference", "text", "opened_at")
    _show(_get("/recon/breaks/", source=source, limit=limit)["breaks"], columns, "Breaks", as_json)


@app.command()
def why(
    log_id: Annotated[int, typer.Argument(min=1, help="an entry of the match log")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Explain a decision: its evidence, and how it adds up."""
    found = _get(f"/recon/logs/{log_id}/why")
    if as_json:
        typer.echo(json.dumps(found))
        return
    Console().print(*decision_tables(found), sep="\n")


@app.command("why-unmatched")
@app.command("why_unmatched", hidden=True)
def why_unmatched(
    record_id: Annotated[UUID, typer.Argument(help="a record of the match log")],
    run_id: Annotated[UUID | None, typer.Option(help="default: the last run in force")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Explain why a record has no counterpart, and what would match it."""
    found = _get(f"/recon/records/{record_id}/why-unmatched", run_id=run_id)
    if as_json:
        typer.echo(json.dumps(found))
        return
    Console().print(*unmatched_tables(found), sep="\n")


@app.command()
def compare(
    base: Annotated[UUID, typer.Argument(help="the run to compare with")],
    other: Annotated[UUID, typer.Argument(help="the run that decided otherwise")],
    change: Annotated[str | None, typer.Option(help="gained, lost or changed")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show what one run decided otherwise than another of the same source."""
    found = _get("/recon/compare", base=base, other=other, change=change, limit=limit)
    if as_json:
        typer.echo(json.dumps(found))
        return
    totals = [
        {"change": name, "records": one["records"], "values": _worth(one["values"])}
        for name, one in found["totals"].items()
    ]
    _show(totals, ("change", "records", "values"), "Compared", as_json)
    rows = [
        one
        | {side: one[side] and one[side]["decision"] for side in ("base", "other")}
        | {"reason": (one["other"] or one["base"])["reason"]}
        for one in found["differences"]
    ]
    columns = ("change", "external_id", "amount", "currency", "base", "other", "reason")
    _show(rows, columns, "Differences", as_json)


@app.command()
def sources(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the sources."""
    found = _get("/recon/sources/")["sources"]
    rows = found if as_json else [one | one["config"] for one in found]
    _show(
        rows, ("name", "version", "kind", "path", "url", "time_zone", "nightly"), "Sources", as_json
    )


def _what_if(dry_run: bool, policy: str | None) -> WhatIf | None:
    """Return what a dry run tries out; a policy is JSON, or the path of a file that holds it."""
    if policy is None:
        return WhatIf({}) if dry_run else None
    if not dry_run:
        _fail("Another policy is for a dry run: add --dry-run.", Exit.USAGE)
    try:
        text = policy if policy.lstrip().startswith("{") else Path(policy).read_text("utf-8")
        changes = json.loads(text)
    except (OSError, ValueError) as error:
        _fail(f"The policy cannot be read: {error}.", Exit.USAGE)
    if not isinstance(changes, dict):
        _fail("The policy is not a JSON object.", Exit.USAGE)
    return WhatIf(changes)


def _worth(values: dict[str, str]) -> str:
    return ", ".join(f"{amount} {code}" for code, amount in values.items())


def _has_breaks(found: dict[str, Any]) -> bool:
    carried, ledger = found["carried"], found["ledger"]
    return any(
        (
            found["rejected"],
            found["suggested"],
            found["unmatched"],
            carried["suggested"],
            carried["unmatched"],
            ledger["unmatched"],
        )
    )


def _show_summary(found: dict[str, Any]) -> None:
    kind = "dry run" if found["dry_run"] else "attempt"
    table = Table(title=f"{found['source']} for {found['date']}, {kind} {found['attempt']}")
    table.add_column("")
    table.add_column("count", justify="right")
    table.add_column("score", justify="right")
    ledger, carried = found["ledger"], found["carried"]
    rows = (
        ("Lines", found["lines"]),
        ("Rejected lines", found["rejected"]),
        ("Matched exactly", found["exact"]),
        ("Matched by score", found["fuzzy"], _scores(found["fuzzy_scores"])),
        ("Matched in groups", found["grouped"]),
        ("Cancelled out", found["netted"]),
        ("Suggested", found["suggested"]),
        ("Unmatched", found["unmatched"]),
        ("Reconciled before", found["already_reconciled"]),
        ("Brought from earlier days", carried["records"]),
        ("  of them matched now", carried["auto"]),
        ("Ledger items read", ledger["read"]),
        ("  missing in the statement", ledger["unmatched"]),
        ("  too young to be missed", ledger["timing"]),
    )
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)


def _scores(scores: dict[str, float] | None) -> str:
    if scores is None:
        return ""
    ends = [f"{scores[end]:.2f}" for end in ("lowest", "highest")]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _get(path: str, **params: Any) -> dict[str, Any]:
    url = os.environ.get("RECON_URL") or read_environment(stack_files()).get("RECON_URL")
    query = {name: str(value) for name, value in params.items() if value is not None}
    try:
        answer = httpx.get(
            (url or RECON_URL_DEFAULT) + path, params=query, timeout=ANSWER_SECONDS_MAX
        )
        document: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        _fail(f"Reconciliation does not answer: {error}. Is it running (scripts/up)?")
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


def _database_sentence(error: Exception) -> str:
    detail = str(error).splitlines()[0] if str(error) else type(error).__name__
    lost = isinstance(error, LOST_CONNECTION) or "connection is closed" in detail
    lost = lost or (isinstance(error, DBAPIError) and error.connection_invalidated)
    what = "The connection to the database was lost" if lost else "The database does not answer"
    return f"{what}: {detail.rstrip('.')}."


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _fail(sentence: str, code: Exit = Exit.INFRASTRUCTURE) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    app()

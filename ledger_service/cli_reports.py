"""Commands of reports: statements of account, the trial balance, periods."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ledger_service.terminal import (
    AsJson,
    Exit,
    LedgerName,
    Limit,
    Service,
    base_url,
    fail,
    printable,
    unreachable,
)

REPORT_SECONDS_MAX = 60
FORMATS = {".pdf": "pdf", ".csv": "csv", ".json": "json"}
SIDES = ("debit", "credit")
TEXT_WIDTH_MIN = 8
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
app = typer.Typer(no_args_is_help=True)
AtSeq = Annotated[int | None, typer.Option(help="as known by this entry", min=0)]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="write a file instead: its end says .pdf, .csv or .json"),
]


@app.command()
def statement(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT_ID", show_default=False)],
    from_at: Annotated[
        str | None, typer.Option("--from", help="day (UTC) or RFC 3339, inclusive")
    ] = None,
    to_at: Annotated[
        str | None, typer.Option("--to", help="day (UTC) or RFC 3339, exclusive")
    ] = None,
    at_seq: AtSeq = None,
    output: Output = None,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Show an account's opening balance, movements and closing balance."""
    service = Service(ledger, as_json)
    path = f"/ledger/account/{account_id}/statement"
    params = {"from": _instant(from_at), "to": _instant(to_at), "at_seq": at_seq}
    if output is not None:
        return _save(service, path, output, params)
    found = service.get(path, **params)
    if as_json:
        return service.facts(found, "")
    named = [found["code"], found["name"], found["account_id"]]
    title = f"{'  '.join(one for one in named if one)}  {found['currency']}"
    table = _table(title, ("date", "description", "reference"), ("debit", "credit", "balance"))
    table.add_row("", "Opening balance", "", "", "", found["opening_balance"], end_section=True)
    for one in found["movements"]:
        described = [one["description"] or one["kind"], one["counterparty"]]
        notes = [name for name in ("late", "adjusting") if one[name]]
        texts = " · ".join(part for part in [*described, *notes] if part)
        cells = (one["effective_at"][:10], texts, one["reference"] or "")
        amounts = (one["debit"] or "", one["credit"] or "", one["balance"])
        table.add_row(*(Text(printable(cell)) for cell in cells), *amounts)
    table.add_section()
    sums = (found["debits"], found["credits"], found["closing_balance"])
    table.add_row("", "Closing balance", "", *sums)
    return Console().print(table)


@app.command("trial-balance")
def trial_balance(
    as_of: Annotated[str | None, typer.Option(help="day (UTC, its end) or RFC 3339")] = None,
    at_seq: AtSeq = None,
    period: Annotated[str | None, typer.Option(help="id of a period")] = None,
    depth: Annotated[int | None, typer.Option(help="names of the codes to sum up by")] = None,
    zeros: Annotated[bool, typer.Option("--zeros", help="also accounts at zero")] = False,
    output: Output = None,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Show every account in the debit or credit column, and the equal sums of each currency."""
    service = Service(ledger, as_json)
    params = {
        "as_of": _instant(as_of, end_of_day=True),
        "at_seq": at_seq,
        "period_id": period,
        "depth": depth,
        "zeros": "true" if zeros else None,
    }
    if output is not None:
        return _save(service, "/ledger/trial-balance", output, params)
    found = service.get("/ledger/trial-balance", **params)
    if as_json:
        return service.facts(found, "")
    sides = [(name, side) for name in _sections(found) for side in SIDES]
    shown = [f"{name}\n{side}" if found["period"] else side for name, side in sides]
    whose = f", {found['period']['name']}" if found["period"] else ""
    table = _table(f"Trial balance{whose}", ("code", "account", "type", "currency"), shown)
    for total in found["totals"]:
        for line in found["lines"]:
            if line["currency"] == total["currency"]:
                table.add_row(*_facts(line), *_amounts(line, sides))
        table.add_section()
        table.add_row("", "Total", "", total["currency"], *_amounts(total, sides), style="bold")
        table.add_section()
    return Console().print(table)


@app.command()
def periods(limit: Limit = 50, ledger: LedgerName = None, as_json: AsJson = False) -> None:
    """List periods in the order of their beginnings."""
    service = Service(ledger, as_json)
    found = service.rows("/ledger/period/", "periods", limit=limit)
    columns = ("period_id", "name", "starts_at", "ends_at", "status", "late")
    service.show(found, columns, "Periods")


def _sections(found: dict[str, Any]) -> list[str]:
    """Return what a trial balance has; adjustments only where there are any."""
    if not found["period"]:
        return ["closing"]
    adjusted = any(one["adjustments"][it].strip("0.") for one in found["totals"] for it in SIDES)
    return ["opening", "movements", *(["adjustments"] if adjusted else []), "closing"]


def _facts(line: dict[str, Any]) -> list[Text]:
    count = line["accounts"]
    whose = line["account_id"] or ("1 account" if count == 1 else f"{count} accounts")
    facts = (line["code"], line["name"] or whose, line["type"], line["currency"])
    return [Text(printable(one or "")) for one in facts]


def _amounts(line: dict[str, Any], sides: Sequence[tuple[str, str]]) -> list[str]:
    """Return the amounts of a line; what is zero stays empty, as on paper."""
    found = [line[name][side] for name, side in sides]
    return [amount if amount.strip("0.") else "" for amount in found]


def _table(title: str, texts: Sequence[str], amounts: Sequence[str]) -> Table:
    table = Table(title=Text(printable(title)))
    for name in texts:
        table.add_column(name, overflow="fold", min_width=min(len(name), TEXT_WIDTH_MIN))
    for name in amounts:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _save(service: Service, path: str, output: Path, params: dict[str, Any]) -> None:
    """Write a report to a file, or fail and leave none."""
    wanted = FORMATS.get(output.suffix.lower())
    if wanted is None:
        fail(f"{output.name} does not end with one of {', '.join(FORMATS)}.", Exit.USAGE)
    asked = service.chosen(**params, format=wanted)
    try:
        answer = httpx.get(base_url() + path, params=asked, timeout=REPORT_SECONDS_MAX)
        if answer.is_error:
            service.refuse(answer.json(), answer.status_code)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        unreachable(error)
    try:
        output.write_bytes(answer.content)
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}.")
    typer.echo(f"{output}: {len(answer.content)} bytes", err=True)


def _instant(text: str | None, *, end_of_day: bool = False) -> str | None:
    """Return a day as the instant of its beginning or its end (UTC), other texts as they are."""
    if text is None or not _DAY.fullmatch(text):
        return text
    return f"{text}T23:59:59.999999Z" if end_of_day else f"{text}T00:00:00Z"

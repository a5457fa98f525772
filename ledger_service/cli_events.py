"""The command that lists events, or follows them as they come."""

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import typer

from ledger_service.terminal import (
    AsJson,
    Exit,
    LedgerName,
    Limit,
    Service,
    base_url,
    joined,
    unreachable,
)

PATH = "/ledger/events/"
SILENCE_SECONDS_MAX = 60  # the service says every 15 seconds that there is nothing new
CONNECTIONS_FAILED_MAX = 60
PAUSE_SECONDS = 1.0
COLUMNS = ("seq", "account_id", "direction", "amount", "currency", "balance_after", "reference")
app = typer.Typer(no_args_is_help=True)


@app.command()
def events(
    account: Annotated[str | None, typer.Option(help="only this account's")] = None,
    after_seq: Annotated[int | None, typer.Option(help="only behind this entry", min=0)] = None,
    up_to_seq: Annotated[int | None, typer.Option(help="to this entry", min=0)] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="go on with what is posted, from now on or behind --after-seq, one line each; "
            "a broken connection is taken up again where it broke",
        ),
    ] = False,
    limit: Limit = 50,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """List debits and credits in the order of the history."""
    bounds = {"account_id": account, "up_to_seq": up_to_seq}
    service = Service(ledger, as_json)
    if not follow:
        found = service.rows(PATH, "events", limit=limit, after_seq=after_seq, **bounds)
        service.show(found, COLUMNS, "Events")
        return
    head = service.get("/ledger/head")["seq"]
    start = head if after_seq is None else after_seq
    try:
        for event in _followed(service, str(start), bounds):
            line = json.dumps(event) if as_json else joined(_line(event))
            typer.echo(line)
    except KeyboardInterrupt:
        raise typer.Exit(Exit.CLEAN) from None


def _followed(service: Service, last_id: str, bounds: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield events behind `last_id` as they come, until the end if there is one."""
    params = service.chosen(follow="true", **bounds)
    timeout = httpx.Timeout(SILENCE_SECONDS_MAX)
    failed = 0
    with httpx.Client(base_url=base_url(), timeout=timeout) as client:
        while True:
            try:
                headers = {"Last-Event-ID": last_id}
                with client.stream("GET", PATH, params=params, headers=headers) as answer:
                    if answer.status_code == 204:  # there is nothing behind `up_to_seq`
                        return
                    if answer.is_error:
                        answer.read()
                        if answer.status_code < 500:
                            service.refuse(answer.json(), answer.status_code)
                        answer.raise_for_status()
                    for seen_id, event in _messages(answer.iter_lines()):
                        last_id, failed = seen_id, 0
                        yield event
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                failed += 1
                if failed >= CONNECTIONS_FAILED_MAX:
                    unreachable(error)
                if failed == 1:
                    typer.echo(f"The connection broke; going on behind {last_id}.", err=True)
                time.sleep(PAUSE_SECONDS)


def _messages(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield id and data of each message of a stream of Server-Sent Events."""
    last_id, data = "", ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            last_id = value
        elif name == "data":
            data = value
        elif not line and data:
            yield last_id, json.loads(data)
            data = ""


def _line(event: dict[str, Any]) -> list[Any]:
    sign = "+" if event["direction"] == "credit" else "-"
    moved = f"{sign}{event['amount']} {event['currency']}"
    return [
        event["recorded_at"],
        f"{event['seq']}-{event['line']}",
        event["account_id"],
        f"{moved:>20}",
        f"= {event['balance_after']}",
        event["reference"] or event["description"],
    ]

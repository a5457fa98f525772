"""What every command of the `ledger` command line needs: ask the service, show rows, or fail."""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, NoReturn
from uuid import uuid4

import httpx
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from shared.stack_files import read_environment, stack_files

LEDGER_URL_DEFAULT = "http://127.0.0.1:8000"
ANSWER_SECONDS_MAX = 30
TRIES_MAX = 5
PAUSE_SECONDS = 1.0
PAGE_ROWS_MAX = 500
ROWS_MAX = 1_000_000
# What a problem document says beside its own facts (RFC 9457).
_PROBLEM_MEMBERS = frozenset({"type", "title", "status", "detail", "instance", "code", "errors"})
_MISUSE = frozenset({400, 404, 405, 413, 415})
_MISUSE_CODES = frozenset({"invalid_request", "invalid_cursor", "unknown_ledger"})
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
LedgerName = Annotated[
    str | None,
    typer.Option("--ledger", help="whose books; `main`, or those of the account, if not given"),
]
Limit = Annotated[int, typer.Option(min=1, max=ROWS_MAX, help="rows at most")]
Key = Annotated[
    str | None,
    typer.Option(help="Idempotency-Key: the same command again under it changes nothing"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be, and write nothing")]
Reference = Annotated[str | None, typer.Option(help="the outside world's id of this payment")]
Metadata = Annotated[
    list[str] | None, typer.Option("--metadata", metavar="KEY=VALUE", help="as often as needed")
]


class Exit(IntEnum):
    """What a command's exit code says."""

    CLEAN = 0
    DISAGREEMENT = 1
    USAGE = 2
    INFRASTRUCTURE = 3
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class Service:
    """The running service as one command asks it: of one ledger, for people or for programs."""

    ledger: str | None = None
    as_json: bool = False

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Return the document at `path`; where there is none, fail."""
        return self._document(_answered("GET", path, params=self.chosen(**params)))

    def rows(self, path: str, name: str, *, limit: int, **params: Any) -> list[dict[str, Any]]:
        """Return the rows of a list, page by page, at most `limit`; shows how far it came."""
        rows: list[dict[str, Any]] = []
        cursor = None
        with progress() as shown:
            task = shown.add_task(name, total=limit)
            while len(rows) < limit:
                page_limit = min(PAGE_ROWS_MAX, limit - len(rows))
                page = self.get(path, limit=page_limit, cursor=cursor, **params)
                rows += page[name]
                cursor = page["next_cursor"]
                shown.update(task, completed=len(rows))
                if cursor is None:
                    break
        return rows

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any],
        *,
        key: str | None = None,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Send a command and return its answer; fail with its refusal.

        It goes under an Idempotency-Key, the given one or a new one, and where the answer does not
        arrive the same command is sent again under it: it is done once.
        """
        headers = {"Idempotency-Key": key or str(uuid4())}
        params = self.chosen(dry_run="true" if dry_run else None)
        sent = _given(body)
        return self._document(_answered(method, path, params=params, json=sent, headers=headers))

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> tuple[int, dict[str, Any]]:
        """Return status and document, also of a refusal; of a command what it would do."""
        sent = None if body is None else _given(body)
        if method != "GET":
            params["dry_run"] = "true"
        answer = _answered(method, path, params=self.chosen(**params), json=sent)
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            self._document(answer)
        try:
            document: dict[str, Any] = answer.json()
        except ValueError as error:
            unreachable(error)
        return answer.status_code, document

    def chosen(self, **params: Any) -> dict[str, Any]:
        """Return query parameters: those that are given, and the ledger."""
        return _given(params | {"ledger": self.ledger})

    def show(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str) -> None:
        """Print `rows` as JSON, or these columns of them as a table."""
        if self.as_json:
            typer.echo(json.dumps(rows))
            return
        table = Table(title=_text(title))
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(_text(_cell(row.get(column))) for column in columns))
        Console().print(table)

    def facts(self, document: Mapping[str, Any], title: str) -> None:
        """Print one document as JSON, or as a table with a line for each member."""
        if self.as_json:
            typer.echo(json.dumps(document))
            return
        table = Table(title=_text(title), show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in document.items():
            table.add_row(name, _text(_cell(value)))
        Console().print(table)

    def refuse(self, problem: Mapping[str, Any], status: int) -> NoReturn:
        """End with a problem document: its sentence, then its numbers; for programs as it is."""
        if status >= 500:
            code = Exit.INFRASTRUCTURE
        elif status in _MISUSE or problem.get("code") in _MISUSE_CODES:
            code = Exit.USAGE
        else:
            code = Exit.REFUSED
        if self.as_json:
            fail(json.dumps(problem), code)
        lines = [str(problem.get("detail") or problem.get("title") or f"HTTP {status}")]
        lines += [
            f"  {name}: {_cell(value)}"
            for name, value in problem.items()
            if name not in _PROBLEM_MEMBERS
        ]
        fail("\n".join(lines), code)

    def _document(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            document: dict[str, Any] = answer.json()
        except ValueError as error:
            unreachable(error)
        if answer.is_error:
            self.refuse(document, answer.status_code)
        return document


def base_url() -> str:
    """Return where the ledger answers: LEDGER_URL, the running stack's, or the default."""
    url = os.environ.get("LEDGER_URL") or read_environment(stack_files()).get("LEDGER_URL")
    return url or LEDGER_URL_DEFAULT


def pairs(given: Sequence[str] | None) -> dict[str, str]:
    """Return KEY=VALUE options as metadata."""
    found = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not (name and equals):
            fail(f"{one} is not of the form KEY=VALUE.", Exit.USAGE)
        found[name] = value
    return found


def progress() -> Progress:
    """Return a bar on standard error; it shows itself on terminals only, and leaves nothing."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def fail(sentence: str, code: Exit = Exit.INFRASTRUCTURE) -> NoReturn:
    """Say on standard error what is the matter, and end."""
    typer.echo(printable(sentence), err=True)
    raise typer.Exit(code)


def unreachable(error: Exception) -> NoReturn:
    """End because nobody answers."""
    fail(f"The ledger does not answer: {error}. Is it running (scripts/up)?")


def joined(parts: Iterable[Any]) -> str:
    """Return one printable line of these parts, nothing for those that are null."""
    return printable("  ".join(_cell(part) for part in parts).rstrip())


def printable(text: str) -> str:
    """Return text without what a terminal would obey: control characters become spaces."""
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text)


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in members.items() if one is not None}


def _answered(method: str, path: str, **request: Any) -> httpx.Response:
    """Return the answer to what may be repeated, asking again where a command gets none."""
    for tries_left in reversed(range(1 if method == "GET" else TRIES_MAX)):
        try:
            answer = httpx.request(method, base_url() + path, timeout=ANSWER_SECONDS_MAX, **request)
        except (httpx.ConnectError, httpx.InvalidURL) as error:
            unreachable(error)  # nobody has taken the command: there is nothing to wait for
        except httpx.HTTPError as error:
            if not tries_left:
                unreachable(error)
        else:
            if not tries_left or "retry-after" not in answer.headers:
                return answer
        time.sleep(PAUSE_SECONDS)
    raise AssertionError("the last try returns or fails")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | Mapping | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _text(text: str) -> Text:
    """Return text as it is: neither markup nor a terminal's control sequences in it count."""
    return Text(printable(text))

"""The command that posts opening balances from a CSV file, and shows first what it would do."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger_service.files.opening_balances import (
    BadFile,
    BadLine,
    BalanceLine,
    Opened,
    Posting,
    digest_of,
    minor_of,
    postings,
    read_lines,
)
from ledger_service.terminal import AsJson, Exit, LedgerName, Service, fail, progress
from shared.money import format_minor

EQUITY_CODE = "equity:opening-balances"
FILE_BYTES_MAX = 64 * 1024 * 1024
ACCOUNT_PATH = "/ledger/account/"
TRANSACTION_PATH = "/ledger/transaction/"
_COLUMNS = ("line", "account", "currency", "balance", "what")

app = typer.Typer(no_args_is_help=True)


@dataclass(slots=True)
class Plan:
    """What is to be done, and what is in its way; accounts that are not there have no id yet."""

    service: Service
    digest: str
    effective_at: str | None
    equity_code: str
    opened: list[Opened] = field(default_factory=list)
    new: dict[str, BalanceLine] = field(default_factory=dict)
    bad: list[BadLine] = field(default_factory=list)
    equity: dict[str, str | None] = field(default_factory=dict)
    posted: set[str] = field(default_factory=set)

    @property
    def postings(self) -> list[Posting]:
        return postings(self.opened, self.digest)

    def note(self, line: BalanceLine, sentence: str) -> None:
        """Say what is wrong with a line."""
        self.bad.append(BadLine(line.line, sentence))

    def key(self, what: str) -> str:
        """Return the Idempotency-Key of a part of it."""
        return f"opening-balances-{self.digest[:32]}-{what}"


@app.command(name="opening-balances")
def opening_balances(
    file: Path,
    equity_account: Annotated[
        list[str] | None,
        typer.Option(help="id of the account that balances them; one for each currency"),
    ] = None,
    equity_code: Annotated[
        str,
        typer.Option(
            "--code", help="code of such accounts, which then ends in :USD; opened if new"
        ),
    ] = EQUITY_CODE,
    effective_at: Annotated[
        str | None, typer.Option(help="when they count, RFC 3339; now if left out")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="post them")] = False,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Show what the opening balances of a CSV file would post; with --yes, post it.

    Columns: code or account_id, currency, balance (on the account's normal side); type and name
    for accounts to open. Where a line is bad nothing is posted. The same file again posts nothing.
    """
    lines, bad = _read(file)
    digest = digest_of(lines, *(equity_account or [equity_code]), effective_at)
    plan = Plan(Service(ledger, as_json), digest, effective_at, equity_code)
    plan.bad += bad
    with progress() as shown:
        task = shown.add_task("lines", total=len(lines))
        for line in lines:
            _find(plan, line)
            shown.advance(task)
    _find_equity(plan, equity_account, equity_code)
    _try(plan)
    if plan.bad:
        told = sorted(plan.bad, key=lambda one: one.line)
        fail("\n".join(["Nothing is posted.", *map(str, told)]), Exit.REFUSED)
    if yes:
        _post(plan)
    _show(plan, is_done=yes)


def _read(file: Path) -> tuple[list[BalanceLine], list[BadLine]]:
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            fail(f"{file} is longer than {FILE_BYTES_MAX} bytes.", Exit.USAGE)
        return read_lines(content)
    except BadFile as error:
        fail(str(error), Exit.USAGE)
    except OSError as error:
        fail(f"{file}: {error.strerror}.", Exit.USAGE)


def _find(plan: Plan, line: BalanceLine) -> None:
    """Add the line with its account, as it is or as it would be opened."""
    document = _account_of(plan, line)
    if document is None:
        return
    for name, stated in (("currency", line.currency), ("type", line.type)):
        if stated is not None and document[name] != stated:
            plan.note(line, f"{line.account} has the {name} {document[name]}, not {stated}.")
            return
    balance_minor = minor_of(line, document["scale"])
    if isinstance(balance_minor, BadLine):
        plan.bad.append(balance_minor)
        return
    floor = document["overdraft"]["floor"]
    if balance_minor < 0 and floor is not None and Decimal(line.balance) < Decimal(floor):
        plan.note(line, f"{line.account} may not have less than {floor} {line.currency}.")
    plan.opened.append(
        Opened(
            line,
            document["account_id"],
            document["normal_side"],
            document["scale"],
            balance_minor,
        )
    )


def _account_of(plan: Plan, line: BalanceLine) -> dict[str, Any] | None:
    """Return the account that a line means, None where there is none and there will be none."""
    if line.account_id is not None:
        return _asked(plan, line, "GET", f"{ACCOUNT_PATH}{line.account_id}")
    found = _asked(plan, line, "GET", ACCOUNT_PATH, under=line.code, limit=1)
    if found is None:
        return None
    for document in found["accounts"]:
        if document["code"] == line.code:
            return dict(document)
    if line.type is None:
        plan.note(line, f"there is no account {line.code}, and no type to open it.")
        return None
    plan.new[line.account] = line
    return _asked(plan, line, "POST", ACCOUNT_PATH, line.opening())


def _find_equity(plan: Plan, ids: Sequence[str] | None, code: str) -> None:
    """Find the account that balances each currency; with a code it may have to be opened."""
    given = {}
    for account_id in ids or ():
        document = plan.service.get(f"{ACCOUNT_PATH}{account_id}")
        given[document["currency"]] = document["account_id"]
    for posting in plan.postings:
        currency = posting.currency
        if ids:
            if currency not in given:
                fail(f"No --equity-account is in {currency}.", Exit.USAGE)
            plan.equity[currency] = given[currency]
        elif currency not in plan.equity:
            wanted = f"{code}:{currency}"
            found = plan.service.get(ACCOUNT_PATH, under=wanted, limit=1)["accounts"]
            ids_found = (one["account_id"] for one in found if one["code"] == wanted)
            plan.equity[currency] = next(ids_found, None)
        for one in posting.lines:
            if one.account_id == plan.equity[currency]:
                plan.note(one.line, f"{one.line.account} is the account that balances the others.")


def _try(plan: Plan) -> None:
    """Find what was posted before, and ask what would become of the rest."""
    for posting in plan.postings:
        reference = posting.reference
        if plan.service.get("/ledger/transactions/", reference=reference, limit=1)["transactions"]:
            plan.posted.add(reference)
            continue
        there = [one for one in posting.lines if one.line.account not in plan.new]
        for one in there:
            position = plan.service.get(f"{ACCOUNT_PATH}{one.account_id}/balance")["position"]
            if position:
                sentence = f"{one.line.account} has {position} events already."
                plan.note(one.line, sentence)
        equity = plan.equity[posting.currency]
        if there and not plan.bad and equity is not None:
            body = replace(posting, lines=there).body(equity, plan.effective_at)
            status, problem = plan.service.ask("POST", TRANSACTION_PATH, body)
            if status >= 400:
                place = {one.account_id: one.line for one in there}
                line = place.get(problem.get("account_id", ""), there[0].line)
                plan.note(line, str(problem.get("detail")) + ".")


def _post(plan: Plan) -> None:
    """Open what is not there, then post each transaction; each is done once, however often sent."""
    ids = {}
    for line in plan.new.values():
        body = line.opening()
        ids[line.account] = plan.service.send(
            "POST", ACCOUNT_PATH, body, key=plan.key(line.account)
        )
    opened = [
        replace(one, account_id=ids[one.line.account]["account_id"])
        if one.line.account in ids
        else one
        for one in plan.opened
    ]
    for posting in postings(opened, plan.digest):
        if posting.reference in plan.posted:
            continue
        equity = plan.equity[posting.currency] or _open_equity(plan, posting.currency)
        body = posting.body(equity, plan.effective_at)
        plan.service.send("POST", TRANSACTION_PATH, body, key=plan.key(posting.reference))


def _open_equity(plan: Plan, currency: str) -> str:
    body = {
        "currency": currency,
        "type": "equity",
        "code": f"{plan.equity_code}:{currency}",
        "overdraft": {"policy": "allowed"},
        "metadata": {"name": "Opening balances"},
    }
    opened = plan.service.send("POST", ACCOUNT_PATH, body, key=plan.key(f"equity-{currency}"))
    account_id: str = opened["account_id"]
    plan.equity[currency] = account_id
    return account_id


def _show(plan: Plan, *, is_done: bool) -> None:
    posted = {
        one.line.line: posting.reference in plan.posted
        for posting in plan.postings
        for one in posting.lines
    }
    rows = []
    for one in plan.opened:
        line = one.line
        what = []
        if line.account in plan.new:
            what.append("opened" if is_done else "opens it")
        if line.line in posted:
            was = "posted before" if posted[line.line] else "posted" if is_done else "posts it"
            what.append(was)
        rows.append(
            {
                "line": line.line,
                "account": line.account,
                "currency": line.currency,
                "balance": format_minor(one.balance_minor, one.scale),
                "what": ", ".join(what) or "nothing to do",
            }
        )
    plan.service.show(rows, _COLUMNS, "Opening balances")
    if not is_done and not plan.service.as_json:
        typer.echo("Nothing is posted yet; --yes posts it.")


def _asked(
    plan: Plan,
    line: BalanceLine,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    **params: Any,
) -> dict[str, Any] | None:
    """Return an answer, None where it is a refusal, which is noted as the line's."""
    status, document = plan.service.ask(method, path, body, **params)
    if status < 400:
        return document
    plan.note(line, f"{line.account}: {document.get('detail')}.")
    return None

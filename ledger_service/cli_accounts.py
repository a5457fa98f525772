"""Commands of accounts: list, open, look at, freeze, close; and their balances."""

from typing import Annotated, Any

import typer

from ledger_service.terminal import (
    AsJson,
    DryRun,
    Exit,
    Key,
    LedgerName,
    Limit,
    Metadata,
    Service,
    fail,
    pairs,
)

PATH = "/ledger/account/"
app = typer.Typer(no_args_is_help=True)
account = typer.Typer(no_args_is_help=True, help="One account: open, show, freeze, close.")
app.add_typer(account, name="account")
AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT_ID", show_default=False)]


@app.command()
def accounts(
    kind: Annotated[str | None, typer.Option("--type", help="only of this type")] = None,
    currency: Annotated[str | None, typer.Option(help="only in this currency")] = None,
    status: Annotated[str | None, typer.Option(help="open or closed")] = None,
    under: Annotated[str | None, typer.Option(help="only this code and those below it")] = None,
    metadata: Metadata = None,
    limit: Limit = 50,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """List accounts in the order in which they were opened."""
    filters = {"type": kind, "currency": currency, "status": status, "under": under}
    wanted = [f"{name}={value}" for name, value in pairs(metadata).items()]
    service = Service(ledger, as_json)
    found = service.rows(PATH, "accounts", limit=limit, metadata=wanted or None, **filters)
    columns = ("account_id", "type", "currency", "code", "status", "frozen", "opened_at")
    service.show(found, columns, "Accounts")


@app.command()
def balance(
    account_id: AccountId,
    as_of: Annotated[str | None, typer.Option(help="effective time, RFC 3339")] = None,
    at_seq: Annotated[int | None, typer.Option(help="as known by this entry", min=0)] = None,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Show an account's balance, now or as it was."""
    service = Service(ledger, as_json)
    found = service.get(f"{PATH}{account_id}/balance", as_of=as_of, at_seq=at_seq)
    service.facts(found, "Balance")


@account.command(name="open")
def open_account(
    currency: Annotated[str, typer.Option(help="its one currency")],
    kind: Annotated[str, typer.Option("--type", help="user, internal, asset, …")] = "user",
    code: Annotated[str | None, typer.Option(help="place in the chart of accounts")] = None,
    name: Annotated[str | None, typer.Option(help="kept as metadata.name")] = None,
    overdraft: Annotated[
        str | None, typer.Option(help="allowed, refused, or an amount below zero")
    ] = None,
    ceiling: Annotated[str | None, typer.Option(help="highest balance")] = None,
    metadata: Metadata = None,
    key: Key = None,
    dry_run: DryRun = False,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Open an account."""
    body: dict[str, Any] = {
        "currency": currency,
        "type": kind,
        "code": code,
        "overdraft": _overdraft(overdraft),
        "ceiling": ceiling,
        "metadata": ({} if name is None else {"name": name}) | pairs(metadata),
    }
    service = Service(ledger, as_json)
    opened = service.send("POST", PATH, body, key=key, dry_run=dry_run)
    service.facts(opened, "Would be opened" if dry_run else "Opened")


@account.command(name="show")
def show_account(account_id: AccountId, ledger: LedgerName = None, as_json: AsJson = False) -> None:
    """Show an account as its entries made it."""
    service = Service(ledger, as_json)
    service.facts(service.get(f"{PATH}{account_id}"), "Account")


@account.command()
def history(
    account_id: AccountId, limit: Limit = 50, ledger: LedgerName = None, as_json: AsJson = False
) -> None:
    """List what was changed about an account."""
    service = Service(ledger, as_json)
    found = service.rows(f"{PATH}{account_id}/history", "changes", limit=limit)
    columns = ("seq", "kind", "version", "status", "frozen", "code", "ceiling", "recorded_at")
    service.show(found, columns, "Changes")


@account.command()
def freeze(
    account_id: AccountId,
    what: Annotated[str, typer.Argument(help="debits, credits, all or none")] = "all",
    key: Key = None,
    dry_run: DryRun = False,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Let an account take no debits, no credits, neither, or (none) both again."""
    if what not in ("debits", "credits", "all", "none"):
        fail(f"{what} is none of debits, credits, all and none.", Exit.USAGE)
    _change(Service(ledger, as_json), account_id, {"frozen": what}, key, dry_run)


@account.command()
def close(
    account_id: AccountId,
    key: Key = None,
    dry_run: DryRun = False,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Close an account: its balance must be zero, and nothing held."""
    _change(Service(ledger, as_json), account_id, {"status": "closed"}, key, dry_run)


def _change(
    service: Service, account_id: str, body: dict[str, Any], key: str | None, dry_run: bool
) -> None:
    changed = service.send("PATCH", f"{PATH}{account_id}", body, key=key, dry_run=dry_run)
    service.facts(changed, "Would be changed" if dry_run else "Changed")


def _overdraft(given: str | None) -> dict[str, str] | None:
    if given is None or given in ("allowed", "refused"):
        return None if given is None else {"policy": given}
    return {"policy": "floor", "limit": given}

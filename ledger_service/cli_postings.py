"""Commands that move money or keep it: transfers, reversals, holds; and what was posted."""

from typing import Annotated, Any

import typer

from ledger_service.terminal import (
    AsJson,
    DryRun,
    Key,
    LedgerName,
    Limit,
    Metadata,
    Reference,
    Service,
    pairs,
)

HOLD_PATH = "/ledger/hold/"
app = typer.Typer(no_args_is_help=True)
hold = typer.Typer(no_args_is_help=True, help="Holds: place, capture, release, void, show.")
app.add_typer(hold, name="hold")
Source = Annotated[str, typer.Argument(metavar="SOURCE_ID", help="is debited")]
Destination = Annotated[str, typer.Argument(metavar="DESTINATION_ID", help="is credited")]
Amount = Annotated[str, typer.Argument(help="a decimal: 100.50")]
Currency = Annotated[str, typer.Argument(help="EUR, USD, …")]
Part = Annotated[str | None, typer.Option(help="a part, not all of it")]
Description = Annotated[str | None, typer.Option(help="kept as metadata.description")]
EffectiveAt = Annotated[str | None, typer.Option(help="when it counts (RFC 3339), not later")]
HoldId = Annotated[str, typer.Argument(metavar="HOLD_ID")]
TransactionId = Annotated[str, typer.Argument(metavar="TRANSACTION_ID")]


@app.command()
def transfer(
    source: Source,
    destination: Destination,
    amount: Amount,
    currency: Currency,
    reference: Reference = None,
    description: Description = None,
    effective_at: EffectiveAt = None,
    metadata: Metadata = None,
    key: Key = None,
    dry_run: DryRun = False,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Move money from one account to another of the same currency."""
    body = _moving(source, destination, amount, currency, reference, description, metadata)
    body["effective_at"] = effective_at
    service = Service(ledger, as_json)
    posted = service.send("POST", "/ledger/transfer/", body, key=key, dry_run=dry_run)
    service.facts(posted, "Would be posted" if dry_run else "Posted")


@app.command()
def transaction(
    transaction_id: TransactionId, ledger: LedgerName = None, as_json: AsJson = False
) -> None:
    """Show a transaction, and what reverses it."""
    service = Service(ledger, as_json)
    service.facts(service.get(f"/ledger/transaction/{transaction_id}"), "Transaction")


@app.command()
def transactions(
    reference: Annotated[str | None, typer.Option(help="only with this reference")] = None,
    account: Annotated[str | None, typer.Option(help="only that touch this account")] = None,
    kind: Annotated[str | None, typer.Option(help="transfer, transaction, reversal, …")] = None,
    currency: Annotated[str | None, typer.Option(help="only what moved this one")] = None,
    metadata: Metadata = None,
    effective_from: Annotated[str | None, typer.Option(help="RFC 3339, inclusive")] = None,
    effective_to: Annotated[str | None, typer.Option(help="RFC 3339, inclusive")] = None,
    limit: Limit = 50,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """List transactions in the order of the history."""
    service = Service(ledger, as_json)
    found = service.rows(
        "/ledger/transactions/",
        "transactions",
        limit=limit,
        reference=reference,
        account_id=account,
        kind=kind,
        currency=currency,
        metadata=[f"{name}={value}" for name, value in pairs(metadata).items()] or None,
        effective_from=effective_from,
        effective_to=effective_to,
    )
    if not as_json:
        for row in found:
            row["amounts"] = ", ".join(
                f"{one['amount']} {one['currency']}" for one in row["amounts"]
            )
    columns = ("seq", "transaction_id", "amounts", "reference", "effective_at", "description")
    service.show(found, columns, "Transactions")


@app.command()
def reverse(
    transaction_id: TransactionId,
    amount: Part = None,
    reference: Reference = None,
    metadata: Metadata = None,
    key: Key = None,
    dry_run: DryRun = False,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Post the opposite of what is left of a transaction, or of a part of it."""
    body = {"amount": amount, "reference": reference, "metadata": pairs(metadata)}
    path = f"/ledger/transaction/{transaction_id}/reverse"
    service = Service(ledger, as_json)
    done = service.send("POST", path, body, key=key, dry_run=dry_run)
    service.facts(done, "Would be reversed" if dry_run else "Reversed")


@app.command()
def holds(
    account: Annotated[str | None, typer.Option(help="only of this account")] = None,
    status: Annotated[str | None, typer.Option(help="open, captured, voided, expired")] = None,
    limit: Limit = 50,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """List holds in the order in which they were placed."""
    service = Service(ledger, as_json)
    found = service.rows(HOLD_PATH, "holds", limit=limit, account_id=account, status=status)
    columns = ("hold_id", "status", "amount", "captured", "remaining", "currency", "expires_at")
    service.show(found, columns, "Holds")


@hold.command()
def place(
    source: Source,
    destination: Destination,
    amount: Amount,
    currency: Currency,
    expires_in: Annotated[int | None, typer.Option(help="seconds from now", min=1)] = None,
    expires_at: Annotated[str | None, typer.Option(help="or an instant (RFC 3339)")] = None,
    reference: Reference = None,
    description: Description = None,
    metadata: Metadata = None,
    key: Key = None,
    dry_run: DryRun = False,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Keep money of one account for another."""
    body = _moving(source, destination, amount, currency, reference, description, metadata)
    body |= {"expires_in_seconds": expires_in, "expires_at": expires_at}
    service = Service(ledger, as_json)
    placed = service.send("POST", HOLD_PATH, body, key=key, dry_run=dry_run)
    service.facts(placed, "Would be held" if dry_run else "Held")


@hold.command()
def capture(
    hold_id: HoldId,
    amount: Part = None,
    final: Annotated[bool, typer.Option("--final", help="give back the rest")] = False,
    reference: Reference = None,
    key: Key = None,
    dry_run: DryRun = False,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Post what a hold keeps, or a part of it."""
    body = {"amount": amount, "final": final, "reference": reference}
    _do(Service(ledger, as_json), hold_id, "capture", body, key, dry_run)


@hold.command()
def increase(
    hold_id: HoldId,
    amount: Amount,
    key: Key = None,
    dry_run: DryRun = False,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Let a hold keep more."""
    _do(Service(ledger, as_json), hold_id, "increase", {"amount": amount}, key, dry_run)


@hold.command()
def release(
    hold_id: HoldId,
    amount: Amount,
    key: Key = None,
    dry_run: DryRun = False,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Give back a part of what a hold keeps."""
    _do(Service(ledger, as_json), hold_id, "release", {"amount": amount}, key, dry_run)


@hold.command()
def void(
    hold_id: HoldId,
    key: Key = None,
    dry_run: DryRun = False,
    ledger: LedgerName = None,
    as_json: AsJson = False,
) -> None:
    """Give back all that a hold keeps, and end it."""
    _do(Service(ledger, as_json), hold_id, "void", {}, key, dry_run)


@hold.command(name="show")
def show_hold(hold_id: HoldId, ledger: LedgerName = None, as_json: AsJson = False) -> None:
    """Show a hold and what was done to it."""
    service = Service(ledger, as_json)
    found = service.get(f"{HOLD_PATH}{hold_id}")
    if as_json:
        service.facts(found, "Hold")
        return
    done = found.pop("history")
    service.facts(found, "Hold")
    service.show(done, ("seq", "kind", "amount", "remaining", "recorded_at"), "History")


def _do(
    service: Service,
    hold_id: str,
    what: str,
    body: dict[str, Any],
    key: str | None,
    dry_run: bool,
) -> None:
    done = service.send("POST", f"{HOLD_PATH}{hold_id}/{what}", body, key=key, dry_run=dry_run)
    service.facts(done, f"Would {what}" if dry_run else f"Hold: {what}")


def _moving(
    source: str,
    destination: str,
    amount: str,
    currency: str,
    reference: str | None,
    description: str | None,
    metadata: list[str] | None,
) -> dict[str, Any]:
    described = {} if description is None else {"description": description}
    return {
        "source_account_id": source,
        "destination_account_id": destination,
        "amount": amount,
        "currency": currency,
        "reference": reference,
        "metadata": described | pairs(metadata),
    }

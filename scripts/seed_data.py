"""Seeds demo books through the public API and shows them; safe to repeat.

    Internal Float ── 500.00 USD ──▶ Alice ── 100.00 ──▶ Bob ── 50.00 ──▶ Alice
    Internal Float ┄┄ 200.00 USD held for Bob

Every request carries an Idempotency-Key, so a second run changes nothing and shows the same books.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as `python scripts/seed_data.py`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from shared.environment import use_project_environment

    use_project_environment()

import httpx
from rich.console import Console
from rich.table import Table

from shared.stack_files import PROJECT_ROOT, read_environment, stack_files

CLEAN, USAGE, INFRASTRUCTURE = 0, 2, 3
LEDGER_URL_DEFAULT = "http://127.0.0.1:8000"
ANSWER_SECONDS_MAX = 30
EVENTS_SHOWN_MAX = 500
DEMO_FILE = PROJECT_ROOT / "data" / "demo_transactions.json"

ACCOUNTS = {
    "Internal Float": "internal",
    "Alice": "user",
    "Bob": "user",
}
EXCHANGE_ACCOUNTS = (  # with these the example of an exchange in the API's pages works
    ("Exchange USD", "internal", "USD"),
    ("Exchange EUR", "internal", "EUR"),
    ("Alice EUR", "user", "EUR"),
)
TRANSFERS = (
    ("Internal Float", "Alice", "500.00", "Initial funding"),
    ("Alice", "Bob", "100.00", "Alice pays Bob"),
    ("Bob", "Alice", "50.00", "Bob pays Alice back"),
)
DEMO_ACCOUNTS = {"Demo Clearing": "internal", "Demo Merchant": "user"}


class SeedError(Exception):
    """The books cannot be seeded; the message is one sentence for a person."""


def main() -> int:
    """Seed, print, and return the exit code: 0, or 3 where the ledger answers wrongly or not."""
    arguments = _arguments()
    console = Console()
    try:
        with httpx.Client(base_url=_ledger_url(arguments), timeout=ANSWER_SECONDS_MAX) as ledger:
            accounts = seed_books(ledger)
            if arguments.demo:
                accounts |= seed_demo_statement_books(ledger)
            show_accounts(ledger, accounts, console)
            show_audit_trail(ledger, accounts, console)
    except SeedError as error:
        print(error, file=sys.stderr)
        return INFRASTRUCTURE
    except httpx.HTTPError as error:
        print(f"The ledger does not answer: {error}. Is it running (scripts/up)?", file=sys.stderr)
        return INFRASTRUCTURE
    return CLEAN


def seed_books(ledger: httpx.Client) -> dict[str, str]:
    """Open the accounts and move the money; return the ids of the three by name."""
    accounts = {name: _open(ledger, name, kind) for name, kind in ACCOUNTS.items()}
    for name, kind, currency in EXCHANGE_ACCOUNTS:
        _open(ledger, name, kind, currency)
    for number, (source, destination, amount, description) in enumerate(TRANSFERS, 1):
        _post(
            ledger,
            "/ledger/transfer/",
            f"seed-transfer-{number}",
            {
                "source_account_id": accounts[source],
                "destination_account_id": accounts[destination],
                "amount": amount,
                "currency": "USD",
                "metadata": {"description": description},
            },
        )
    _post(  # an open hold, with which the examples of holds in the API's pages work
        ledger,
        "/ledger/hold/",
        "seed-hold-1",
        {
            "source_account_id": accounts["Internal Float"],
            "destination_account_id": accounts["Bob"],
            "amount": "200.00",
            "currency": "USD",
            "metadata": {"description": "Bob's refund, not yet confirmed"},
        },
    )
    return accounts


def seed_demo_statement_books(ledger: httpx.Client) -> dict[str, str]:
    """Book what the demo statement of 2025-07-13 will be compared with."""
    accounts = {name: _open(ledger, name, kind) for name, kind in DEMO_ACCOUNTS.items()}
    for booked in json.loads(DEMO_FILE.read_text(encoding="utf-8")):
        _post(
            ledger,
            "/ledger/transfer/",
            f"demo-{booked['reference']}",
            {
                "source_account_id": accounts["Demo Clearing"],
                "destination_account_id": accounts["Demo Merchant"],
                "amount": booked["amount"],
                "currency": booked["currency"],
                "reference": booked["reference"],
                "effective_at": booked["effective_at"],
                "metadata": {"description": booked["description"]},
            },
        )
    return accounts


def show_accounts(ledger: httpx.Client, accounts: dict[str, str], console: Console) -> None:
    """Print each account with its balance."""
    table = Table(title="Accounts")
    for column in ("name", "account"):
        table.add_column(column, overflow="fold")
    table.add_column("balance", justify="right", no_wrap=True)
    for name, account_id in accounts.items():
        found = _get(ledger, f"/ledger/account/{account_id}/balance")
        table.add_row(name, account_id, f"{found['balance']} {found['currency']}")
    console.print(table)


def show_audit_trail(ledger: httpx.Client, accounts: dict[str, str], console: Console) -> None:
    """Print every debit and credit of these accounts in the order of the history."""
    names = {account_id: name for name, account_id in accounts.items()}
    found = [
        event
        for account_id in accounts.values()
        for event in _get(ledger, "/ledger/events/", account_id=account_id, limit=EVENTS_SHOWN_MAX)[
            "events"
        ]
    ]
    table = Table(title="Audit trail")
    for column in ("seq", "account", "debit", "credit", "balance after", "description"):
        numeric = column in {"seq", "debit", "credit", "balance after"}
        table.add_column(column, justify="right" if numeric else "left")
    for event in sorted(found, key=lambda event: (event["seq"], event["line"])):
        debit, credit = event["amount"], ""
        if event["direction"] == "credit":
            debit, credit = credit, debit
        table.add_row(
            str(event["seq"]),
            names[event["account_id"]],
            debit,
            credit,
            event["balance_after"],
            event["description"] or "",
        )
    console.print(table)


def _open(ledger: httpx.Client, name: str, kind: str, currency: str = "USD") -> str:
    body = {"currency": currency, "type": kind, "metadata": {"name": name}}
    account_id: str = _post(ledger, "/ledger/account/", f"seed-account-{name}", body)["account_id"]
    return account_id


def _post(ledger: httpx.Client, path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    return _document(ledger.post(path, json=body, headers={"Idempotency-Key": key}))


def _get(ledger: httpx.Client, path: str, **params: str | int) -> dict[str, Any]:
    return _document(ledger.get(path, params=params))


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document: dict[str, Any] = answer.json()
    except ValueError as error:
        raise SeedError(f"{answer.url} does not answer as a ledger does.") from error
    if answer.is_error:
        raise SeedError(f"The ledger refused {answer.url.path}: {document.get('detail')}")
    return document


def _ledger_url(arguments: argparse.Namespace) -> str:
    found = read_environment(stack_files(arguments.data_dir))
    chosen = arguments.ledger_url or os.environ.get("LEDGER_URL") or found.get("LEDGER_URL")
    return chosen or LEDGER_URL_DEFAULT


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Seed demo books through the ledger's API and show them; safe to repeat."
    )
    parser.add_argument(
        "--data-dir", "--data_dir", help="of the running stack; also KAIRON_DATA_DIR"
    )
    parser.add_argument("--ledger-url", "--ledger_url", help="of the ledger; also LEDGER_URL")
    parser.add_argument(
        "--demo", action="store_true", help="also book what the demo statement is compared with"
    )
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())

"""What the tests of whole ledger processes share: accounts over HTTP, and the books' verdict."""

import asyncpg

from ledger_service.projections.verifier import verify
from ledger_service.tables import MAIN_LEDGER_ID
from scripts.lean_http import LeanClient

LEDGER = "ledger_service.main"


async def open_account(client: LeanClient, kind: str = "user") -> str:
    """Open an account in dollars and return its id."""
    answer = await client.post("/ledger/account/", {"currency": "USD", "type": kind})
    assert answer.status == 201, answer.body
    account_id: str = answer.json()["account_id"]
    return account_id


def transfer(source: str, destination: str, amount: str, reference: str) -> dict[str, str]:
    """Return the body of a transfer in dollars."""
    return {
        "source_account_id": source,
        "destination_account_id": destination,
        "amount": amount,
        "currency": "USD",
        "reference": reference,
    }


async def journal(ledger_url: str) -> dict[str, tuple[str, int]]:
    """Return transaction id and seq of every transfer by its reference; no reference may repeat."""
    connection = await asyncpg.connect(ledger_url)
    rows = await connection.fetch(
        "SELECT reference, entry_id::text, seq FROM ledger.journal WHERE kind = 'transfer'"
    )
    await connection.close()
    found = {row["reference"]: (row["entry_id"], row["seq"]) for row in rows}
    assert len(found) == len(rows)
    return found


async def check_books(ledger_url: str) -> None:
    """Fail unless the log has no gap and all that is projected from it equals its replay."""
    connection = await asyncpg.connect(ledger_url)
    report = await verify(connection, MAIN_LEDGER_ID)
    await connection.close()
    assert report.entries > 0
    assert report.findings == []

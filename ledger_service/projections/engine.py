"""Writes the projections of a batch in the same atomic step that appends its entries."""

import asyncpg

from ledger_service.domain.batch import Decided
from ledger_service.domain.model import AccountOpened
from ledger_service.domain.payloads import metadata_text
from shared.bulk import Bulk, Row

# Accounts that the batch opened.
ACCOUNTS = Bulk(
    "ledger",
    "accounts",
    {
        "ledger_id": "integer",
        "account_id": "uuid",
        "opened_seq": "bigint",
        "currency": "text",
        "scale": "smallint",
        "type": "text",
        "floor_minor": "bigint",
        "metadata": "jsonb",
        "opened_at": "timestamptz",
    },
)

# Running totals after the batch; one row an account, so an account never appears twice.
BALANCES = Bulk(
    "ledger",
    "balances",
    {
        "ledger_id": "integer",
        "account_id": "uuid",
        "debits_minor": "bigint",
        "credits_minor": "bigint",
        "position": "bigint",
    },
)
BALANCE_KEYS = ("ledger_id", "account_id")


class ProjectionEngine:
    """Keeps the projections of one ledger equal to the fold of its log."""

    def __init__(self, ledger_id: int) -> None:
        self._ledger_id = ledger_id

    def account_rows(self, decided: Decided) -> list[Row]:
        """Return a row of ACCOUNTS for each account that was opened."""
        return [
            (
                self._ledger_id,
                facts.account_id,
                entry.seq,
                facts.currency,
                facts.scale,
                facts.type,
                facts.floor_minor,
                metadata_text(facts.metadata),
                entry.recorded_at,
            )
            for entry in decided.entries
            if isinstance(facts := entry.body, AccountOpened)
        ]

    def balance_rows(self, decided: Decided) -> tuple[list[Row], list[Row]]:
        """Return the rows of BALANCES to insert for opened accounts, and to update for others."""
        opened = {
            entry.entry_id for entry in decided.entries if isinstance(entry.body, AccountOpened)
        }
        new: list[Row] = []
        moved: list[Row] = []
        for account_id, account in decided.changed.items():
            row = (self._ledger_id, account_id, *account[5:])  # debits, credits, position
            (new if account_id in opened else moved).append(row)
        return new, moved

    async def project(self, connection: asyncpg.Connection, decided: Decided) -> None:
        """Write the rows in statements of their own, inside the caller's transaction."""
        new, moved = self.balance_rows(decided)
        for bulk, statement, rows in (
            (ACCOUNTS, ACCOUNTS.insert(1), self.account_rows(decided)),
            (BALANCES, BALANCES.insert(1), new),
            (BALANCES, BALANCES.update(BALANCE_KEYS, 1), moved),
        ):
            if rows:
                done = await connection.execute(statement, *bulk.arrays(rows))
                assert int(done.split()[-1]) == len(rows), "an account has no balance"

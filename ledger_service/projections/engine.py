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
    on_conflict="""
ON CONFLICT (ledger_id, account_id) DO UPDATE SET
    debits_minor = EXCLUDED.debits_minor,
    credits_minor = EXCLUDED.credits_minor,
    position = EXCLUDED.position
""",
)


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

    def balance_rows(self, decided: Decided) -> list[Row]:
        """Return a row of BALANCES for each account that was opened or moved."""
        return [
            (
                self._ledger_id,
                account_id,
                account.debits_minor,
                account.credits_minor,
                account.position,
            )
            for account_id, account in decided.changed.items()
        ]

    async def project(self, connection: asyncpg.Connection, decided: Decided) -> None:
        """Write the rows in statements of their own, inside the caller's transaction."""
        for bulk, rows in (
            (ACCOUNTS, self.account_rows(decided)),
            (BALANCES, self.balance_rows(decided)),
        ):
            if rows:
                await connection.execute(bulk.insert(1), *bulk.arrays(rows))

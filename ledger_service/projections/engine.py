"""Writes the projections of a batch in the same transaction that appends its entries."""

import json
from collections.abc import Sequence

import asyncpg

from ledger_service.domain.model import Account, Entry, EntryKind

# Accounts that these entries opened.
_INSERT_ACCOUNTS = """
INSERT INTO ledger.accounts
    (ledger_id, account_id, opened_seq, currency, scale, type, floor_minor, metadata, opened_at)
SELECT $1, * FROM unnest(
    $2::uuid[], $3::bigint[], $4::text[], $5::smallint[], $6::text[], $7::bigint[], $8::jsonb[],
    $9::timestamptz[])
"""

# Running totals; one row an account, so an account never appears twice.
_UPSERT_BALANCES = """
INSERT INTO ledger.balances (ledger_id, account_id, debits_minor, credits_minor, position)
SELECT $1, * FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT (ledger_id, account_id) DO UPDATE SET
    debits_minor = EXCLUDED.debits_minor,
    credits_minor = EXCLUDED.credits_minor,
    position = EXCLUDED.position
"""


class ProjectionEngine:
    """Keeps the projections of one ledger equal to the fold of its log."""

    def __init__(self, ledger_id: int) -> None:
        self._ledger_id = ledger_id

    async def project(
        self,
        connection: asyncpg.Connection,
        entries: Sequence[Entry],
        accounts: Sequence[Account],
    ) -> None:
        """Project `entries`; `accounts` are all that they changed, as they are after the last."""
        opened = [entry for entry in entries if entry.kind is EntryKind.ACCOUNT_OPENED]
        if opened:
            await connection.execute(
                _INSERT_ACCOUNTS,
                self._ledger_id,
                [entry.entry_id for entry in opened],
                [entry.seq for entry in opened],
                [entry.payload["currency"] for entry in opened],
                [entry.payload["scale"] for entry in opened],
                [entry.payload["type"] for entry in opened],
                [entry.payload["floor_minor"] for entry in opened],
                [json.dumps(entry.payload["metadata"]) for entry in opened],
                [entry.recorded_at for entry in opened],
            )
        if accounts:
            await connection.execute(
                _UPSERT_BALANCES,
                self._ledger_id,
                [account.account_id for account in accounts],
                [account.debits_minor for account in accounts],
                [account.credits_minor for account in accounts],
                [account.position for account in accounts],
            )

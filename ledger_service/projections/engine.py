"""Writes the projections of a batch in the same atomic step that appends its entries."""

from collections.abc import Sequence

import asyncpg

from ledger_service.domain.batch import Decided
from ledger_service.domain.entries import AccountChanged, AccountOpened, Transacted
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
        "normal_side": "text",
        "floor_minor": "bigint",
        "ceiling_minor": "bigint",
        "limits_on": "text",
        "code": "text",
        "metadata": "jsonb",
        "opened_at": "timestamptz",
    },
)

# What changes of an account.
_CHANGED_ACCOUNTS = Bulk(
    "ledger",
    "accounts",
    {
        "ledger_id": "integer",
        "account_id": "uuid",
        "floor_minor": "bigint",
        "ceiling_minor": "bigint",
        "limits_on": "text",
        "frozen": "text",
        "status": "text",
        "code": "text",
        "version": "bigint",
    },
)
_CHANGED_METADATA = Bulk(
    "ledger", "accounts", {"ledger_id": "integer", "account_id": "uuid", "metadata": "jsonb"}
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
ACCOUNT_KEYS = ("ledger_id", "account_id")

# The same where holds may have changed what they keep.
_HELD_BALANCES = Bulk(
    "ledger",
    "balances",
    {
        **BALANCES.columns,
        "held_debits_minor": "bigint",
        "held_credits_minor": "bigint",
    },
)

# Holds as they are after the batch.
_HOLDS = Bulk(
    "ledger",
    "holds",
    {
        "ledger_id": "integer",
        "hold_id": "uuid",
        "source_account_id": "uuid",
        "destination_account_id": "uuid",
        "currency": "text",
        "scale": "smallint",
        "amount_minor": "bigint",
        "captured_minor": "bigint",
        "released_minor": "bigint",
        "over_capture_minor": "bigint",
        "expires_at": "timestamptz",
        "status": "text",
    },
)

# Periods as they are after the batch.
_PERIODS = Bulk(
    "ledger",
    "periods",
    {
        "ledger_id": "integer",
        "period_id": "uuid",
        "name": "text",
        "starts_at": "timestamptz",
        "ends_at": "timestamptz",
        "status": "text",
        "late": "text",
    },
)

# How much of each line of a transaction an entry reverses.
_ADD_REVERSAL = """
INSERT INTO ledger.reversals (ledger_id, transaction_id, seq, reversal_id, amounts_minor)
VALUES ($1, $2, $3, $4, $5)
"""


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
                facts.normal_side,
                facts.floor_minor,
                facts.ceiling_minor,
                facts.limits_on,
                facts.code,
                metadata_text(entry.body.metadata),
                entry.recorded_at,
            )
            for entry in decided.entries
            if isinstance(entry.body, AccountOpened) and (facts := entry.body.facts)
        ]

    def balance_rows(self, decided: Decided, *, held: bool = False) -> tuple[list[Row], list[Row]]:
        """Return the rows of BALANCES to insert for opened accounts, and to update for others.

        With `held` the latter have what holds keep as well.
        """
        opened = {
            entry.entry_id for entry in decided.entries if isinstance(entry.body, AccountOpened)
        }
        new: list[Row] = []
        moved: list[Row] = []
        for account_id, account in decided.changed.items():
            row = (self._ledger_id, account_id, *account[1:4])  # debits, credits, position
            if account_id in opened:
                new.append(row)
            if account_id not in opened or held:
                moved.append((*row, *account[4:]) if held else row)
        return new, moved

    async def project(self, connection: asyncpg.Connection, decided: Decided) -> None:
        """Write the rows in statements of their own, inside the caller's transaction."""
        is_plain = decided.is_plain
        new, moved = self.balance_rows(decided, held=not is_plain)
        balances = BALANCES if is_plain else _HELD_BALANCES
        for bulk, statement, rows in (
            (ACCOUNTS, ACCOUNTS.insert(1), self.account_rows(decided)),
            (BALANCES, BALANCES.insert(1), new),
            (balances, balances.update(ACCOUNT_KEYS, 1), moved),
        ):
            if rows:
                done = await connection.execute(statement, *bulk.arrays(rows))
                assert int(done.split()[-1]) == len(rows), "an account has no balance"
        if not is_plain:
            await self._project_the_rest(connection, decided)

    async def _project_the_rest(self, connection: asyncpg.Connection, decided: Decided) -> None:
        for bulk, statement, rows in (
            (
                _CHANGED_ACCOUNTS,
                _CHANGED_ACCOUNTS.update(ACCOUNT_KEYS, 1),
                self._changed_rows(decided),
            ),
            (
                _CHANGED_METADATA,
                _CHANGED_METADATA.update(ACCOUNT_KEYS, 1),
                self._metadata_rows(decided),
            ),
            (
                _HOLDS,
                _HOLDS.upsert(("ledger_id", "hold_id"), 1),
                [(self._ledger_id, *hold) for hold in decided.holds.values()],
            ),
            (
                _PERIODS,
                _PERIODS.upsert(("ledger_id", "period_id"), 1),
                [(self._ledger_id, *period) for period in decided.periods.values()],
            ),
        ):
            if rows:
                await connection.execute(statement, *bulk.arrays(rows))
        if reversals := self._reversal_rows(decided):
            await connection.executemany(_ADD_REVERSAL, reversals)

    def _changed_rows(self, decided: Decided) -> list[Row]:
        changed = {
            entry.body.facts.account_id: entry.body.facts
            for entry in decided.entries
            if isinstance(entry.body, AccountChanged)
        }
        return [
            (
                self._ledger_id,
                facts.account_id,
                facts.floor_minor,
                facts.ceiling_minor,
                facts.limits_on,
                facts.frozen,
                facts.status,
                facts.code,
                facts.version,
            )
            for facts in changed.values()
        ]

    def _metadata_rows(self, decided: Decided) -> list[Row]:
        changed = {
            entry.body.facts.account_id: entry.body.metadata
            for entry in decided.entries
            if isinstance(entry.body, AccountChanged) and entry.body.metadata is not None
        }
        return [
            (self._ledger_id, account_id, metadata_text(metadata))
            for account_id, metadata in changed.items()
        ]

    def _reversal_rows(self, decided: Decided) -> Sequence[Row]:
        return [
            (
                self._ledger_id,
                entry.body.reverses.transaction_id,
                entry.seq,
                entry.entry_id,
                entry.body.reverses.amounts_minor,
            )
            for entry in decided.entries
            if isinstance(entry.body, Transacted) and entry.body.reverses is not None
        ]

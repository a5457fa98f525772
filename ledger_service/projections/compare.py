"""What a replay of the log makes of each projection, and where the stored rows differ from it."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from ledger_service.domain.entries import AccountChanged, AccountOpened, Entry, Transacted
from ledger_service.domain.evolve import advance
from ledger_service.domain.model import Account
from ledger_service.domain.payloads import metadata_text
from ledger_service.domain.state import Changes, State
from shared.bulk import Row

ROWS_PER_FETCH = 5_000


class Projection(NamedTuple):
    """A table that can be made again from the log; `keys` are the first of its `columns`.

    The ledger's id, which every such table has first, is left out. `json` is the place of the one
    column that is JSON.
    """

    table: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    json: int | None = None

    def key_of(self, row: Row) -> Row:
        return row[: len(self.keys)]


ACCOUNTS = Projection(
    "accounts",
    ("account_id",),
    (
        "account_id",
        "currency",
        "scale",
        "type",
        "normal_side",
        "floor_minor",
        "ceiling_minor",
        "limits_on",
        "frozen",
        "status",
        "code",
        "version",
        "opened_seq",
        "opened_at",
        "metadata",
    ),
    json=14,
)
BALANCES = Projection(
    "balances",
    ("account_id",),
    (
        "account_id",
        "debits_minor",
        "credits_minor",
        "position",
        "held_debits_minor",
        "held_credits_minor",
    ),
)
HOLDS = Projection(
    "holds",
    ("hold_id",),
    (
        "hold_id",
        "source_account_id",
        "destination_account_id",
        "currency",
        "scale",
        "amount_minor",
        "captured_minor",
        "released_minor",
        "over_capture_minor",
        "expires_at",
        "status",
    ),
)
PERIODS = Projection(
    "periods",
    ("period_id",),
    ("period_id", "name", "starts_at", "ends_at", "status", "late"),
)
REVERSALS = Projection(
    "reversals",
    ("transaction_id", "seq"),
    ("transaction_id", "seq", "reversal_id", "amounts_minor"),
)
PROJECTIONS = (ACCOUNTS, BALANCES, HOLDS, PERIODS, REVERSALS)


class Opening(NamedTuple):
    """What the accounts projection keeps of an account beside the fold's account."""

    seq: int
    opened_at: datetime
    metadata: Mapping[str, Any]


class Replay:
    """The books as the log makes them, entry by entry, with all that is projected from it."""

    def __init__(self) -> None:
        self.state = State(last_seq=0)
        self.last: Entry | None = None
        self._openings: dict[UUID, Opening] = {}
        self._reversals: dict[Row, Row] = {}

    def take(self, entry: Entry) -> Changes:
        """Fold the next entry, and return what it changes.

        Raises KeyError or ValueError where it names what is not there, and has changed nothing
        then; its place in the order is the caller's to check.
        """
        body = entry.body
        opening: Opening | None = None
        if isinstance(body, AccountOpened):
            opening = Opening(entry.seq, entry.recorded_at, body.metadata)
        elif isinstance(body, AccountChanged) and body.metadata is not None:
            opening = self._openings[body.facts.account_id]._replace(metadata=body.metadata)
        changes = advance(self.state, entry)
        if opening is not None:
            self._openings[changes.accounts[0].account_id] = opening
        if isinstance(body, Transacted) and body.reverses is not None:
            key = (body.reverses.transaction_id, entry.seq)
            self._reversals[key] = (*key, entry.entry_id, list(body.reverses.amounts_minor))
        self.last = entry
        return changes

    def keys(self, projection: Projection) -> set[Row]:
        """Return the keys of all rows that there must be."""
        if projection is REVERSALS:
            return set(self._reversals)
        return {(key,) for key in self._values(projection)}

    def row(self, projection: Projection, key: Row) -> Row | None:
        """Return the row that there must be under `key`, None where there must be none."""
        if projection is REVERSALS:
            return self._reversals.get(key)
        value = self._values(projection).get(key[0])
        if value is None:
            return None
        if projection is ACCOUNTS:
            return self._account_row(value)
        if projection is BALANCES:
            return (key[0], *value[1:])
        return tuple(value)

    def rows(self, projection: Projection) -> Iterator[Row]:
        """Yield all rows that there must be, in the order of their keys."""
        for key in sorted(self.keys(projection)):
            row = self.row(projection, key)
            assert row is not None, f"{projection.table} has no row {key}"
            yield row

    def _values(self, projection: Projection) -> Mapping[UUID, Any]:
        state = self.state
        values: Mapping[str, Mapping[UUID, Any]] = {
            "accounts": state.accounts,
            "balances": state.accounts,
            "holds": state.holds,
            "periods": state.periods,
        }
        return values[projection.table]

    def _account_row(self, account: Account) -> Row:
        facts = account.facts
        return (
            facts.account_id,
            facts.currency,
            facts.scale,
            facts.type,
            facts.normal_side,
            facts.floor_minor,
            facts.ceiling_minor,
            facts.limits_on,
            facts.frozen,
            facts.status,
            facts.code,
            facts.version,
            *self._openings[facts.account_id],
        )


class Difference(NamedTuple):
    """A row that is not what the replay makes it; None where there is no such row."""

    projection: Projection
    key: Row
    stored: Row | None
    replayed: Row | None

    def __str__(self) -> str:
        name = f"{self.projection.table} {' '.join(map(str, self.key))}"
        if self.replayed is None:
            return f"{name} is stored, but no entry of the journal makes it"
        if self.stored is None:
            return f"{name} is missing; replay makes it {_told(self.replayed)}"
        parts = [
            f"{column} is {_plain(found)}, replay makes it {_plain(expected)}"
            for column, found, expected in zip(
                self.projection.columns, self.stored, self.replayed, strict=True
            )
            if found != expected
        ]
        return f"{name}: {'; '.join(parts)}"


async def differences(
    connection: asyncpg.Connection, ledger_id: int, replay: Replay
) -> AsyncIterator[Difference]:
    """Yield every row that differs, inside a transaction that sees the log where `replay` ends."""
    for projection in PROJECTIONS:
        unseen = replay.keys(projection)
        async for stored in _stored(connection, ledger_id, projection):
            key = projection.key_of(stored)
            unseen.discard(key)
            replayed = replay.row(projection, key)
            if stored != replayed:
                yield Difference(projection, key, stored, replayed)
        for key in sorted(unseen):
            yield Difference(projection, key, None, replay.row(projection, key))


async def insert_rows(
    connection: asyncpg.Connection, ledger_id: int, projection: Projection, rows: Iterable[Row]
) -> None:
    """Write rows of a projection where there are none of their keys yet."""
    place = projection.json
    written = (
        (ledger_id, *row)
        if place is None
        else (ledger_id, *row[:place], metadata_text(row[place]), *row[place + 1 :])
        for row in rows
    )
    await connection.copy_records_to_table(
        projection.table,
        schema_name="ledger",
        columns=("ledger_id", *projection.columns),
        records=written,
    )


async def _stored(
    connection: asyncpg.Connection, ledger_id: int, projection: Projection
) -> AsyncIterator[Row]:
    # names of columns and tables are this program's own; the ledger is a parameter
    statement = (
        f"SELECT {', '.join(projection.columns)} FROM ledger.{projection.table} "  # noqa: S608
        f"WHERE ledger_id = $1 ORDER BY {', '.join(projection.keys)}"
    )
    async for record in connection.cursor(statement, ledger_id, prefetch=ROWS_PER_FETCH):
        row = tuple(record)
        place = projection.json
        if place is not None:
            row = (*row[:place], json.loads(row[place]), *row[place + 1 :])
        yield row


def _told(row: Row) -> str:
    return ", ".join(_plain(value) for value in row)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)

"""Lists of transactions, and single ones; an entry that moves money is a transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    exists,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.entries import Entry, EntryKind
from ledger_service.repositories.metadata_keys import MetadataFilter, has_member, starts_alike
from ledger_service.repositories.moved import amount_columns, amounts, moved_rows, moves
from ledger_service.repositories.pages import (
    Key,
    bounded,
    bounded_page,
    entries_scan,
    fetch_keyed,
    lookup,
    seq_before_effective,
)
from ledger_service.repositories.rows import (
    ENTRY_COLUMNS,
    USER_TEXTS,
    Range,
    effective_within,
    is_transaction,
    seq_within,
    text_member,
)
from ledger_service.state_reader import entry_of
from ledger_service.tables import events, journal, reversals
from shared.rows import Columns, json_rows, stream_columns
from shared.streaming import CSV, instant_text

_ACCOUNT_OPENED: ColumnElement[str] = literal_column(f"'{EntryKind.ACCOUNT_OPENED}'")


@dataclass(frozen=True, slots=True)
class TransactionRange(Range):
    """Which transactions a list shows: those of a part of the history that fit all the rest.

    Of `account_id` are those that have a line there; `amount_from` and `amount_to` (inclusive)
    bound what was moved in `currency`, or in any one currency.
    """

    kind: str | None = None
    currency: str | None = None
    amount_from: Decimal | None = None
    amount_to: Decimal | None = None
    metadata: tuple[MetadataFilter, ...] = ()

    @property
    def has_amount(self) -> bool:
        return (self.currency, self.amount_from, self.amount_to) != (None, None, None)

    @property
    def pages_by_effective_time(self) -> bool:
        return super(TransactionRange, self).pages_by_effective_time and not self.metadata


class Reversal(NamedTuple):
    """A transaction that reverses another, and how much of each line of that."""

    transaction_id: UUID
    seq: int
    amounts_minor: Sequence[int]


async def transactions_page(
    database: AsyncEngine,
    ledger_id: int,
    wanted: TransactionRange,
    *,
    after: Key | None,
    limit: int,
) -> tuple[list[str], Key | None]:
    """Return JSON rows after the key `after`, and the key from which to go on, None at the end.

    The key is (seq,), or (effective_at, seq) where the range pages by effective time.
    """
    if after is None and not wanted.pages_by_effective_time and wanted.effective_from is not None:
        never = await seq_before_effective(database, ledger_id, wanted.effective_from)
        wanted = replace(wanted, after_seq=max(wanted.after_seq or 0, never))
    return await fetch_keyed(database, page_statement(ledger_id, wanted, after, limit), limit)


def page_statement(
    ledger_id: int, wanted: TransactionRange, after: Key | None, limit: int
) -> Select[Any]:
    """Return the statement of one page, with one row more than `limit` where there are more.

    It walks the one index that promises to find the fewest, and asks the rest of each entry.
    """
    if wanted.reference is not None or wanted.pages_by_effective_time:
        scan, order = entries_scan(ledger_id, wanted, after)
    else:
        order = ["seq"]
        if after is not None:
            wanted = replace(wanted, after_seq=max(wanted.after_seq or 0, after[0]))
        if wanted.metadata:
            scan = _walk_of_metadata(ledger_id, wanted)
        else:
            scan = _walk_of_events(ledger_id, wanted)
    found = scan.subquery("found")
    walks_entries = "payload" in found.c
    entry = found if walks_entries else lookup(journal, found, "entry")
    key = [found.c[name] for name in order]
    page: Select[Any] = select(*key, json_rows(_columns(entry)))
    if not walks_entries:
        page = page.select_from(found.join(entry, true()))
    walks_account = "account_id" in found.c
    page = page.where(*_fits(entry, wanted, has_line=walks_account)).order_by(*key)
    if walks_account:
        page = page.where(_is_first_line(found))
    return bounded_page(scan, order, page, limit=limit)


def transactions_stream(ledger_id: int, wanted: TransactionRange, media_type: str) -> Select[Any]:
    """Return the statement whose rows a stream of `media_type` sends; CSV has one amount a row."""
    if media_type == CSV:
        return _csv_stream(ledger_id, wanted)
    return (
        select(*stream_columns(_columns(journal), media_type, user_texts=USER_TEXTS))
        .where(journal.c.ledger_id == ledger_id, *_fits(journal, wanted))
        .order_by(journal.c.seq)
    )


async def find_transaction(
    database: AsyncEngine, ledger_id: int, transaction_id: UUID
) -> Entry | None:
    """Return the journal entry of a transaction, None where there is none."""
    statement = select(*ENTRY_COLUMNS).where(
        journal.c.ledger_id == ledger_id,
        journal.c.entry_id == transaction_id,
        is_transaction(journal.c.kind),
    )
    async with database.connect() as connection:
        row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else entry_of(row)


async def find_reversals(
    database: AsyncEngine, ledger_id: int, transaction_id: UUID
) -> list[Reversal]:
    """Return what reverses a transaction, in the order of the history."""
    statement = (
        select(reversals.c.reversal_id, reversals.c.seq, reversals.c.amounts_minor)
        .where(reversals.c.ledger_id == ledger_id, reversals.c.transaction_id == transaction_id)
        .order_by(reversals.c.seq)
    )
    async with database.connect() as connection:
        return [Reversal(*row) for row in await connection.execute(statement)]


def _csv_stream(ledger_id: int, wanted: TransactionRange) -> Select[Any]:
    moved = moved_rows(journal)
    columns = _row(journal, amount_columns(journal, moved))
    return (
        select(*stream_columns(columns, CSV, user_texts=USER_TEXTS))
        .select_from(journal.outerjoin(moved, true()))
        .where(journal.c.ledger_id == ledger_id, *_fits(journal, wanted))
        .order_by(journal.c.seq, moved.c.place)
    )


def _walk_of_metadata(ledger_id: int, wanted: TransactionRange) -> Select[Any]:
    """Walk the entries whose metadata begin like the first one that is wanted."""
    scan = select(journal).where(
        journal.c.ledger_id == ledger_id,
        journal.c.kind != _ACCOUNT_OPENED,
        *starts_alike(journal, wanted.metadata[0]),
        *seq_within(journal.c.seq, wanted),
    )
    return bounded(scan.order_by(journal.c.seq))


def _walk_of_events(ledger_id: int, wanted: TransactionRange) -> Select[Any]:
    """Walk the events of an account, or the first event of each transaction.

    Other entries have no events: however many accounts were opened in a row, none is looked at.
    """
    columns = [events.c.ledger_id, events.c.seq]
    conditions = [events.c.ledger_id == ledger_id, *seq_within(events.c.seq, wanted)]
    order = [events.c.seq]
    if wanted.account_id is None:
        conditions.append(events.c.line == 1)
    else:
        conditions.append(events.c.account_id == wanted.account_id)
        columns += [events.c.line, events.c.account_id]
        order.append(events.c.line)
    return bounded(select(*columns).where(*conditions).order_by(*order))


def _is_first_line(found: FromClause) -> ColumnElement[bool]:
    """Return the condition that the account has no earlier line in the transaction."""
    earlier = events.alias("earlier")
    return or_(
        found.c.line == 1,
        ~exists().where(
            *(earlier.c[name] == found.c[name] for name in ("ledger_id", "seq", "account_id")),
            earlier.c.line < found.c.line,
        ),
    )


def _fits(
    entry: FromClause, wanted: TransactionRange, *, has_line: bool = False
) -> list[ColumnElement[bool]]:
    """Return what is asked of each entry; `has_line` where its walk is that of the account."""
    conditions = [
        is_transaction(entry.c.kind),
        *seq_within(entry.c.seq, wanted),
        *effective_within(entry.c.effective_at, wanted),
        *(has_member(entry, one) for one in wanted.metadata),
    ]
    if wanted.reference is not None:
        conditions.append(entry.c.reference == wanted.reference)
    if wanted.kind is not None:
        conditions.append(entry.c.kind == wanted.kind)
    if wanted.has_amount:
        conditions.append(moves(entry, wanted.currency, wanted.amount_from, wanted.amount_to))
    if wanted.account_id is not None and not has_line:
        line = events.alias("of_account")
        conditions.append(
            exists().where(
                line.c.ledger_id == entry.c.ledger_id,
                line.c.seq == entry.c.seq,
                line.c.account_id == wanted.account_id,
            )
        )
    return conditions


def _columns(entry: FromClause) -> Columns:
    return _row(entry, {"amounts": amounts(entry)})


def _row(entry: FromClause, moved: Columns) -> Columns:
    return {
        "transaction_id": entry.c.entry_id,
        "seq": entry.c.seq,
        "reference": entry.c.reference,
        **moved,
        "effective_at": instant_text(entry.c.effective_at),
        "recorded_at": instant_text(entry.c.recorded_at),
        "description": text_member(entry.c.payload, "description"),
        "counterparty": text_member(entry.c.payload, "counterparty"),
    }

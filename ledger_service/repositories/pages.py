"""Pages of the history for filters that no single index answers: how far one page may look.

One page walks one index, in the order of the list, over at most SCANNED_ROWS_MAX rows, and keeps
those that fit the other filters. A page may therefore be short, even empty, though more follow;
only a page without a cursor is the last one. So no filter makes a page slow.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    Table,
    Text,
    cast,
    func,
    literal,
    literal_column,
    null,
    select,
    text,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.selectable import NamedFromClause

from ledger_service.repositories.rows import (
    Range,
    effective_within,
    is_transaction,
    seq_within,
)
from ledger_service.tables import journal

SCANNED_ROWS_MAX = 2_000
LINE_MAX = 32_767
FOUND_BY = {
    "accounts": ("ledger_id", "account_id"),
    "events": ("ledger_id", "seq"),
    "journal": ("ledger_id", "seq"),
}
Key = tuple[Any, ...]

# Binary search for the last entry that was recorded before an instant. Where an entry is missing,
# the answer is only earlier than it could be.
_LAST_RECORDED_BEFORE = text("""
WITH RECURSIVE search (earlier, later) AS (
    SELECT CAST(0 AS bigint), last_seq + 1 FROM ledger.ledgers WHERE ledger_id = :ledger_id
    UNION ALL
    SELECT CASE WHEN probe.found THEN middle.seq ELSE search.earlier END,
           CASE WHEN probe.found THEN search.later ELSE middle.seq END
    FROM search
    CROSS JOIN LATERAL (SELECT (search.earlier + search.later) / 2 AS seq) AS middle
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT FROM ledger.journal
            WHERE ledger_id = :ledger_id AND seq = middle.seq AND recorded_at < :instant
        ) AS found
    ) AS probe
    WHERE search.later - search.earlier > 1
)
SELECT max(earlier) FROM search
""")


def after_key(columns: Sequence[ColumnElement[Any]], key: Key) -> ColumnElement[bool]:
    """Return the condition that a row comes after `key` in the order of `columns`."""
    return tuple_(*columns) > tuple_(*key)


def bounded(scan: Select[Any]) -> Select[Any]:
    """Return `scan`, a walk along one index, with the bound of one page."""
    return scan.limit(SCANNED_ROWS_MAX)


def lookup(
    table: Table, found: FromClause, name: str, *, by: Sequence[str] | None = None
) -> NamedFromClause:
    """Return the rows of `table` for each row of `found`, by primary key whatever the planner says.

    `by` names the columns of another unique key.

    OFFSET keeps it from joining in another order: with statistics that are a little off it would
    read a whole account, or the journal from its beginning, to save a few look-ups.
    """
    same = (table.c[column] == found.c[column] for column in by or FOUND_BY[table.name])
    return select(table).where(*same).offset(literal_column("0")).lateral(name)


def entries_scan(
    ledger_id: int, wanted: Range, after: Key | None, *, again: bool = False
) -> tuple[Select[Any], list[str]]:
    """Return a bounded walk along the journal by reference or effective time, and its order.

    It sets the conditions that its index answers; `entries_filter` has the others. With `again`
    the entry at the key comes once more: it may have more lines.
    """
    conditions = [journal.c.ledger_id == ledger_id]
    if wanted.reference is not None:
        order = ["seq"]
        conditions += [journal.c.reference == wanted.reference, *seq_within(journal.c.seq, wanted)]
    else:
        order = ["effective_at", "seq"]
        conditions.append(is_transaction(journal.c.kind))
        begun = wanted if after is None else replace(wanted, effective_from=None)
        conditions += effective_within(journal.c.effective_at, begun)  # never two lower bounds
    key = [journal.c[name] for name in order]
    if after is not None:
        here, there = tuple_(*key), tuple_(*after[: len(order)])
        conditions.append(here >= there if again else here > there)
    return bounded(select(journal).where(*conditions).order_by(*key)), order


def entries_filter(found: Subquery, wanted: Range) -> list[ColumnElement[bool]]:
    """Return what the walk of `entries_scan` leaves to be asked of each entry."""
    return [
        is_transaction(found.c.kind),
        *effective_within(found.c.effective_at, wanted),
        *seq_within(found.c.seq, wanted),
    ]


def bounded_page(
    scan: Select[Any], scan_key: Sequence[str], page: Select[Any], *, limit: int
) -> Select[Any]:
    """Return the statement of a page that filters what the bounded `scan` finds.

    `page` has the columns of its key and the document. Where it stays short though the scan came
    to its bound, one more row without a document tells by its key how far the scan came.
    """
    found = page.limit(limit + 1).cte("page")
    rest = scan.subquery("rest")
    order = [rest.c[name] for name in scan_key]
    lines = [literal(LINE_MAX)] * (len(found.c) - 1 - len(order))
    end = (
        select(*order, *lines, cast(null(), Text))
        .where(select(func.count()).select_from(found).scalar_subquery() <= limit)
        .order_by(*order)
        .offset(SCANNED_ROWS_MAX - 1)
        .limit(1)
    )
    return select(union_all(select(found), select(end.subquery("bound"))).subquery("rows"))


async def fetch_keyed(
    database: AsyncEngine, statement: Select[Any], limit: int
) -> tuple[list[str], Key | None]:
    """Return at most `limit` documents, and the key after which to go on, None at the end."""
    async with database.connect() as connection:
        rows = [tuple(row) for row in await connection.execute(statement)]
    documents = [row[-1] for row in rows if row[-1] is not None]
    if len(documents) > limit:
        return documents[:limit], rows[limit - 1][:-1]
    if len(rows) > len(documents):
        return documents, rows[-1][:-1]
    return documents, None


async def seq_before_effective(database: AsyncEngine, ledger_id: int, instant: datetime) -> int:
    """Return a seq up to which no entry counts at `instant` or later.

    An entry never counts later than it was recorded, and `recorded_at` never falls from one entry
    to the next: what was recorded before `instant` counts before it.
    """
    async with database.connect() as connection:
        found = await connection.execute(
            _LAST_RECORDED_BEFORE, {"ledger_id": ledger_id, "instant": instant}
        )
        return int(found.scalar_one())

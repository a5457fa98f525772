"""Lists of accounts: by place in the chart, by facts, and by declared keys of their metadata."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Text,
    cast,
    func,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.repositories.metadata_keys import MetadataFilter, has_member, starts_alike
from ledger_service.repositories.pages import (
    Key,
    bounded,
    bounded_page,
    fetch_keyed,
    lookup,
)
from ledger_service.tables import accounts

BELOW, BEHIND_BELOW = ":", ";"
"""What stands between the names of a code, and the character that comes behind it."""


@dataclass(frozen=True, slots=True)
class AccountFilter:
    """Which accounts a list shows: those that all given members fit."""

    under: str | None = None
    type: str | None = None
    status: str | None = None
    currency: str | None = None
    metadata: tuple[MetadataFilter, ...] = ()

    @property
    def pages_by_code(self) -> bool:
        """Tell whether pages are in the order of codes instead of that of opening."""
        return self.under is not None and not self.metadata


async def accounts_page(
    database: AsyncEngine, ledger_id: int, wanted: AccountFilter, *, after: Key | None, limit: int
) -> tuple[list[dict[str, Any]], Key | None]:
    """Return rows of accounts after the key `after`, and the key from which to go on.

    The key is (opened_seq,), or (code,) where the filter pages by code; None at the end.
    """
    statement = page_statement(ledger_id, wanted, after, limit)
    documents, last = await fetch_keyed(database, statement, limit)
    return [json.loads(document) for document in documents], last


def page_statement(
    ledger_id: int, wanted: AccountFilter, after: Key | None, limit: int
) -> Select[Any]:
    """Return the statement of one page: a bounded walk along one index, and the other filters."""
    order = accounts.c.code if wanted.pages_by_code else accounts.c.opened_seq
    scan: Select[Any] = select(accounts.c.ledger_id, order).where(accounts.c.ledger_id == ledger_id)
    if wanted.metadata:
        scan = scan.where(*starts_alike(accounts, wanted.metadata[0]))
    elif wanted.under is not None:
        scan = scan.where(order.is_not(None), order < wanted.under + BEHIND_BELOW)
        if after is None:
            scan = scan.where(order >= wanted.under)
    if after is not None:
        scan = scan.where(order > after[0])
    scan = bounded(scan.order_by(order))
    found = scan.subquery("found")
    account = lookup(accounts, found, "account", by=("ledger_id", order.name))
    page: Select[Any] = (
        select(found.c[order.name], cast(func.row_to_json(account.table_valued()), Text))
        .select_from(found.join(account, true()))
        .where(*_fits(account, wanted))
        .order_by(found.c[order.name])
    )
    return bounded_page(scan, [order.name], page, limit=limit)


def is_under(code: ColumnElement[Any], under: str) -> list[ColumnElement[bool]]:
    """Return the conditions that a code is `under` or lies below it.

    The range is what the index answers; names like `bank-2` lie in it but not below `bank`.
    """
    return [
        code.is_not(None),
        code >= under,
        code < under + BEHIND_BELOW,
        (code == under) | (code >= under + BELOW),
    ]


def _fits(found: FromClause, wanted: AccountFilter) -> list[ColumnElement[bool]]:
    """Return what the walk leaves to be asked of each account."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.under is not None:
        conditions += is_under(found.c.code, wanted.under)
    for name in ("type", "status", "currency"):
        if (value := getattr(wanted, name)) is not None:
            conditions.append(found.c[name] == value)
    return conditions + [has_member(found, one) for one in wanted.metadata]

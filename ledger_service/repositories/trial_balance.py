"""Trial balances, read at one cut through the history or through a period."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.model import Direction, Period
from ledger_service.domain.trial_balance import AccountLine, Columns
from ledger_service.repositories.balances import LATE_AT_CUT, POSTED_AT_CUT, Cut

_NEVER = datetime.min.replace(tzinfo=UTC)

# Every account with its balance at the cut, and what was posted to it from `from_at` to `to_at`.
_ACCOUNTS = f"""
WITH late AS (
    {LATE_AT_CUT} GROUP BY e.account_id
), moved AS (
    SELECT e.account_id,
           sum(e.amount_minor) FILTER (WHERE debit AND NOT adjusting) AS debits_minor,
           sum(e.amount_minor) FILTER (WHERE NOT debit AND NOT adjusting) AS credits_minor,
           sum(e.amount_minor) FILTER (WHERE debit AND adjusting) AS adjusting_debits_minor,
           sum(e.amount_minor) FILTER (WHERE NOT debit AND adjusting) AS adjusting_credits_minor
    FROM (
        SELECT ledger_id, seq,
               kind = 'transaction' AND payload ->> 'is_adjusting' = 'true' AS adjusting
        FROM ledger.journal
        WHERE ledger_id = :ledger_id AND seq <= :seq
          AND effective_at >= :from_at AND effective_at < :to_at
          AND kind IN ('transfer', 'transaction', 'exchange', 'reversal', 'hold_captured')
    ) j
    JOIN (SELECT *, direction = 'debit' AS debit FROM ledger.events) e USING (ledger_id, seq)
    GROUP BY e.account_id
), found AS (
    SELECT a.account_id, a.opened_seq, a.code, a.type, a.currency, a.scale, a.normal_side,
           CASE jsonb_typeof(a.metadata -> 'name') WHEN 'string' THEN a.metadata ->> 'name' END
               AS name,
           {POSTED_AT_CUT} + coalesce(late.net_minor, 0) AS balance_minor,
           coalesce(moved.debits_minor, 0) AS debits_minor,
           coalesce(moved.credits_minor, 0) AS credits_minor,
           coalesce(moved.adjusting_debits_minor, 0) AS adjusting_debits_minor,
           coalesce(moved.adjusting_credits_minor, 0) AS adjusting_credits_minor
    FROM ledger.accounts a
    LEFT JOIN late USING (account_id)
    LEFT JOIN moved USING (account_id)
    WHERE a.ledger_id = :ledger_id AND a.opened_seq <= :seq
), shown AS (
    SELECT * FROM found
    WHERE :zeros OR balance_minor <> 0 OR debits_minor <> 0 OR credits_minor <> 0
       OR adjusting_debits_minor <> 0 OR adjusting_credits_minor <> 0
)
"""  # noqa: S608

# As accountants read them; our own types and declared ones behind.
_TYPE_ORDER = (
    "array_position(ARRAY['asset', 'liability', 'equity', 'income', 'expense'], {type}), {type}"
)
_SUMS = """
sum(balance_minor), sum(debits_minor), sum(credits_minor), sum(adjusting_debits_minor),
sum(adjusting_credits_minor)
"""

_BY_ACCOUNT = text(f"""
{_ACCOUNTS}
SELECT account_id, code, name, type, normal_side, currency, scale, 1, balance_minor, debits_minor,
       credits_minor, adjusting_debits_minor, adjusting_credits_minor
FROM shown
ORDER BY currency, scale, code COLLATE "C" NULLS LAST, {_TYPE_ORDER.format(type="type")},
         opened_seq LIMIT :rows
""")  # noqa: S608

# One line for each place of the chart at that depth; accounts without a code by their type.
_BY_PLACE = text(f"""
{_ACCOUNTS}
SELECT NULL::uuid, place, NULL::text, CASE WHEN min(type) = max(type) THEN min(type) END,
       CASE WHEN min(normal_side) = max(normal_side) THEN min(normal_side) END, currency, scale,
       count(*), {_SUMS}
FROM (
    SELECT *, array_to_string((string_to_array(code, ':'))[1:CAST(:depth AS integer)], ':') AS place
    FROM shown
) placed
GROUP BY place, CASE WHEN place IS NULL THEN type END, currency, scale
ORDER BY currency, scale, place COLLATE "C" NULLS LAST,
         {_TYPE_ORDER.format(type="min(type)")} LIMIT :rows
""")  # noqa: S608


async def trial_balance_lines(
    database: AsyncEngine,
    ledger_id: int,
    cut: Cut,
    *,
    period: Period | None,
    depth: int | None,
    zeros: bool,
    limit: int,
) -> list[AccountLine]:
    """Return the lines at a cut: that of the beginning, where there is a `period`.

    With `depth` a line for each place of the chart that has so many names, else for each account;
    only with `zeros` also those on which nothing is and nothing moved. At most `limit` + 1 lines.
    """
    parameters = {
        "ledger_id": ledger_id,
        "from_at": _NEVER if period is None else period.starts_at,
        "to_at": _NEVER if period is None else period.ends_at,
        "zeros": zeros,
        "rows": limit + 1,
        **cut.parameters,
    }
    statement: TextClause = _BY_ACCOUNT
    if depth is not None:
        statement, parameters["depth"] = _BY_PLACE, depth
    async with database.connect() as connection:
        return [_line(row) for row in await connection.execute(statement, parameters)]


def _line(row: Row[Any]) -> AccountLine:
    values: list[Any] = list(row)
    account_id, code, name, kind, normal_side, currency, scale, accounts = values[:8]
    opening, debits, credited, adjusting_debits, adjusting_credits = map(int, values[8:])
    return AccountLine(
        account_id=account_id,
        code=code,
        name=name,
        type=kind,
        normal_side=None if normal_side is None else Direction(normal_side),
        currency=currency,
        scale=scale,
        accounts=accounts,
        opening_minor=opening,
        movements=Columns(debits, credited),
        adjustments=Columns(adjusting_debits, adjusting_credits),
    )

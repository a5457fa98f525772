"""Balances of the chart of accounts: of each place in it, and of all that lies below."""

from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger_service.domain.charts import Share
from ledger_service.domain.model import Direction

SHARES_MAX = 5_000
"""Rows that one answer is made of: places, each once for every currency."""

# One statement, and so one moment: the head, and the sums of the accounts that share a place.
# Codes of more than `names` names count at the place that the first of these name.
_SUMS = """
SELECT head.last_seq, shares.*
FROM ledger.ledgers AS head LEFT JOIN (
    SELECT place, currency, scale, (array_agg(normal_side ORDER BY code))[1] AS normal_side,
           CASE WHEN is_own THEN (array_agg(account_id))[1] END AS account_id,
           sum(balance_minor) AS balance_minor, count(*) AS accounts
    FROM (
        SELECT code, currency, scale, normal_side, account_id, place, code = place AS is_own,
               credits_minor - debits_minor AS balance_minor
        FROM ledger.accounts JOIN ledger.balances USING (ledger_id, account_id)
        CROSS JOIN LATERAL (
            SELECT array_to_string(
                (string_to_array(code, ':'))[1:CAST(:names AS integer)], ':'
            ) COLLATE "C" AS place
        ) AS cut
        WHERE ledger_id = :ledger_id AND code IS NOT NULL {below}
    ) AS placed
    GROUP BY place, currency, scale, is_own
    ORDER BY place, is_own DESC, currency, scale LIMIT :shares
) AS shares ON true
WHERE head.ledger_id = :ledger_id
ORDER BY shares.place, shares.account_id IS NULL, shares.currency, shares.scale
"""
_ALL = text(_SUMS.format(below=""))
# The first two conditions are what the index answers; the last leaves out neighbours like `bank-2`.
_BELOW = text(
    _SUMS.format(
        below="""
            AND code >= CAST(:under AS text) AND code < CAST(:under AS text) || ';'
            AND (code = CAST(:under AS text) OR code >= CAST(:under AS text) || ':')
        """
    )
)


class Chart(NamedTuple):
    """What the places of the chart share at one moment; `is_cut` where there are too many."""

    seq: int
    shares: list[Share]
    is_cut: bool


async def chart_now(
    database: AsyncEngine, ledger_id: int, under: str | None, *, names_max: int
) -> Chart:
    """Return what is at and below `under`, in places of at most `names_max` names."""
    parameters: dict[str, Any] = {
        "ledger_id": ledger_id,
        "names": names_max,
        "shares": SHARES_MAX + 1,
    }
    if under is not None:
        parameters["under"] = under
    async with database.connect() as connection:
        rows = list(await connection.execute(_ALL if under is None else _BELOW, parameters))
    shares = [
        Share(
            code=row.place,
            currency=row.currency,
            scale=row.scale,
            normal_side=Direction(row.normal_side),
            account_id=row.account_id,
            balance_minor=int(row.balance_minor),
            accounts=row.accounts,
        )
        for row in rows
        if row.place is not None
    ]
    return Chart(rows[0].last_seq, shares[:SHARES_MAX], len(shares) > SHARES_MAX)

"""Compares what two runs of one source decided: what is matched now, no more, or otherwise."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from shared.money import format_minor

MATCHED = "('auto', 'netted', 'already_reconciled')"

# What one of the runs said of a record: a decision, or that it had been reconciled before.
_SAID = """
coalesce({run}.decision, (SELECT l.disposition FROM recon.run_records l
                          WHERE l.run_id = {number} AND l.record_id = {other}.record_id
                            AND l.disposition = 'already_reconciled' LIMIT 1), 'unmatched')
"""

# With whom a record is matched, or would be: every member of its match.
_WITH = """
CASE WHEN {run}.match_id IS NULL THEN {run}.internal_id
     ELSE (SELECT string_agg(m.side || ' ' || m.key, ',' ORDER BY m.side, m.key)
           FROM recon.match_members m
           WHERE m.run_id = {run}.run_id AND m.match_id = {run}.match_id) END
"""


def _pairs(this: str, that: str, *, alone: bool) -> str:
    """Return SQL for the records of run `this` beside what run `that` logged, if it did."""
    numbers = {"b": "$1", "o": "$2"}
    base = _SAID.format(run="b", number="$1", other="o") if this == "o" else "b.decision"
    other = _SAID.format(run="o", number="$2", other="b") if this == "b" else "o.decision"
    return f"""
SELECT {this}.record_id, b.log_id AS base_log_id, o.log_id AS other_log_id,
       {base} AS base_said, {other} AS other_said,
       {_WITH.format(run="b")} AS base_with, {_WITH.format(run="o")} AS other_with,
       {this}.external_currency AS currency, {this}.external_scale AS scale,
       {this}.external_amount_minor AS amount_minor
FROM recon.match_log {this}
LEFT JOIN recon.match_log {that}
    ON {that}.run_id = {numbers[that]} AND {that}.record_id = {this}.record_id
WHERE {this}.run_id = {numbers[this]} AND ($3::uuid IS NULL OR {this}.record_id > $3)
{f"AND {that}.record_id IS NULL" if alone else ""}
"""  # noqa: S608 (put together from constants)


# A record that neither run logged, or that one had not seen and the other left alone, is no
# difference; nor is one that either run had found reconciled before and the other has matched.
_DIFFERENCES = f"""
WITH beside AS ({_pairs("b", "o", alone=False)} UNION ALL {_pairs("o", "b", alone=True)}),
judged AS (
    SELECT *, CASE
        WHEN other_said IN {MATCHED} AND base_said NOT IN {MATCHED} THEN 'gained'
        WHEN base_said IN {MATCHED} AND other_said NOT IN {MATCHED} THEN 'lost'
        WHEN 'already_reconciled' IN (base_said, other_said) THEN NULL
        WHEN base_said <> other_said OR base_with IS DISTINCT FROM other_with THEN 'changed'
        END AS change
    FROM beside)
"""  # noqa: S608

# How many records differ, and what they are worth.
_TOTALS = f"""{_DIFFERENCES}
SELECT change, currency, scale, count(*) AS records, sum(amount_minor::numeric) AS amount_minor
FROM judged WHERE change IS NOT NULL GROUP BY change, currency, scale
ORDER BY change, currency
"""  # noqa: S608

# The records that differ, with both decisions.
_PAGE = f"""{_DIFFERENCES}
SELECT record_id::text, change, base_log_id, other_log_id FROM judged
WHERE change IS NOT NULL AND ($4::text IS NULL OR change = $4)
ORDER BY record_id LIMIT $5
"""  # noqa: S608

# Log entries, as a comparison shows them.
_ENTRIES = """
SELECT l.log_id, l.decision, l.match_type, l.score, l.cause, l.reason, l.match_id,
       CASE WHEN l.internal_id IS NULL THEN '{}'
            WHEN l.match_id IS NULL THEN ARRAY[l.internal_id]
            ELSE ARRAY(SELECT m.key FROM recon.match_members m
                       WHERE m.run_id = l.run_id AND m.match_id = l.match_id
                         AND m.side = 'ledger' ORDER BY m.key) END AS internal_ids,
       l.external_id, l.external_text, l.external_date, l.external_currency, l.external_scale,
       l.external_amount_minor
FROM recon.match_log l WHERE l.log_id = ANY ($1::bigint[])
"""

_SHOWN = ("log_id", "decision", "match_type", "score", "cause", "reason", "match_id")


@dataclass(frozen=True, slots=True)
class Page:
    """Records that differ, in the order of their ids, and the last one's if more follow."""

    differences: list[dict[str, Any]]
    last: str | None


async def totals(
    connection: asyncpg.Connection, base: UUID, other: UUID
) -> dict[str, dict[str, Any]]:
    """Return per change how many records there are, and their values by currency."""
    found: dict[str, dict[str, Any]] = {
        change: {"records": 0, "values": {}} for change in ("gained", "lost", "changed")
    }
    for row in await connection.fetch(_TOTALS, base, other, None):
        of_change = found[row["change"]]
        of_change["records"] += row["records"]
        of_change["values"][row["currency"]] = format_minor(int(row["amount_minor"]), row["scale"])
    return found


async def differences(
    connection: asyncpg.Connection,
    base: UUID,
    other: UUID,
    *,
    change: str | None,
    after: UUID | None,
    limit: int,
) -> Page:
    """Return at most `limit` records that differ after the record `after`."""
    rows = await connection.fetch(_PAGE, base, other, after, change, limit + 1)
    shown = rows[:limit]
    wanted = {row[name] for row in shown for name in ("base_log_id", "other_log_id")} - {None}
    entries = {row["log_id"]: row for row in await connection.fetch(_ENTRIES, list(wanted))}
    found = [
        _difference(row, entries.get(row["base_log_id"]), entries.get(row["other_log_id"]))
        for row in shown
    ]
    return Page(found, shown[-1]["record_id"] if len(rows) > limit else None)


def _difference(
    row: asyncpg.Record, base: asyncpg.Record | None, other: asyncpg.Record | None
) -> dict[str, Any]:
    told = other or base
    assert told is not None, "a record that differs stands in one of the logs"
    return {
        "record_id": row["record_id"],
        "change": row["change"],
        "external_id": told["external_id"],
        "text": told["external_text"],
        "date": told["external_date"],
        "currency": told["external_currency"],
        "amount": format_minor(told["external_amount_minor"], told["external_scale"]),
        "base": _decision(base),
        "other": _decision(other),
    }


def _decision(entry: asyncpg.Record | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {name: entry[name] for name in _SHOWN} | {"internal_ids": list(entry["internal_ids"])}

"""Reads what explanations need: one decision with both sides, and who holds which ledger items."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import polars as pl

from recon_service.domain.config import SourceConfig, patched
from recon_service.domain.logged import Logged, Party
from recon_service.domain.run import Input, InputKind
from recon_service.explanations.unmatched import Taken
from recon_service.repositories.history import load_records
from recon_service.repositories.sources import find_version

# Members of one match that are shown, by side.
MEMBERS_MAX = 200
# Records of a run that compete for the same ledger items and are looked at.
RIVALS_MAX = 200

# A decision with the run that made it.
_ENTRY = """
SELECT l.log_id, l.run_id, l.source, l.business_date, l.attempt, l.decided_at, l.record_id,
       l.match_type, l.match_id, l.decision, l.score, l.cause, l.reason, l.residual_minor,
       l.evidence::text, l.external_id, l.external_date, l.external_currency, l.external_scale,
       l.external_amount_minor, l.external_text, l.internal_id, l.internal_reference,
       l.internal_date, l.internal_currency, l.internal_scale, l.internal_amount_minor,
       l.internal_text, l.internal_counterparty, c.counterparty AS external_counterparty,
       r.source_version, r.policy::text, r.population, r.dry_run, r.read_to_seq,
       r.input_kind, r.input,
       r.status = 'finished' AND r.superseded_by IS NULL AND NOT r.dry_run AS in_force
FROM recon.match_log l
JOIN recon.runs r USING (run_id)
LEFT JOIN recon.records c USING (record_id)
"""

# One entry.
_BY_ID = _ENTRY + "WHERE l.log_id = $1"

# The last entry of a record: of that run, or of all that are in force.
_OF_RECORD = (
    _ENTRY
    + """
WHERE l.record_id = $1
  AND CASE WHEN $2::uuid IS NULL
      THEN r.status = 'finished' AND r.superseded_by IS NULL AND NOT r.dry_run
      ELSE l.run_id = $2 END
ORDER BY l.log_id DESC LIMIT 1
"""
)

# Members of a match, those of a side before the other's, and how many there are.
_MEMBERS = """
SELECT side, key, reference, date, currency, scale, amount_minor, text, counterparty, how_many
FROM (SELECT m.*, count(*) OVER (PARTITION BY side) AS how_many,
             row_number() OVER (PARTITION BY side ORDER BY key) AS place
      FROM recon.match_members m WHERE m.run_id = $1 AND m.match_id = $2) AS numbered
WHERE place <= $3 ORDER BY side, key
"""

_RECORD = "SELECT 1 FROM recon.records WHERE record_id = $1"

# Who holds these ledger items in a match in force.
_HOLDERS = """
SELECT a.internal_id AS item, a.record_id, a.run_id, l.log_id
FROM recon.active_matches a
LEFT JOIN recon.match_log l ON l.run_id = a.run_id AND l.record_id = a.record_id
WHERE a.population = $1 AND a.internal_id = ANY ($2::text[])
"""

# The same as a run saw it that is not in force: what it matched, and what others of then hold.
_HOLDERS_THEN = f"""
SELECT internal_id AS item, record_id, run_id, log_id
FROM recon.match_log
WHERE run_id = $3 AND matched AND match_id IS NULL AND internal_id = ANY ($2::text[])
UNION ALL
SELECT m.key, NULL::uuid, m.run_id, NULL::bigint
FROM recon.match_members m
WHERE m.run_id = $3 AND m.side = 'ledger' AND m.key = ANY ($2::text[])
  AND m.decision IN ('auto', 'netted')
UNION ALL
SELECT h.item, h.record_id, h.run_id, h.log_id
FROM ({_HOLDERS}) AS h JOIN recon.runs r USING (run_id)
WHERE NOT (r.source = $4 AND r.business_date = $5)
"""  # noqa: S608 (put together from constants)

# The weights that a finished run went by.
_WEIGHTS = "SELECT (body #> '{learnt,weights}')::text FROM recon.summaries WHERE run_id = $1"

# Records that the run left without a sure counterpart, nearest in amount first.
_RIVALS = """
SELECT record_id::text FROM recon.match_log
WHERE run_id = $1 AND NOT matched AND decision <> 'netted' AND record_id <> $2
  AND external_currency = $3 AND abs(external_amount_minor) BETWEEN $4 AND $5
ORDER BY abs(abs(external_amount_minor) - $6), record_id LIMIT $7
"""

# To whom the run suggested these ledger items.
_SUGGESTED = """
SELECT internal_id, record_id::text, score FROM recon.match_log
WHERE run_id = $1 AND NOT matched AND decision = 'suggested' AND internal_id = ANY ($2::text[])
  AND record_id <> $3
"""


@dataclass(frozen=True, slots=True)
class Decided:
    """A record's decision with what its run went by."""

    logged: Logged
    config: SourceConfig
    read_to_seq: int | None
    statement: Input
    in_force: bool


async def find_logged(connection: asyncpg.Connection, log_id: int) -> Logged | None:
    """Return an entry of whatever run; None where there is none."""
    row = await connection.fetchrow(_BY_ID, log_id)
    return None if row is None else (await _decided(connection, row)).logged


async def find_decided(
    connection: asyncpg.Connection, record_id: UUID, run_id: UUID | None
) -> Decided | None:
    """Return a record's last decision in a run, or in those in force; None where there is none."""
    row = await connection.fetchrow(_OF_RECORD, record_id, run_id)
    return None if row is None else await _decided(connection, row)


async def record_exists(connection: asyncpg.Connection, record_id: UUID) -> bool:
    """Tell whether any statement had this record."""
    return await connection.fetchval(_RECORD, record_id) is not None


async def holders(
    connection: asyncpg.Connection, decided: Decided, items: Sequence[str]
) -> Mapping[str, Taken]:
    """Return who has which of `items`: now, or as the run saw it where it is not in force."""
    logged = decided.logged
    if decided.in_force:
        rows = await connection.fetch(_HOLDERS, logged.population, items)
    else:
        run_id, day = UUID(logged.run_id), logged.business_date
        rows = await connection.fetch(
            _HOLDERS_THEN, logged.population, items, run_id, logged.source, day
        )
    return {
        item: Taken(None if record_id is None else str(record_id), str(run_id), log_id)
        for item, record_id, run_id, log_id in rows
    }


async def suggested_to(
    connection: asyncpg.Connection, logged: Logged, items: Sequence[str]
) -> Mapping[str, tuple[str, float]]:
    """Return, for those of `items` that the run suggested to others, the record and its score."""
    rows = await connection.fetch(_SUGGESTED, UUID(logged.run_id), items, UUID(logged.record_id))
    return {row[0]: (row[1], row[2]) for row in rows}


async def load_rivals(
    connection: asyncpg.Connection, logged: Logged, *, low_minor: int, high_minor: int
) -> pl.DataFrame:
    """Return the decided record and those of its run that are as open and of a like amount."""
    size_minor = abs(logged.record.amount_minor)
    rows = await connection.fetch(
        _RIVALS,
        UUID(logged.run_id),
        UUID(logged.record_id),
        logged.record.currency,
        low_minor,
        high_minor,
        size_minor,
        RIVALS_MAX,
    )
    return await load_records(connection, [logged.record_id, *(row[0] for row in rows)])


async def weights_of_run(connection: asyncpg.Connection, run_id: str) -> dict[str, Any] | None:
    """Return the weights that a run went by; None where it weighed nothing."""
    stored = await connection.fetchval(_WEIGHTS, UUID(run_id))
    return None if stored is None else json.loads(stored)


async def _decided(connection: asyncpg.Connection, row: asyncpg.Record) -> Decided:
    config = await find_version(connection, row["source"], row["source_version"])
    if row["policy"] is not None:
        config = patched(config, {"policy": json.loads(row["policy"])})
    records, items = (_pair_side(row, "external"),), (_pair_side(row, "internal"),)
    sides = {"external": [one for one in records if one], "ledger": [one for one in items if one]}
    counts = {side: len(found) for side, found in sides.items()}
    if row["match_id"] is not None:
        members = await connection.fetch(_MEMBERS, row["run_id"], row["match_id"], MEMBERS_MAX)
        own = sides["external"][0]
        for side in sides:
            of_side = [one for one in members if one["side"] == side]
            others = [_member(one) for one in of_side if one["key"] != own.id]
            sides[side] = [own, *others] if side == "external" else others
            counts[side] = of_side[0]["how_many"] if of_side else 0
    logged = Logged(
        log_id=row["log_id"],
        run_id=str(row["run_id"]),
        source=row["source"],
        business_date=row["business_date"],
        attempt=row["attempt"],
        dry_run=row["dry_run"],
        decided_at=row["decided_at"],
        record_id=str(row["record_id"]),
        match_type=row["match_type"],
        decision=row["decision"],
        score=row["score"],
        cause=row["cause"],
        reason=row["reason"],
        residual_minor=row["residual_minor"],
        evidence=json.loads(row["evidence"]),
        policy=config.policy,
        population=row["population"],
        records=tuple(sides["external"]),
        items=tuple(sides["ledger"]),
        records_count=counts["external"],
        items_count=counts["ledger"],
    )
    statement = Input(InputKind(row["input_kind"]), row["input"] or "")
    return Decided(logged, config, row["read_to_seq"], statement, row["in_force"])


def _pair_side(row: asyncpg.Record, side: str) -> Party | None:
    if row[f"{side}_date"] is None:
        return None
    is_record = side == "external"
    return Party(
        id=str(row["record_id"]) if is_record else row["internal_id"],
        reference=row["external_id" if is_record else "internal_reference"],
        on=row[f"{side}_date"],
        currency=row[f"{side}_currency"],
        scale=row[f"{side}_scale"],
        amount_minor=row[f"{side}_amount_minor"],
        text=row[f"{side}_text"],
        counterparty=row[f"{side}_counterparty"],
    )


def _member(row: asyncpg.Record) -> Party:
    return Party(
        id=row["key"],
        reference=row["reference"],
        on=row["date"],
        currency=row["currency"],
        scale=row["scale"],
        amount_minor=row["amount_minor"],
        text=row["text"],
        counterparty=row["counterparty"],
    )

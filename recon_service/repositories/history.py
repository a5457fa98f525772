"""What earlier runs left behind: coverage, memory, matches; read under the leases of a run."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import polars as pl

from recon_service.domain.history import Ending, PastRun, Side, State
from recon_service.domain.records import ACCEPTED_SCHEMA
from recon_service.readers.ledger_items import ITEM_COLUMNS
from recon_service.repositories.runs import past_run

# Runs in force of a population, whatever their source.
_POPULATION = """
SELECT run_id, source, business_date, attempt, covered_first, covered_last, read_to_seq
FROM recon.runs
WHERE population = $1 AND status = 'finished' AND superseded_by IS NULL AND NOT dry_run
ORDER BY run_id
"""

# Records of a source that are open, and those that the superseded run matched.
_REMEMBERED_RECORDS = """
SELECT key FROM recon.breaks WHERE side = 'external' AND scope = $1
  AND state IN ('open', 'suggested', 'timing', 'outside')
UNION
SELECT record_id::text FROM recon.active_matches WHERE run_id = $2 AND record_id IS NOT NULL
ORDER BY 1
"""

# Those records that the statement of a run in force holds, other than the superseded one.
_REFERRED_TO = """
SELECT DISTINCT l.record_id::text
FROM recon.run_records l JOIN recon.runs r USING (run_id)
WHERE l.record_id = ANY ($1::uuid[]) AND r.status = 'finished' AND r.superseded_by IS NULL
  AND NOT r.dry_run AND r.run_id IS DISTINCT FROM $2
"""

# Matches in force of these records, other than the superseded run's.
_TAKEN_RECORDS = """
SELECT record_id::text, run_id::text FROM recon.active_matches
WHERE record_id = ANY ($1::uuid[]) AND run_id IS DISTINCT FROM $2
"""

# Records of the superseded statement that another run's match holds.
_HELD_BY_OTHERS = """
SELECT DISTINCT record_id::text
FROM recon.run_records l JOIN recon.active_matches a USING (record_id)
WHERE l.run_id = $1 AND a.run_id <> $1
"""

# The whole matches in force that hold one of these records.
_WHOLE_MATCHES = """
SELECT record_id::text, population, internal_id FROM recon.active_matches
WHERE record_id = ANY ($1::uuid[]) AND match_id IS NULL
UNION ALL
SELECT a.record_id::text, a.population, a.internal_id
FROM (SELECT DISTINCT run_id, match_id FROM recon.active_matches
      WHERE record_id = ANY ($1::uuid[]) AND match_id IS NOT NULL) AS whole
JOIN recon.active_matches a USING (run_id, match_id)
"""

# Matches in force of these ledger items, other than the superseded run's and those that end.
_TAKEN_ITEMS = """
SELECT internal_id FROM recon.active_matches
WHERE population = $1 AND internal_id = ANY ($2::text[]) AND run_id IS DISTINCT FROM $3
  AND NOT internal_id = ANY ($4::text[])
"""

# Ledger items in a match in force, as they were when it was made.
ACTIVE_ITEMS = """
SELECT a.run_id, a.source, a.population, a.internal_id, l.internal_seq AS seq,
       l.internal_reference AS reference, l.internal_date AS date, l.internal_at AS at,
       l.internal_recorded_at AS recorded_at, l.internal_amount_minor AS amount_minor,
       l.internal_scale AS scale, l.internal_currency AS currency, l.internal_text AS text,
       l.internal_counterparty AS counterparty
FROM recon.active_matches a JOIN recon.match_log l USING (run_id, record_id)
WHERE a.match_id IS NULL
UNION ALL
SELECT a.run_id, a.source, a.population, a.internal_id, m.seq, m.reference, m.date, m.at,
       m.recorded_at, m.amount_minor, m.scale, m.currency, m.text, m.counterparty
FROM recon.active_matches a
JOIN recon.match_members m ON m.run_id = a.run_id AND m.side = 'ledger' AND m.key = a.internal_id
WHERE a.match_id IS NOT NULL
"""

# Ledger items of a population that are remembered, and those of matches that are freed: the
# superseded run's, and those that end because no statement in force holds their record.
_REMEMBERED_ITEMS = f"""
SELECT key, seq, reference, at, recorded_at, amount_minor, scale, currency, text, counterparty
FROM recon.breaks WHERE side = 'ledger' AND scope = $1
  AND state IN ('open', 'suggested', 'timing', 'outside')
UNION ALL
SELECT internal_id, seq, reference, at, recorded_at, amount_minor, scale, currency, text,
       counterparty
FROM ({ACTIVE_ITEMS}) AS i WHERE i.population = $1 AND i.run_id = $2
UNION ALL
SELECT internal_id, seq, reference, at, recorded_at, amount_minor, scale, currency, text,
       counterparty
FROM ({ACTIVE_ITEMS}) AS i WHERE i.population = $1 AND i.internal_id = ANY ($3::text[])
"""  # noqa: S608 (put together from constants)

# The state of these records or items, where they ever had one.
_STATES = """
SELECT key, state FROM recon.breaks WHERE side = $1 AND scope = $2 AND key = ANY ($3::text[])
"""

# These records as they were first read.
_RECORDS = """
SELECT NULL::bigint AS line_no, NULL::bigint AS "offset", external_id, occurred_at, booked_on,
       amount_minor, scale, currency, text, counterparty,
       encode(fingerprint, 'hex') AS fingerprint, ordinal, record_id::text
FROM recon.records WHERE record_id = ANY ($1::uuid[])
"""

# Which records are known whose ids lie in one of these spans.
_KNOWN = """
SELECT r.record_id::text
FROM unnest($1::uuid[], $2::uuid[]) AS span (low, high)
JOIN recon.records r ON r.record_id BETWEEN span.low AND span.high
"""

# The highest sequence number up to which any run of a population has ever read the ledger.
_READ_TO = (
    "SELECT coalesce(max(read_to_seq), 0) FROM recon.runs WHERE population = $1 AND NOT dry_run"
)


# Weights of this version, from any run of the source that has learnt them.
_WEIGHTS = """
SELECT (s.body #> '{learnt,weights}')::text
FROM recon.runs r JOIN recon.summaries s USING (run_id)
WHERE r.source = $1 AND s.body #>> '{learnt,weights,version}' = $2 LIMIT 1
"""


async def learnt_weights(
    connection: asyncpg.Connection, source: str, version: str
) -> dict[str, Any] | None:
    """Return the weights that a run of the source has learnt under this version."""
    stored = await connection.fetchval(_WEIGHTS, source, version)
    return None if stored is None else json.loads(stored)


async def population_runs(connection: asyncpg.Connection, population: str) -> list[PastRun]:
    """Return the runs in force of a population, oldest first."""
    return [past_run(row) for row in await connection.fetch(_POPULATION, population)]


async def remembered_records(
    connection: asyncpg.Connection, source: str, superseded: str | None
) -> list[str]:
    """Return the open records of a source and those that `superseded` matched."""
    rows = await connection.fetch(_REMEMBERED_RECORDS, source, _uuid(superseded))
    return [row[0] for row in rows]


async def referred_to(
    connection: asyncpg.Connection, records: Collection[str], superseded: str | None
) -> frozenset[str]:
    """Return those of `records` that a statement in force other than `superseded` holds."""
    if not records:
        return frozenset()
    rows = await connection.fetch(_REFERRED_TO, list(records), _uuid(superseded))
    return frozenset(row[0] for row in rows)


async def taken_records(
    connection: asyncpg.Connection, records: Collection[str], superseded: str | None
) -> dict[str, str]:
    """Return record -> run, for those of `records` in another run's match."""
    if not records:
        return {}
    rows = await connection.fetch(_TAKEN_RECORDS, list(records), _uuid(superseded))
    return {row[0]: row[1] for row in rows}


async def held_by_others(connection: asyncpg.Connection, superseded: str | None) -> frozenset[str]:
    """Return records of the superseded statement that another run's match holds."""
    if superseded is None:
        return frozenset()
    return frozenset(row[0] for row in await connection.fetch(_HELD_BY_OTHERS, UUID(superseded)))


async def ending(connection: asyncpg.Connection, records: Collection[str]) -> Ending:
    """Return the whole matches that end because nobody refers to `records` any more."""
    if not records:
        return Ending()
    rows = await connection.fetch(_WHOLE_MATCHES, list(records))
    return Ending(
        records=frozenset(row[0] for row in rows if row[0] is not None),
        items=frozenset((row[1], row[2]) for row in rows if row[2] is not None),
    )


async def taken_items(
    connection: asyncpg.Connection,
    population: str,
    items: Sequence[str],
    superseded: str | None,
    ending: Ending,
) -> frozenset[str]:
    """Return those of `items` in another run's match that does not end."""
    if not items:
        return frozenset()
    rows = await connection.fetch(
        _TAKEN_ITEMS, population, items, _uuid(superseded), _ending_items(ending, population)
    )
    return frozenset(row[0] for row in rows)


async def remembered_items(
    connection: asyncpg.Connection, population: str, superseded: str | None, ending: Ending
) -> pl.DataFrame:
    """Return remembered ledger items (ITEM_COLUMNS) and those whose matches end with this run."""
    rows = await connection.fetch(
        _REMEMBERED_ITEMS, population, _uuid(superseded), _ending_items(ending, population)
    )
    found = pl.DataFrame(
        [tuple(row) for row in rows],
        schema=ITEM_COLUMNS,
        orient="row",
    )
    return found.unique("internal_id", maintain_order=True)


async def states(
    connection: asyncpg.Connection, side: Side, scope: str, keys: Collection[str]
) -> Mapping[str, State]:
    """Return the last state of those of `keys` that ever had one."""
    if not keys:
        return {}
    rows = await connection.fetch(_STATES, side.value, scope, list(keys))
    return {row[0]: State(row[1]) for row in rows}


async def load_records(connection: asyncpg.Connection, records: Sequence[str]) -> pl.DataFrame:
    """Return stored records (ACCEPTED_SCHEMA and record_id, without a line) in that order."""
    rows = await connection.fetch(_RECORDS, records) if records else []
    schema = pl.Schema([*ACCEPTED_SCHEMA.items(), ("record_id", pl.String())])
    found = pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")
    wanted = pl.DataFrame({"record_id": list(records)}, schema={"record_id": pl.String})
    return wanted.join(found, on="record_id", how="inner", maintain_order="left").select(
        schema.names()
    )


async def known_records(connection: asyncpg.Connection, records: pl.DataFrame) -> pl.Series:
    """Return the ids of those of `records` (`record_id`, `occurred_at`) that are stored.

    Ids begin with the line's own time: those of a day lie side by side in the index, so a day is
    asked for as a whole, and nothing is asked record by record.
    """
    spans = records.group_by(pl.col("occurred_at").dt.date()).agg(
        low=pl.col("record_id").min(), high=pl.col("record_id").max()
    )
    rows = await connection.fetch(_KNOWN, spans["low"].to_list(), spans["high"].to_list())
    stored = pl.Series("record_id", [row[0] for row in rows], dtype=pl.String)
    known = records.join(stored.to_frame(), on="record_id", how="semi", maintain_order="left")
    return known["record_id"]


async def read_to_seq(connection: asyncpg.Connection, population: str) -> int:
    """Return up to which seq runs have ever read: no run can remember what was recorded later."""
    found: int = await connection.fetchval(_READ_TO, population)
    return found


def _ending_items(ending: Ending, population: str) -> list[str]:
    return [item for place, item in ending.items if place == population]


def _uuid(run_id: str | None) -> UUID | None:
    return None if run_id is None else UUID(run_id)

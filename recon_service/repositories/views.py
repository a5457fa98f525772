"""Runs as they are shown: lists, the status of a date, summaries."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from recon_service.domain.run import PHASES

_COLUMNS = """
SELECT r.run_id, r.source, r.business_date, r.attempt, r.status, r.phase, r.counts::text, r.trigger,
       r.source_version, r.population, r.input_kind, r.input, r.requested_at, r.started_at,
       r.finished_at, r.supersedes, r.superseded_by, r.error_code, r.error, r.dry_run,
       r.policy::text
"""

# One run.
_RUN = _COLUMNS + "FROM recon.runs r WHERE r.run_id = $1"

# What happened to it.
_EVENTS = """
SELECT at, kind, detail::text FROM recon.run_events WHERE run_id = $1 ORDER BY event_id LIMIT $2
"""

# Runs, newest first.
_RUNS = (
    _COLUMNS
    + """
FROM recon.runs r
WHERE ($1::text IS NULL OR r.source = $1) AND ($2::date IS NULL OR r.business_date = $2)
  AND ($3::text IS NULL OR r.status = $3) AND ($4::uuid IS NULL OR r.run_id < $4)
  AND ($6::boolean IS NULL OR r.dry_run = $6)
ORDER BY r.run_id DESC LIMIT $5
"""
)

# The run of each source that stands for a date: the one in force, else the latest attempt.
_STANDS_FOR_DATE = """
FROM recon.runs r
WHERE r.business_date = $1 AND ($2::text IS NULL OR r.source = $2) AND NOT r.dry_run
  AND ($3::integer IS NULL OR r.attempt = $3)
  AND r.run_id = (
      SELECT o.run_id FROM recon.runs o
      WHERE o.source = r.source AND o.business_date = $1 AND NOT o.dry_run
        AND ($3::integer IS NULL OR o.attempt = $3)
      ORDER BY (o.status = 'finished' AND o.superseded_by IS NULL) DESC, o.attempt DESC LIMIT 1)
ORDER BY r.source
"""
_OF_DATE = _COLUMNS + _STANDS_FOR_DATE

# Attempts of a date that are waiting or running.
_UNDER_WAY = (
    _COLUMNS
    + """
FROM recon.runs r
WHERE r.business_date = $1 AND ($2::text IS NULL OR r.source = $2)
  AND r.status IN ('queued', 'running') AND NOT r.dry_run
ORDER BY r.source, r.attempt
"""
)

_SUMMARY = """
SELECT r.run_id, r.source, r.business_date, r.attempt, r.dry_run, r.finished_at, s.body::text
FROM recon.runs r JOIN recon.summaries s USING (run_id)
"""

# The summary of a run, in force or not.
_SUMMARY_OF_RUN = _SUMMARY + "WHERE r.run_id = $1"

# Summaries of a date: of the attempts in force, or of one attempt by number.
_SUMMARIES = (
    _SUMMARY
    + """
WHERE r.business_date = $1 AND ($2::text IS NULL OR r.source = $2) AND NOT r.dry_run
  AND CASE WHEN $3::integer IS NULL THEN r.superseded_by IS NULL ELSE r.attempt = $3 END
ORDER BY r.source
"""
)

EVENTS_SHOWN_MAX = 200


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run with all that is told about it."""

    run_id: str
    source: str
    date: date
    attempt: int
    status: str
    phase: str | None
    counts: dict[str, int]
    facts: dict[str, Any]


async def find_run(connection: asyncpg.Connection, run_id: UUID) -> ShownRun | None:
    """Return a run of whatever state."""
    row = await connection.fetchrow(_RUN, run_id)
    return None if row is None else _shown(row)


async def run_events(connection: asyncpg.Connection, run_id: UUID) -> list[dict[str, Any]]:
    """Return what happened to a run, oldest first."""
    rows = await connection.fetch(_EVENTS, run_id, EVENTS_SHOWN_MAX)
    return [
        {"at": row["at"], "kind": row["kind"], "detail": json.loads(row["detail"])} for row in rows
    ]


async def list_runs(
    connection: asyncpg.Connection,
    *,
    source: str | None,
    day: date | None,
    status: str | None,
    dry_run: bool | None,
    before: UUID | None,
    limit: int,
) -> tuple[list[ShownRun], bool]:
    """Return at most `limit` runs, newest first, and whether there are more."""
    rows = await connection.fetch(_RUNS, source, day, status, before, limit + 1, dry_run)
    return [_shown(row) for row in rows[:limit]], len(rows) > limit


async def runs_of_date(
    connection: asyncpg.Connection, day: date, *, source: str | None, attempt: int | None
) -> list[ShownRun]:
    """Return the run of each source that stands for a date, or that attempt of each."""
    return [_shown(row) for row in await connection.fetch(_OF_DATE, day, source, attempt)]


async def runs_under_way(
    connection: asyncpg.Connection, day: date, *, source: str | None
) -> list[ShownRun]:
    """Return the attempts of a date that wait or run."""
    return [_shown(row) for row in await connection.fetch(_UNDER_WAY, day, source)]


async def summaries_of_date(
    connection: asyncpg.Connection, day: date, *, source: str | None, attempt: int | None
) -> list[dict[str, Any]]:
    """Return the summaries of a date: of the attempts in force, or of that attempt."""
    rows = await connection.fetch(_SUMMARIES, day, source, attempt)
    return [_summary(row) for row in rows]


async def summary_of_run(connection: asyncpg.Connection, run_id: UUID) -> dict[str, Any] | None:
    """Return the summary of a finished run, a dry one's too."""
    row = await connection.fetchrow(_SUMMARY_OF_RUN, run_id)
    return None if row is None else _summary(row)


def _summary(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "run_id": str(row["run_id"]),
        "source": row["source"],
        "date": row["business_date"],
        "attempt": row["attempt"],
        "dry_run": row["dry_run"],
        "finished_at": row["finished_at"],
        **_in_todays_form(json.loads(row["body"])),
    }


def _in_todays_form(body: dict[str, Any]) -> dict[str, Any]:
    """Return a stored summary with what was not counted yet when it was kept."""
    since_added: dict[str, Any] = {"grouped": 0, "netted": 0, "matches": [], "causes": []}
    since_added |= {"search": {}, "learnt": {"weights": None, "fees_offered": []}}
    body = since_added | body
    return body | {part: {"netted": 0} | body[part] for part in ("carried", "ledger")}


def _progress(status: str, phase: str | None, counts: dict[str, int]) -> dict[str, int]:
    done = len(PHASES) if status == "finished" else PHASES.index(phase) if phase else 0
    return {
        "phases_done": done,
        "phases": len(PHASES),
        "partitions_done": counts.get("partitions_done", 0),
        "partitions": counts.get("partitions", 1),
    }


def _shown(row: asyncpg.Record) -> ShownRun:
    error = {"code": row["error_code"], "detail": row["error"]} if row["error_code"] else None
    supersedes, superseded_by = row["supersedes"], row["superseded_by"]
    counts = json.loads(row["counts"])
    return ShownRun(
        run_id=str(row["run_id"]),
        source=row["source"],
        date=row["business_date"],
        attempt=row["attempt"],
        status=row["status"],
        phase=row["phase"],
        counts=counts,
        facts={
            "dry_run": row["dry_run"],
            "policy": None if row["policy"] is None else json.loads(row["policy"]),
            "progress": _progress(row["status"], row["phase"], counts),
            "trigger": row["trigger"],
            "source_version": row["source_version"],
            "population": row["population"],
            "statement": {"kind": row["input_kind"], "name": row["input"]},
            "requested_at": row["requested_at"],
            "started_at": row["started_at"],
            "finished_at": row["finished_at"],
            "supersedes": supersedes and str(supersedes),
            "superseded_by": superseded_by and str(superseded_by),
            "error": error,
        },
    )

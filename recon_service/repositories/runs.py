"""Runs under way: requested, claimed under leases, kept alive, failed; the queue is a table.

Times of leases are the database's own, so the clocks of many processes do not matter.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from recon_service.domain.config import SourceConfig, patched
from recon_service.domain.errors import LaterRunDepends, RunQueueFull
from recon_service.domain.history import Days, PastRun, first_dependent
from recon_service.domain.run import (
    Claim,
    Input,
    InputKind,
    Run,
    WhatIf,
    lease_names,
    population_of,
)
from recon_service.repositories.sources import Source, find_version

CLAIMS_TRIED_MAX = 50
CLAIMS_OF_A_RUN_MAX = 5

# How many runs of a source wait or run.
_WAITING = """
SELECT count(*) FROM recon.runs WHERE source = $1 AND status IN ('queued', 'running')
"""

# Ask for a run; a second nightly run of a date is nothing. Dry runs are numbered for themselves.
_REQUEST = """
INSERT INTO recon.runs
    (run_id, source, business_date, attempt, source_version, population, trigger, input_kind,
     input, request_id, requested_at, reserved_until, dry_run, policy)
SELECT $1, $2, $3, coalesce(max(attempt), 0) + 1, $4, $5, $6, $7, $8, $9, now(),
       now() + make_interval(secs => $10), $11, $12
FROM recon.runs WHERE source = $2 AND business_date = $3 AND dry_run = $11
ON CONFLICT (source, business_date) WHERE trigger = 'nightly' DO NOTHING
RETURNING attempt
"""

# Keep what happened to a run.
_APPEND_EVENT = """
INSERT INTO recon.run_events (run_id, at, kind, detail) VALUES ($1, clock_timestamp(), $2, $3)
"""

# Runs that nobody works on, oldest first: waiting ones and those whose holder has gone silent.
_CLAIMABLE = """
SELECT r.*, r.policy::text AS changes FROM recon.runs r
WHERE ($1::uuid IS NULL OR r.run_id = $1)
  AND (r.status = 'queued'
       AND ($1::uuid IS NOT NULL OR coalesce(r.reserved_until <= now(), true))
       OR r.status = 'running'
       AND NOT EXISTS (SELECT FROM recon.leases l WHERE l.run_id = r.run_id AND l.until > now()))
ORDER BY r.run_id LIMIT $2
FOR UPDATE OF r SKIP LOCKED
"""

# Take a lease that nobody holds.
_TAKE_LEASE = """
INSERT INTO recon.leases AS l (name, run_id, token, until)
VALUES ($1, $2, 1, now() + make_interval(secs => $3))
ON CONFLICT (name) DO UPDATE
    SET run_id = excluded.run_id, token = l.token + 1, until = excluded.until
    WHERE l.until <= now()
RETURNING token
"""

# Begin, or begin again.
_START = """
UPDATE recon.runs
SET status = 'running', phase = 'reading', token = token + 1, counts = '{}',
    started_at = coalesce(started_at, clock_timestamp())
WHERE run_id = $1 RETURNING token
"""

# The leases that a holder still has, locked in the order in which everybody takes them. One that
# was given back is nobody's: a heartbeat that waited for the run's last step must not revive it.
_STILL_HELD = """
WITH held AS (
    SELECT l.name FROM recon.leases l
    JOIN unnest($2::text[], $3::bigint[]) AS h (name, token) USING (name, token)
    WHERE l.run_id = $1 AND l.until > '-infinity'
    ORDER BY l.name FOR UPDATE OF l)
"""

# Hold on to the leases of a run.
_RENEW = (
    _STILL_HELD
    + """
UPDATE recon.leases l SET until = clock_timestamp() + make_interval(secs => $4)
FROM held WHERE l.name = held.name
"""
)

# Give back what this holder still has, and nothing that its successor took.
_RELEASE_HELD = (
    _STILL_HELD
    + """
UPDATE recon.leases l SET until = '-infinity' FROM held WHERE l.name = held.name
"""
)

# Keep a waiting run for the process that asked for it.
_RENEW_RESERVATION = """
UPDATE recon.runs SET reserved_until = now() + make_interval(secs => $2)
WHERE run_id = $1 AND status = 'queued'
"""

# Show how far a run has come.
_PROGRESS = """
UPDATE recon.runs SET phase = $3, counts = counts || $4 WHERE run_id = $1 AND token = $2
"""

# End a run that could not do its work.
_FAIL = """
UPDATE recon.runs
SET status = 'failed', phase = NULL, error_code = $3, error = $4, finished_at = clock_timestamp()
WHERE run_id = $1 AND token = $2 AND status IN ('queued', 'running') RETURNING run_id
"""

# Give the leases of a run back for good.
_RELEASE = "UPDATE recon.leases SET until = '-infinity' WHERE run_id = $1"

# How a run ended.
_END = """
SELECT r.token, r.error_code, r.error, s.body::text
FROM recon.runs r LEFT JOIN recon.summaries s USING (run_id)
WHERE r.run_id = $1 AND r.status IN ('finished', 'failed')
"""

_PAST = """
SELECT run_id, source, business_date, attempt, covered_first, covered_last, read_to_seq
FROM recon.runs r
"""

# The attempt of a date that is in force.
_CURRENT = (
    _PAST
    + """
WHERE source = $1 AND business_date = $2 AND status = 'finished' AND superseded_by IS NULL
  AND NOT dry_run
"""
)

# Runs in force that count a line as reconciled by a match of this one.
_DEPENDENTS = (
    _PAST
    + """
WHERE status = 'finished' AND superseded_by IS NULL AND NOT dry_run
  AND EXISTS (SELECT FROM recon.run_records l
              WHERE l.held_by_run_id = $1 AND l.run_id = r.run_id)
"""
)


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended: with a summary, or with an error, under the token of who began it last."""

    token: int
    summary: Mapping[str, Any] | None
    error_code: str
    error: str


async def request_run(
    connection: asyncpg.Connection,
    *,
    source: Source,
    business_date: date,
    trigger: str,
    statement: Input,
    request_id: str | None,
    queue_max: int,
    reserve_seconds: float | None = None,
    what_if: WhatIf | None = None,
) -> tuple[str, int] | None:
    """Add a run to the queue of a locked source; return its id and attempt.

    None where the nightly run of the date exists. With `reserve_seconds` only the caller may claim
    it for that long; with `what_if` it is a dry run. Raises RunQueueFull, LaterRunDepends (never
    for a dry run: it supersedes nothing).
    """
    waiting = await connection.fetchval(_WAITING, source.name)
    if waiting >= queue_max:
        raise RunQueueFull(
            f"{waiting} runs of {source.name} are waiting; try again when one has finished",
            waiting=waiting,
            waiting_max=queue_max,
        )
    if what_if is None:
        await require_no_dependent(connection, source.name, business_date)
    run_id = uuid7()
    attempt = await connection.fetchval(
        _REQUEST,
        run_id,
        source.name,
        business_date,
        source.version,
        population_of(source.config),
        trigger,
        statement.kind.value,
        statement.name,
        request_id,
        reserve_seconds,
        what_if is not None,
        None if what_if is None or not what_if.policy else json.dumps(what_if.policy),
    )
    if attempt is None:
        return None
    await append_event(connection, str(run_id), "queued", {"trigger": trigger})
    return str(run_id), attempt


async def claim(
    connection: asyncpg.Connection, *, lease_seconds: float, run_id: str | None = None
) -> Claim | None:
    """Take a run with its leases, all or none, inside the caller's transaction.

    Without `run_id` the oldest whose source and population are free. None where there is none. A
    run that was claimed too often is given up: it would only bring down the next process.
    """
    rows = await connection.fetch(_CLAIMABLE, run_id and UUID(run_id), CLAIMS_TRIED_MAX)
    for row in rows:
        if row["token"] >= CLAIMS_OF_A_RUN_MAX:
            detail = f"The run was begun {row['token']} times and never came to an end."
            await _fail(connection, str(row["run_id"]), row["token"], "gave-up", detail)
            continue
        tokens = await _take_leases(connection, row, lease_seconds)
        if tokens is None:
            continue
        resumed = row["status"] == "running"
        token = await connection.fetchval(_START, row["run_id"])
        await append_event(connection, str(row["run_id"]), "resumed" if resumed else "started")
        config = await find_version(connection, row["source"], row["source_version"])
        run = Run(
            run_id=str(row["run_id"]),
            source=row["source"],
            business_date=row["business_date"],
            attempt=row["attempt"],
            source_version=row["source_version"],
            config=_with_policy(config, row["changes"]),
            population=row["population"],
            input=Input(InputKind(row["input_kind"]), row["input"]),
            request_id=row["request_id"],
            dry_run=row["dry_run"],
        )
        return Claim(run, token, tokens, resumed)
    return None


async def renew(connection: asyncpg.Connection, held: Claim, lease_seconds: float) -> bool:
    """Hold on to the leases; False where one was given back or another has taken it."""
    status = await connection.execute(_RENEW, *_holding(held), lease_seconds)
    return bool(status == f"UPDATE {len(held.lease_tokens)}")


async def release(connection: asyncpg.Connection, held: Claim) -> None:
    """Give back the leases that this holder still has."""
    await connection.execute(_RELEASE_HELD, *_holding(held))


async def find_end(connection: asyncpg.Connection, run_id: str) -> End | None:
    """Return how a run ended; None while it has not."""
    row = await connection.fetchrow(_END, UUID(run_id))
    if row is None:
        return None
    return End(
        token=row["token"],
        summary=None if row["body"] is None else json.loads(row["body"]),
        error_code=row["error_code"] or "",
        error=row["error"] or "",
    )


async def renew_reservation(
    connection: asyncpg.Connection, run_id: str, reserve_seconds: float
) -> None:
    """Keep a waiting run for the caller a while longer."""
    await connection.execute(_RENEW_RESERVATION, UUID(run_id), reserve_seconds)


async def show_progress(
    connection: asyncpg.Connection, held: Claim, phase: str, counts: Mapping[str, int]
) -> None:
    """Show the phase that a run has reached and what it counted so far."""
    await connection.execute(
        _PROGRESS, UUID(held.run.run_id), held.token, phase, json.dumps(dict(counts))
    )


async def fail(connection: asyncpg.Connection, held: Claim, *, code: str, detail: str) -> None:
    """End a run that could not do its work; the attempt before stays in force."""
    await _fail(connection, held.run.run_id, held.token, code, detail)


async def cancel(connection: asyncpg.Connection, run_id: str) -> None:
    """End a run that its requester no longer wants, whatever it has come to."""
    token = await connection.fetchval(
        "SELECT token FROM recon.runs WHERE run_id = $1", UUID(run_id)
    )
    await _fail(connection, run_id, token, "interrupted", "Whoever asked for the run ended it.")


async def release_leases(connection: asyncpg.Connection, run_id: str) -> None:
    """Give back the leases of a run whose row the caller holds under the run's own token."""
    await connection.execute(_RELEASE, UUID(run_id))


async def append_event(
    connection: asyncpg.Connection, run_id: str, kind: str, detail: Mapping[str, Any] | None = None
) -> None:
    """Keep what happened to a run."""
    await connection.execute(_APPEND_EVENT, UUID(run_id), kind, json.dumps(dict(detail or {})))


async def current_run(
    connection: asyncpg.Connection, source: str, business_date: date
) -> PastRun | None:
    """Return the attempt of a date that is in force."""
    row = await connection.fetchrow(_CURRENT, source, business_date)
    return None if row is None else past_run(row)


async def require_no_dependent(
    connection: asyncpg.Connection, source: str, business_date: date
) -> PastRun | None:
    """Return the attempt that a new one of this date supersedes; raise LaterRunDepends."""
    current = await current_run(connection, source, business_date)
    if current is None:
        return None
    rows = await connection.fetch(_DEPENDENTS, UUID(current.run_id))
    dependent = first_dependent(current, [past_run(row) for row in rows])
    if dependent is not None:
        raise LaterRunDepends(
            f"the run of {source} for {dependent.business_date} (attempt {dependent.attempt})"
            f" counts lines as reconciled by the run for {business_date}",
            depends_run_id=dependent.run_id,
            depends_date=dependent.business_date.isoformat(),
            supersedes_run_id=current.run_id,
        )
    return current


def past_run(row: asyncpg.Record) -> PastRun:
    """Return a finished run as history sees it."""
    return PastRun(
        run_id=str(row["run_id"]),
        source=row["source"],
        business_date=row["business_date"],
        attempt=row["attempt"],
        covered=Days(row["covered_first"], row["covered_last"]),
        read_to_seq=row["read_to_seq"],
    )


def _with_policy(config: SourceConfig, changes: str | None) -> SourceConfig:
    return config if changes is None else patched(config, {"policy": json.loads(changes)})


def _holding(held: Claim) -> tuple[UUID, list[str], list[int]]:
    return UUID(held.run.run_id), list(held.lease_tokens), list(held.lease_tokens.values())


async def _take_leases(
    connection: asyncpg.Connection, row: asyncpg.Record, lease_seconds: float
) -> dict[str, int] | None:
    tokens: dict[str, int] = {}
    savepoint = connection.transaction()
    await savepoint.start()
    for name in lease_names(row["source"], row["population"]):
        token = await connection.fetchval(_TAKE_LEASE, name, row["run_id"], lease_seconds)
        if token is None:
            await savepoint.rollback()
            return None
        tokens[name] = token
    await savepoint.commit()
    return tokens


async def _fail(
    connection: asyncpg.Connection, run_id: str, token: int, code: str, detail: str
) -> None:
    if await connection.fetchval(_FAIL, UUID(run_id), token, code, detail) is None:
        return
    await append_event(connection, run_id, "failed", {"code": code, "detail": detail})
    await release_leases(connection, run_id)

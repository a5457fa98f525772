"""ReconLogger: the only writer of the match log and of all that a finished run leaves behind.

A run writes in one atomic step, and only while it still holds its leases: whoever took one over
after us has raised its token, and then nothing of ours lands. A crash leaves nothing half-written.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import polars as pl

from recon_service.domain.history import Days, Ending, PastRun, Side
from recon_service.domain.run import Claim
from recon_service.repositories import runs
from recon_service.repositories.copying import copy_rows
from recon_service.repositories.history import ACTIVE_ITEMS
from shared.database import connect

LOCK_WAIT = "10s"

# The run and its leases, held until we commit, if they are still ours.
_LOCK_RUN = "SELECT token, status FROM recon.runs WHERE run_id = $1 FOR UPDATE"
_LOCK_LEASES = """
SELECT name, token FROM recon.leases
WHERE name = ANY ($1::text[]) AND run_id = $2 ORDER BY name FOR UPDATE
"""

# Free what the superseded run matched.
_RELEASE_MATCHES = "DELETE FROM recon.active_matches WHERE run_id = $1"
_SUPERSEDE = "UPDATE recon.runs SET superseded_by = $2 WHERE run_id = $1"

# Where the source has moved to another account: the old one's items are open again.
_OF_RUN = "i.population <> $1 AND i.run_id = $4"
_OF_ITEMS = "(i.population, i.internal_id) IN (SELECT * FROM unnest($4::text[], $5::text[]))"
_REOPEN = f"""
WITH freed AS (SELECT * FROM ({ACTIVE_ITEMS}) AS i WHERE {{which}}),
said AS (
    INSERT INTO recon.break_events (side, scope, key, run_id, state, late, at)
    SELECT 'ledger', population, internal_id, $2, 'open', false, $3
    FROM freed WHERE population <> $1)
INSERT INTO recon.breaks
    (side, scope, key, state, late, source, run_id, opened_at, changed_at, reference, date, at,
     currency, scale, amount_minor, text, counterparty, seq, recorded_at)
SELECT 'ledger', population, internal_id, 'open', false, source, $2, $3, $3, reference, date, at,
       currency, scale, amount_minor, text, counterparty, seq, recorded_at
FROM freed WHERE population <> $1
ON CONFLICT (side, scope, key) DO UPDATE
    SET state = excluded.state, run_id = excluded.run_id, changed_at = excluded.changed_at
"""  # noqa: S608 (put together from constants)

# End whole matches of which a record is in no statement in force; say so in the runs that made
# them. A group's ledger items that stand beside no record are ended by name.
_END_MATCHES = """
WITH by_record AS (
    DELETE FROM recon.active_matches WHERE record_id = ANY ($1::uuid[])
    RETURNING run_id, coalesce(match_id, record_id::text) AS match),
by_item AS (
    DELETE FROM recon.active_matches a USING unnest($2::text[], $3::text[]) AS e (place, item)
    WHERE a.population = e.place AND a.internal_id = e.item AND a.record_id IS NULL
    RETURNING a.run_id, a.match_id AS match)
SELECT run_id::text, count(DISTINCT match) AS matches
FROM (SELECT * FROM by_record UNION ALL SELECT * FROM by_item) AS ended
GROUP BY run_id ORDER BY run_id
"""

# Give known breaks their new state.
_CHANGE_BREAKS = """
UPDATE recon.breaks b
SET state = c.state, late = b.late OR c.late, run_id = $3, changed_at = $4
FROM unnest($5::text[], $6::text[], $7::boolean[]) AS c (key, state, late)
WHERE b.side = $1 AND b.scope = $2 AND b.key = c.key
"""

_APPEND_SUMMARY = "INSERT INTO recon.summaries (run_id, body) VALUES ($1, $2)"

_FINISH = """
UPDATE recon.runs
SET status = 'finished', phase = NULL, covered_first = $2, covered_last = $3, read_to_seq = $4,
    supersedes = $5, counts = $6, finished_at = clock_timestamp()
WHERE run_id = $1
"""


class LeaseLost(Exception):
    """Another process has taken over the run, or what it needs: nothing was written."""


@dataclass(frozen=True, slots=True)
class ReconLogger:
    """Opens the atomic step of a run."""

    database_url: str
    statement_timeout_ms: int

    @asynccontextmanager
    async def atomic(self, held: Claim, decided_at: datetime) -> AsyncIterator["Writing"]:
        """Yield what writes for the run; all of it is committed at the end, or nothing.

        Raises LeaseLost.
        """
        connection = await connect(
            self.database_url,
            application_name="kairon recon writer",
            statement_timeout_ms=self.statement_timeout_ms,
            lock_timeout=LOCK_WAIT,
        )
        try:
            async with connection.transaction():
                await _require_leases(connection, held)
                yield Writing(connection, held, decided_at)
        finally:
            await connection.close()


@dataclass(frozen=True, slots=True)
class Writing:
    """Writes for one run inside its atomic step."""

    connection: asyncpg.Connection
    held: Claim
    decided_at: datetime

    async def supersede(self, expected: PastRun | None) -> None:
        """Free the matches of the attempt before. Raises LaterRunDepends."""
        run = self.held.run
        past = await runs.require_no_dependent(self.connection, run.source, run.business_date)
        assert past == expected, "the attempt in force changed under the lease"
        if past is None:
            return
        await self._reopen(_OF_RUN, UUID(past.run_id))
        await self.connection.execute(_RELEASE_MATCHES, UUID(past.run_id))
        await self.connection.execute(_SUPERSEDE, UUID(past.run_id), UUID(run.run_id))
        await runs.append_event(self.connection, past.run_id, "superseded", {"by": run.run_id})

    async def end_matches(self, ending: Ending) -> None:
        """End other runs' matches that rest on a record that no statement in force holds."""
        if not ending.records:
            return
        places, items = [place for place, _ in ending.items], [item for _, item in ending.items]
        await self._reopen(_OF_ITEMS, places, items)
        ended = await self.connection.fetch(_END_MATCHES, list(ending.records), places, items)
        for row in ended:
            detail = {"by": self.held.run.run_id, "matches": row["matches"]}
            await runs.append_event(self.connection, row["run_id"], "released", detail)

    async def append_records(self, records: pl.DataFrame) -> None:
        """Keep records that were never seen before (ACCEPTED_SCHEMA and record_id)."""
        await self._copy(
            "records",
            records.select(
                "record_id",
                *self._constants("source", first_run_id=self.held.run.run_id),
                "fingerprint",
                "ordinal",
                "external_id",
                "occurred_at",
                "booked_on",
                "currency",
                "scale",
                "amount_minor",
                "text",
                "counterparty",
            ),
        )

    async def append_lines(self, lines: pl.DataFrame) -> None:
        """Keep what became of each line of the statement."""
        await self._copy("run_records", lines.with_columns(*self._constants("run_id")))

    async def append_log(self, rows: pl.DataFrame, members: pl.DataFrame) -> None:
        """Append the decisions, and who is in each match that is not one-to-one."""
        constants = self._constants("run_id", "source", "business_date", "attempt", "decided_at")
        await self._copy("match_log", rows.with_columns(*constants))
        await self._copy("match_members", members.with_columns(*self._constants("run_id")))

    async def put_in_force(self, matches: pl.DataFrame) -> None:
        """Put matches in force; PostgreSQL refuses a record or ledger item that is in another."""
        constants = self._constants("run_id", "source", "population")
        await self._copy("active_matches", matches.with_columns(*constants))

    async def change_breaks(
        self, side: Side, scope: str, changes: pl.DataFrame, opened: pl.DataFrame
    ) -> None:
        """Append new states; `opened` are those never known before, with what a break shows."""
        known = changes.join(opened, on="key", how="anti", maintain_order="left")
        place = [pl.lit(side.value).alias("side"), pl.lit(scope).alias("scope")]
        at = self._at()
        await self._copy(
            "break_events",
            changes.with_columns(*place, *self._constants("run_id"), at.alias("at")),
        )
        await self._copy(
            "breaks",
            opened.with_columns(
                *place,
                *self._constants("run_id", "source"),
                at.alias("opened_at"),
                at.alias("changed_at"),
            ),
        )
        if known.is_empty():
            return
        await self.connection.execute(
            _CHANGE_BREAKS,
            side.value,
            scope,
            UUID(self.held.run.run_id),
            self.decided_at,
            known["key"].to_list(),
            known["state"].to_list(),
            known["late"].to_list(),
        )

    async def finish(
        self,
        *,
        summary: Mapping[str, Any],
        covered: Days,
        read_to_seq: int,
        supersedes: PastRun | None,
        counts: Mapping[str, int],
    ) -> None:
        """Keep the summary, mark the run finished and give its leases back."""
        run_id = self.held.run.run_id
        await self.connection.execute(_APPEND_SUMMARY, UUID(run_id), json.dumps(dict(summary)))
        await self.connection.execute(
            _FINISH,
            UUID(run_id),
            covered.first,
            covered.last,
            read_to_seq,
            None if supersedes is None else UUID(supersedes.run_id),
            json.dumps(dict(counts)),
        )
        await runs.append_event(self.connection, run_id, "finished", dict(counts))
        await runs.release_leases(self.connection, run_id)

    async def _reopen(self, which: str, *names: object) -> None:
        run = self.held.run
        statement = _REOPEN.format(which=which)
        await self.connection.execute(
            statement, run.population, UUID(run.run_id), self.decided_at, *names
        )

    def _constants(self, *names: str, **more: str) -> list[pl.Expr]:
        run = self.held.run
        values: dict[str, Any] = {
            "run_id": run.run_id,
            "source": run.source,
            "population": run.population,
            "business_date": run.business_date,
            "attempt": run.attempt,
            **more,
        }
        columns = [pl.lit(values[name]).alias(name) for name in names if name != "decided_at"]
        columns += [pl.lit(value).alias(name) for name, value in more.items()]
        return columns + ([self._at().alias("decided_at")] if "decided_at" in names else [])

    def _at(self) -> pl.Expr:
        return pl.lit(self.decided_at, dtype=pl.Datetime("us", "UTC"))

    async def _copy(self, table: str, rows: pl.DataFrame) -> None:
        await copy_rows(self.connection, table, rows)


async def _require_leases(connection: asyncpg.Connection, held: Claim) -> None:
    run_id = UUID(held.run.run_id)
    row = await connection.fetchrow(_LOCK_RUN, run_id)
    if row is None or row["token"] != held.token or row["status"] != "running":
        raise LeaseLost(f"run {held.run.run_id} was taken over")
    rows = await connection.fetch(_LOCK_LEASES, list(held.lease_tokens), run_id)
    if {row["name"]: row["token"] for row in rows} != held.lease_tokens:
        raise LeaseLost(f"a lease of run {held.run.run_id} was taken over")

"""The tables of schema `recon`: sources, runs, what runs refer to, what they decided.

The log (match_log, match_members, run_events, break_events) and the facts that runs refer to
(records, run_records, source_versions, summaries, uploads, idempotency) are append-only. What may
change is a projection of them (active_matches, breaks), a pointer (sources) or work under way
(runs, leases).
"""

from recon_service.tables.columns import SCHEMA, metadata
from recon_service.tables.decisions import (
    active_matches,
    break_events,
    breaks,
    match_log,
    match_members,
    records,
    run_records,
    summaries,
)
from recon_service.tables.runs import (
    idempotency,
    leases,
    run_events,
    runs,
    source_versions,
    sources,
    uploads,
)

APPEND_ONLY = (
    "source_versions",
    "run_events",
    "records",
    "run_records",
    "match_log",
    "match_members",
    "break_events",
    "summaries",
    "uploads",
    "idempotency",
)

__all__ = [
    "APPEND_ONLY",
    "SCHEMA",
    "active_matches",
    "break_events",
    "breaks",
    "idempotency",
    "leases",
    "match_log",
    "match_members",
    "metadata",
    "records",
    "run_events",
    "run_records",
    "runs",
    "source_versions",
    "sources",
    "summaries",
    "uploads",
]

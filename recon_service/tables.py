"""The tables of schema `recon`: sources, runs, what runs refer to, what they decided.

The log (match_log, run_events, break_events) and the facts that runs refer to (records,
run_records, source_versions, summaries, uploads, idempotency) are append-only. What may change is
a projection of them (active_matches, breaks), a pointer (sources) or work under way (runs, leases).
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import schema_metadata

SCHEMA = "recon"
APPEND_ONLY = (
    "source_versions",
    "run_events",
    "records",
    "run_records",
    "match_log",
    "break_events",
    "summaries",
    "uploads",
    "idempotency",
)
metadata = schema_metadata(SCHEMA)


def _instant(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _money(prefix: str, *, nullable: bool = False) -> tuple[Column[Any], ...]:
    return (
        Column(f"{prefix}currency", Text, nullable=nullable),
        Column(f"{prefix}scale", SmallInteger, nullable=nullable),
        Column(f"{prefix}amount_minor", BigInteger, nullable=nullable),
    )


sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    _instant("nightly_since", nullable=True),
    CheckConstraint("name ~ '^[a-z][a-z0-9_]{0,62}$'", name="name_is_a_word"),
    comment="which version of a source is in force, and since when it runs nightly",
)

source_versions = Table(
    "source_versions",
    metadata,
    Column("source", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("config", JSONB, nullable=False),
    _instant("made_at"),
    CheckConstraint("version > 0", name="version_positive"),
    comment="append-only: every definition that a source ever had",
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("source", Text, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("source_version", Integer, nullable=False),
    Column("population", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("input_kind", Text, nullable=False),
    Column("input", Text),
    Column("request_id", Text),
    Column("status", Text, nullable=False, server_default="queued"),
    Column("phase", Text),
    Column("counts", JSONB, nullable=False, server_default="{}"),
    Column("token", BigInteger, nullable=False, server_default="0"),
    _instant("reserved_until", nullable=True),
    _instant("requested_at"),
    _instant("started_at", nullable=True),
    _instant("finished_at", nullable=True),
    Column("covered_first", Date),
    Column("covered_last", Date),
    Column("read_to_seq", BigInteger),
    Column("supersedes", Uuid),
    Column("superseded_by", Uuid),
    Column("error_code", Text),
    Column("error", Text),
    UniqueConstraint("source", "business_date", "attempt"),
    CheckConstraint("attempt > 0", name="attempt_positive"),
    CheckConstraint("trigger IN ('manual', 'nightly')", name="trigger_known"),
    CheckConstraint("input_kind IN ('inbox', 'path', 'upload', 'api')", name="input_kind_known"),
    CheckConstraint("status IN ('queued', 'running', 'finished', 'failed')", name="status_known"),
    CheckConstraint(
        "status <> 'finished'"
        " OR num_nonnulls(covered_first, covered_last, read_to_seq, finished_at) = 4",
        name="finished_is_complete",
    ),
    Index(
        "uq_runs__nightly",
        "source",
        "business_date",
        unique=True,
        postgresql_where=text("trigger = 'nightly'"),
    ),
    Index(
        "uq_runs__current",
        "source",
        "business_date",
        unique=True,
        postgresql_where=text("status = 'finished' AND superseded_by IS NULL"),
    ),
    Index(
        "ix_runs__waiting",
        "run_id",
        postgresql_where=text("status IN ('queued', 'running')"),
    ),
    Index("ix_runs__business_date", "business_date", "source"),
    comment="each attempt to reconcile a source for a business date",
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("run_id", Uuid, nullable=False),
    Column("token", BigInteger, nullable=False),
    _instant("until"),
    comment="who may write for a source or a population; the token rises with every new holder",
)

run_events = Table(
    "run_events",
    metadata,
    Column("event_id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", Uuid, nullable=False),
    _instant("at"),
    Column("kind", Text, nullable=False),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    CheckConstraint(
        "kind IN ('queued', 'started', 'resumed', 'finished', 'failed', 'superseded', 'released')",
        name="kind_known",
    ),
    Index("ix_run_events__run_id", "run_id", "event_id"),
    comment="append-only: what happened to a run",
)

records = Table(
    "records",
    metadata,
    Column("record_id", Uuid, primary_key=True),
    Column("source", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("first_run_id", Uuid, nullable=False),
    Column("external_id", Text),
    _instant("occurred_at"),
    Column("booked_on", Date, nullable=False),
    *_money(""),
    Column("text", Text),
    Column("counterparty", Text),
    CheckConstraint("scale BETWEEN 0 AND 18", name="scale_in_range"),
    comment="append-only: statement lines; the id is made of source, fingerprint and ordinal",
)

run_records = Table(
    "run_records",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("line_no", BigInteger, primary_key=True),
    Column("record_id", Uuid),
    Column("disposition", Text, nullable=False),
    Column("held_by_run_id", Uuid),
    Column("byte_offset", BigInteger),
    Column("raw", Text),
    Column("reason", Text),
    CheckConstraint(
        "disposition IN ('rejected', 'auto', 'suggested', 'unmatched', 'already_reconciled')",
        name="disposition_known",
    ),
    CheckConstraint(
        "(disposition = 'rejected') = (record_id IS NULL)", name="rejected_has_no_record"
    ),
    CheckConstraint(
        "(disposition = 'rejected') = (reason IS NOT NULL)", name="rejected_has_a_reason"
    ),
    CheckConstraint(
        "(disposition = 'already_reconciled') = (held_by_run_id IS NOT NULL)",
        name="already_reconciled_names_the_run",
    ),
    Index("ix_run_records__record_id", "record_id"),
    Index(
        "ix_run_records__held_by_run_id",
        "held_by_run_id",
        "run_id",
        postgresql_where=text("held_by_run_id IS NOT NULL"),
    ),
    Index(
        "ix_run_records__rejected",
        "run_id",
        "line_no",
        postgresql_where=text("disposition = 'rejected'"),
    ),
    comment="append-only: each line of a run's statement and what became of it",
)

match_log = Table(
    "match_log",
    metadata,
    Column("log_id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", Uuid, nullable=False),
    Column("source", Text, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("attempt", Integer, nullable=False),
    _instant("decided_at"),
    Column("record_id", Uuid, nullable=False),
    Column("line_no", BigInteger),
    Column("carried", Boolean, nullable=False),
    Column("external_id", Text),
    Column("internal_id", Text),
    Column("internal_reference", Text),
    Column("matched", Boolean, nullable=False),
    Column("match_type", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("score", Double),
    Column("cause", Text),
    Column("reason", Text, nullable=False),
    Column("evidence", JSONB, nullable=False),
    *_money("external_"),
    *_money("internal_", nullable=True),
    Column("residual_minor", BigInteger),
    Column("external_date", Date, nullable=False),
    Column("internal_date", Date),
    _instant("external_at"),
    _instant("internal_at", nullable=True),
    Column("internal_seq", BigInteger),
    _instant("internal_recorded_at", nullable=True),
    Column("external_text", Text),
    Column("internal_text", Text),
    Column("internal_counterparty", Text),
    UniqueConstraint("run_id", "record_id"),
    CheckConstraint("match_type IN ('exact', 'fuzzy', 'none')", name="match_type_known"),
    CheckConstraint("decision IN ('auto', 'suggested', 'unmatched')", name="decision_known"),
    CheckConstraint("matched = (decision = 'auto')", name="matched_means_auto"),
    CheckConstraint(
        "(decision = 'unmatched') = (internal_id IS NULL)", name="counterpart_is_named"
    ),
    CheckConstraint("carried = (line_no IS NULL)", name="carried_has_no_line"),
    CheckConstraint("score BETWEEN 0 AND 1", name="score_is_a_probability"),
    Index("ix_match_log__run_id", "run_id", "log_id"),
    Index(
        "ix_match_log__not_matched",
        "run_id",
        "log_id",
        postgresql_where=text("NOT matched"),
    ),
    comment="append-only: every decision of every run, with its reason and evidence",
)

active_matches = Table(
    "active_matches",
    metadata,
    Column("record_id", Uuid, primary_key=True),
    Column("population", Text, nullable=False),
    Column("internal_id", Text, nullable=False),
    Column("run_id", Uuid, nullable=False),
    Column("source", Text, nullable=False),
    UniqueConstraint("population", "internal_id"),
    Index("ix_active_matches__run_id", "run_id"),
    comment="projection: the matches in force; a record and a ledger item are in one at most",
)

breaks = Table(
    "breaks",
    metadata,
    Column("side", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("run_id", Uuid, nullable=False),
    _instant("opened_at"),
    _instant("changed_at"),
    Column("reference", Text),
    Column("date", Date, nullable=False),
    _instant("at"),
    *_money(""),
    Column("text", Text),
    Column("counterparty", Text),
    Column("seq", BigInteger),
    _instant("recorded_at", nullable=True),
    PrimaryKeyConstraint("side", "scope", "key"),
    CheckConstraint("side IN ('external', 'ledger')", name="side_known"),
    CheckConstraint(
        "state IN ('open', 'suggested', 'timing', 'outside', 'resolved', 'withdrawn')",
        name="state_known",
    ),
    CheckConstraint("(side = 'ledger') = (seq IS NOT NULL)", name="ledger_has_a_seq"),
    Index(
        "ix_breaks__live",
        "side",
        "scope",
        "key",
        postgresql_where=text("state IN ('open', 'suggested', 'timing', 'outside')"),
    ),
    comment="projection: records (by source) and ledger items (by population) without a match",
)

break_events = Table(
    "break_events",
    metadata,
    Column("event_id", BigInteger, Identity(always=True), primary_key=True),
    Column("side", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("run_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("late", Boolean, nullable=False),
    _instant("at"),
    Index("ix_break_events__key", "side", "scope", "key", "event_id"),
    comment="append-only: every state that a break ever had; the last one is in force",
)

summaries = Table(
    "summaries",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("body", JSONB, nullable=False),
    comment="append-only: what a finished run counted, with its proven equations",
)

uploads = Table(
    "uploads",
    metadata,
    Column("upload_id", Text, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    _instant("uploaded_at"),
    CheckConstraint("upload_id ~ '^[0-9a-f]{64}$'", name="upload_id_is_sha256"),
    comment="append-only: files handed in over HTTP, named by the SHA-256 of their content",
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key_hash", LargeBinary, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("answer", Text, nullable=False),
    _instant("recorded_at"),
    CheckConstraint("octet_length(key_hash) = 32", name="key_hash_is_sha256"),
    CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_is_sha256"),
    comment="append-only: the first answer under each Idempotency-Key, kept for ever",
)

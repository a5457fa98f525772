"""What is asked for and under way: sources and their versions, runs, leases, uploads, keys."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from recon_service.tables.columns import instant, metadata

sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    instant("nightly_since", nullable=True),
    CheckConstraint("name ~ '^[a-z][a-z0-9_]{0,62}$'", name="name_is_a_word"),
    comment="which version of a source is in force, and since when it runs nightly",
)

source_versions = Table(
    "source_versions",
    metadata,
    Column("source", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("config", JSONB, nullable=False),
    instant("made_at"),
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
    Column("dry_run", Boolean, nullable=False, server_default="false"),
    Column("policy", JSONB),
    Column("trigger", Text, nullable=False),
    Column("input_kind", Text, nullable=False),
    Column("input", Text),
    Column("request_id", Text),
    Column("status", Text, nullable=False, server_default="queued"),
    Column("phase", Text),
    Column("counts", JSONB, nullable=False, server_default="{}"),
    Column("token", BigInteger, nullable=False, server_default="0"),
    instant("reserved_until", nullable=True),
    instant("requested_at"),
    instant("started_at", nullable=True),
    instant("finished_at", nullable=True),
    Column("covered_first", Date),
    Column("covered_last", Date),
    Column("read_to_seq", BigInteger),
    Column("supersedes", Uuid),
    Column("superseded_by", Uuid),
    Column("error_code", Text),
    Column("error", Text),
    UniqueConstraint("source", "business_date", "dry_run", "attempt"),
    CheckConstraint("attempt > 0", name="attempt_positive"),
    CheckConstraint("policy IS NULL OR dry_run", name="policy_is_tried_out_in_a_dry_run"),
    CheckConstraint("trigger IN ('manual', 'nightly')", name="trigger_known"),
    CheckConstraint("NOT (dry_run AND trigger = 'nightly')", name="nights_are_real"),
    CheckConstraint(
        "NOT dry_run OR num_nonnulls(supersedes, superseded_by) = 0",
        name="dry_run_supersedes_nothing",
    ),
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
        postgresql_where=text("status = 'finished' AND superseded_by IS NULL AND NOT dry_run"),
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
    instant("until"),
    comment="who may write for a source or a population; the token rises with every new holder",
)

run_events = Table(
    "run_events",
    metadata,
    Column("event_id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", Uuid, nullable=False),
    instant("at"),
    Column("kind", Text, nullable=False),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    CheckConstraint(
        "kind IN ('queued', 'started', 'resumed', 'finished', 'failed', 'superseded', 'released')",
        name="kind_known",
    ),
    Index("ix_run_events__run_id", "run_id", "event_id"),
    comment="append-only: what happened to a run",
)

uploads = Table(
    "uploads",
    metadata,
    Column("upload_id", Text, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    instant("uploaded_at"),
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
    instant("recorded_at"),
    CheckConstraint("octet_length(key_hash) = 32", name="key_hash_is_sha256"),
    CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_is_sha256"),
    comment="append-only: the first answer under each Idempotency-Key, kept for ever",
)

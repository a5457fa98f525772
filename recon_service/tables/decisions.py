"""What runs refer to and what they decided: records, the match log, breaks, summaries."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from recon_service.tables.columns import instant, metadata, money

records = Table(
    "records",
    metadata,
    Column("record_id", Uuid, primary_key=True),
    Column("source", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("first_run_id", Uuid, nullable=False),
    Column("external_id", Text),
    instant("occurred_at"),
    Column("booked_on", Date, nullable=False),
    *money(""),
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
        "disposition IN ('rejected', 'auto', 'suggested', 'unmatched', 'netted',"
        " 'already_reconciled')",
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
    instant("decided_at"),
    Column("record_id", Uuid, nullable=False),
    Column("line_no", BigInteger),
    Column("carried", Boolean, nullable=False),
    Column("external_id", Text),
    Column("internal_id", Text),
    Column("internal_reference", Text),
    Column("matched", Boolean, nullable=False),
    Column("match_type", Text, nullable=False),
    Column("match_id", Text),
    Column("decision", Text, nullable=False),
    Column("score", Double),
    Column("cause", Text),
    Column("reason", Text, nullable=False),
    Column("evidence", JSONB, nullable=False),
    *money("external_"),
    *money("internal_", nullable=True),
    Column("residual_minor", BigInteger),
    Column("external_date", Date, nullable=False),
    Column("internal_date", Date),
    instant("external_at"),
    instant("internal_at", nullable=True),
    Column("internal_seq", BigInteger),
    instant("internal_recorded_at", nullable=True),
    Column("external_text", Text),
    Column("internal_text", Text),
    Column("internal_counterparty", Text),
    UniqueConstraint("run_id", "record_id"),
    CheckConstraint(
        "match_type IN ('exact', 'fuzzy', 'group', 'netted', 'none')", name="match_type_known"
    ),
    CheckConstraint(
        "decision IN ('auto', 'suggested', 'unmatched', 'netted')", name="decision_known"
    ),
    CheckConstraint("matched = (decision = 'auto')", name="matched_means_auto"),
    CheckConstraint(
        "(decision IN ('unmatched', 'netted')) = (internal_id IS NULL)", name="counterpart_is_named"
    ),
    CheckConstraint("(decision = 'netted') = (match_type = 'netted')", name="netted_is_a_decision"),
    CheckConstraint(
        "(match_type IN ('group', 'netted')) = (match_id IS NOT NULL)", name="members_are_listed"
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

match_members = Table(
    "match_members",
    metadata,
    Column("run_id", Uuid, nullable=False),
    Column("match_id", Text, nullable=False),
    Column("match_type", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("reference", Text),
    Column("date", Date, nullable=False),
    instant("at"),
    *money(""),
    Column("text", Text),
    Column("counterparty", Text),
    Column("seq", BigInteger),
    instant("recorded_at", nullable=True),
    PrimaryKeyConstraint("run_id", "side", "key"),
    CheckConstraint("match_type IN ('group', 'netted')", name="match_type_known"),
    CheckConstraint("decision IN ('auto', 'suggested', 'netted')", name="decision_known"),
    CheckConstraint("(decision = 'netted') = (match_type = 'netted')", name="netted_is_a_decision"),
    CheckConstraint("side IN ('external', 'ledger')", name="side_known"),
    CheckConstraint("(side = 'ledger') = (seq IS NOT NULL)", name="ledger_has_a_seq"),
    Index("ix_match_members__match_id", "run_id", "match_id"),
    comment="append-only: who is in each match of a run that is not one-to-one",
)

active_matches = Table(
    "active_matches",
    metadata,
    Column("record_id", Uuid),
    Column("population", Text, nullable=False),
    Column("internal_id", Text),
    Column("run_id", Uuid, nullable=False),
    Column("source", Text, nullable=False),
    Column("match_id", Text),
    UniqueConstraint("record_id"),
    UniqueConstraint("population", "internal_id"),
    CheckConstraint("num_nonnulls(record_id, internal_id) >= 1", name="holds_something"),
    CheckConstraint(
        "match_id IS NOT NULL OR num_nonnulls(record_id, internal_id) = 2", name="is_a_pair"
    ),
    Index("ix_active_matches__run_id", "run_id", "match_id"),
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
    instant("opened_at"),
    instant("changed_at"),
    Column("reference", Text),
    Column("date", Date, nullable=False),
    instant("at"),
    *money(""),
    Column("text", Text),
    Column("counterparty", Text),
    Column("seq", BigInteger),
    instant("recorded_at", nullable=True),
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
    instant("at"),
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

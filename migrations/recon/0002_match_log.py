"""Create records, the match log, its active matches, breaks and summaries.

What a run decided and what it referred to is append-only twice over, as in 0001.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = (
    "records",
    "run_records",
    "match_log",
    "break_events",
    "summaries",
)


def upgrade() -> None:
    _create_records()
    _create_match_log()
    _create_outcome()
    _refuse_changes()
    _grant()


def downgrade() -> None:
    raise RuntimeError("the log is append-only: restore a backup instead of downgrading")


def _refuse_changes() -> None:
    for table in APPEND_ONLY:
        op.execute(
            f"""
            CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON recon.{table}
                FOR EACH ROW EXECUTE FUNCTION recon.refuse_change()
            """
        )
        op.execute(
            f"""
            CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON recon.{table}
                FOR EACH STATEMENT EXECUTE FUNCTION recon.refuse_change()
            """
        )
        op.execute(f"ALTER TABLE recon.{table} ENABLE ALWAYS TRIGGER refuse_change")
        op.execute(f"ALTER TABLE recon.{table} ENABLE ALWAYS TRIGGER refuse_truncate")


def _grant() -> None:
    op.execute("GRANT SELECT ON ALL TABLES IN SCHEMA recon TO recon_app")
    for table in APPEND_ONLY:
        op.execute(f"GRANT INSERT ON recon.{table} TO recon_app")
    op.execute("GRANT INSERT, UPDATE ON recon.breaks TO recon_app")
    op.execute("GRANT INSERT, DELETE ON recon.active_matches TO recon_app")


def _create_records() -> None:
    op.create_table(
        "records",
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("first_run_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booked_on", sa.Date(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("scale", sa.SmallInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("counterparty", sa.Text(), nullable=True),
        sa.CheckConstraint("scale BETWEEN 0 AND 18", name=op.f("ck_records__scale_in_range")),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_records")),
        schema="recon",
        comment="append-only: statement lines; the id is made of source, fingerprint and ordinal",
    )
    op.create_table(
        "run_records",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("line_no", sa.BigInteger(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=True),
        sa.Column("disposition", sa.Text(), nullable=False),
        sa.Column("held_by_run_id", sa.Uuid(), nullable=True),
        sa.Column("byte_offset", sa.BigInteger(), nullable=True),
        sa.Column("raw", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(disposition = 'already_reconciled') = (held_by_run_id IS NOT NULL)",
            name=op.f("ck_run_records__already_reconciled_names_the_run"),
        ),
        sa.CheckConstraint(
            "(disposition = 'rejected') = (reason IS NOT NULL)",
            name=op.f("ck_run_records__rejected_has_a_reason"),
        ),
        sa.CheckConstraint(
            "(disposition = 'rejected') = (record_id IS NULL)",
            name=op.f("ck_run_records__rejected_has_no_record"),
        ),
        sa.CheckConstraint(
            "disposition IN ('rejected', 'auto', 'suggested', 'unmatched', 'already_reconciled')",
            name=op.f("ck_run_records__disposition_known"),
        ),
        sa.PrimaryKeyConstraint("run_id", "line_no", name=op.f("pk_run_records")),
        schema="recon",
        comment="append-only: each line of a run's statement and what became of it",
    )
    op.create_index(
        "ix_run_records__held_by_run_id",
        "run_records",
        ["held_by_run_id", "run_id"],
        unique=False,
        schema="recon",
        postgresql_where=sa.text("held_by_run_id IS NOT NULL"),
    )
    op.create_index(
        "ix_run_records__record_id", "run_records", ["record_id"], unique=False, schema="recon"
    )
    op.create_index(
        "ix_run_records__rejected",
        "run_records",
        ["run_id", "line_no"],
        unique=False,
        schema="recon",
        postgresql_where=sa.text("disposition = 'rejected'"),
    )


def _create_match_log() -> None:
    op.create_table(
        "match_log",
        sa.Column("log_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("line_no", sa.BigInteger(), nullable=True),
        sa.Column("carried", sa.Boolean(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("internal_id", sa.Text(), nullable=True),
        sa.Column("internal_reference", sa.Text(), nullable=True),
        sa.Column("matched", sa.Boolean(), nullable=False),
        sa.Column("match_type", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(), nullable=False),
        sa.Column("external_currency", sa.Text(), nullable=False),
        sa.Column("external_scale", sa.SmallInteger(), nullable=False),
        sa.Column("external_amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("internal_currency", sa.Text(), nullable=True),
        sa.Column("internal_scale", sa.SmallInteger(), nullable=True),
        sa.Column("internal_amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("residual_minor", sa.BigInteger(), nullable=True),
        sa.Column("external_date", sa.Date(), nullable=False),
        sa.Column("internal_date", sa.Date(), nullable=True),
        sa.Column("external_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("internal_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("internal_seq", sa.BigInteger(), nullable=True),
        sa.Column("internal_recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("external_text", sa.Text(), nullable=True),
        sa.Column("internal_text", sa.Text(), nullable=True),
        sa.Column("internal_counterparty", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(decision = 'unmatched') = (internal_id IS NULL)",
            name=op.f("ck_match_log__counterpart_is_named"),
        ),
        sa.CheckConstraint(
            "decision IN ('auto', 'suggested', 'unmatched')",
            name=op.f("ck_match_log__decision_known"),
        ),
        sa.CheckConstraint(
            "match_type IN ('exact', 'fuzzy', 'none')", name=op.f("ck_match_log__match_type_known")
        ),
        sa.CheckConstraint(
            "matched = (decision = 'auto')", name=op.f("ck_match_log__matched_means_auto")
        ),
        sa.CheckConstraint(
            "carried = (line_no IS NULL)", name=op.f("ck_match_log__carried_has_no_line")
        ),
        sa.CheckConstraint(
            "score BETWEEN 0 AND 1", name=op.f("ck_match_log__score_is_a_probability")
        ),
        sa.PrimaryKeyConstraint("log_id", name=op.f("pk_match_log")),
        sa.UniqueConstraint("run_id", "record_id", name=op.f("uq_match_log__run_id_record_id")),
        schema="recon",
        comment="append-only: every decision of every run, with its reason and evidence",
    )
    op.create_index(
        "ix_match_log__not_matched",
        "match_log",
        ["run_id", "log_id"],
        unique=False,
        schema="recon",
        postgresql_where=sa.text("NOT matched"),
    )
    op.create_index(
        "ix_match_log__run_id", "match_log", ["run_id", "log_id"], unique=False, schema="recon"
    )
    op.create_table(
        "active_matches",
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("population", sa.Text(), nullable=False),
        sa.Column("internal_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_active_matches")),
        sa.UniqueConstraint(
            "population", "internal_id", name=op.f("uq_active_matches__population_internal_id")
        ),
        schema="recon",
        comment="projection: the matches in force; a record and a ledger item are in one at most",
    )
    op.create_index(
        "ix_active_matches__run_id", "active_matches", ["run_id"], unique=False, schema="recon"
    )


def _create_outcome() -> None:
    op.create_table(
        "breaks",
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("scale", sa.SmallInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("counterparty", sa.Text(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(side = 'ledger') = (seq IS NOT NULL)", name=op.f("ck_breaks__ledger_has_a_seq")
        ),
        sa.CheckConstraint("side IN ('external', 'ledger')", name=op.f("ck_breaks__side_known")),
        sa.CheckConstraint(
            "state IN ('open', 'suggested', 'timing', 'outside', 'resolved', 'withdrawn')",
            name=op.f("ck_breaks__state_known"),
        ),
        sa.PrimaryKeyConstraint("side", "scope", "key", name=op.f("pk_breaks")),
        schema="recon",
        comment="projection: records (by source) and ledger items (by population) without a match",
    )
    op.create_index(
        "ix_breaks__live",
        "breaks",
        ["side", "scope", "key"],
        unique=False,
        schema="recon",
        postgresql_where=sa.text("state IN ('open', 'suggested', 'timing', 'outside')"),
    )
    op.create_table(
        "break_events",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_break_events")),
        schema="recon",
        comment="append-only: every state that a break ever had; the last one is in force",
    )
    op.create_index(
        "ix_break_events__key",
        "break_events",
        ["side", "scope", "key", "event_id"],
        unique=False,
        schema="recon",
    )
    op.create_table(
        "summaries",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_summaries")),
        schema="recon",
        comment="append-only: what a finished run counted, with its proven equations",
    )

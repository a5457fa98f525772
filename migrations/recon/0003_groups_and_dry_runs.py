"""Matches of more than two, netted lines, and runs that put nothing in force.

The members of a match that is not one-to-one are listed in match_members, as they were when the
run decided. In active_matches they stand side by side, with nulls where one side has fewer, so
that a record and a ledger item are still in one match at most.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _allow_dry_runs()
    _allow_netted_lines()
    _allow_groups_in_the_log()
    _create_match_members()
    _allow_groups_in_force()


def downgrade() -> None:
    raise RuntimeError("the log is append-only: restore a backup instead of downgrading")


def _allow_dry_runs() -> None:
    op.add_column(
        "runs",
        sa.Column("dry_run", sa.Boolean(), server_default="false", nullable=False),
        schema="recon",
    )
    op.add_column("runs", sa.Column("policy", postgresql.JSONB(), nullable=True), schema="recon")
    op.drop_constraint(op.f("uq_runs__source_business_date_attempt"), "runs", schema="recon")
    op.create_unique_constraint(
        op.f("uq_runs__source_business_date_dry_run_attempt"),
        "runs",
        ["source", "business_date", "dry_run", "attempt"],
        schema="recon",
    )
    checks = {
        "policy_is_tried_out_in_a_dry_run": "policy IS NULL OR dry_run",
        "nights_are_real": "NOT (dry_run AND trigger = 'nightly')",
        "dry_run_supersedes_nothing": (
            "NOT dry_run OR num_nonnulls(supersedes, superseded_by) = 0"
        ),
    }
    for name, condition in checks.items():
        op.create_check_constraint(op.f(f"ck_runs__{name}"), "runs", condition, schema="recon")
    op.drop_index("uq_runs__current", "runs", schema="recon")
    op.create_index(
        "uq_runs__current",
        "runs",
        ["source", "business_date"],
        unique=True,
        schema="recon",
        postgresql_where=sa.text("status = 'finished' AND superseded_by IS NULL AND NOT dry_run"),
    )


def _allow_netted_lines() -> None:
    _change_check(
        "run_records",
        "disposition_known",
        "disposition IN ('rejected', 'auto', 'suggested', 'unmatched', 'netted',"
        " 'already_reconciled')",
    )


def _allow_groups_in_the_log() -> None:
    op.add_column("match_log", sa.Column("match_id", sa.Text(), nullable=True), schema="recon")
    _change_check(
        "match_log",
        "match_type_known",
        "match_type IN ('exact', 'fuzzy', 'group', 'netted', 'none')",
    )
    _change_check(
        "match_log", "decision_known", "decision IN ('auto', 'suggested', 'unmatched', 'netted')"
    )
    _change_check(
        "match_log",
        "counterpart_is_named",
        "(decision IN ('unmatched', 'netted')) = (internal_id IS NULL)",
    )
    checks = {
        "netted_is_a_decision": "(decision = 'netted') = (match_type = 'netted')",
        "members_are_listed": "(match_type IN ('group', 'netted')) = (match_id IS NOT NULL)",
    }
    for name, condition in checks.items():
        op.create_check_constraint(
            op.f(f"ck_match_log__{name}"), "match_log", condition, schema="recon"
        )


def _create_match_members() -> None:
    op.create_table(
        "match_members",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("match_id", sa.Text(), nullable=False),
        sa.Column("match_type", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
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
            "match_type IN ('group', 'netted')", name=op.f("ck_match_members__match_type_known")
        ),
        sa.CheckConstraint(
            "decision IN ('auto', 'suggested', 'netted')",
            name=op.f("ck_match_members__decision_known"),
        ),
        sa.CheckConstraint(
            "(decision = 'netted') = (match_type = 'netted')",
            name=op.f("ck_match_members__netted_is_a_decision"),
        ),
        sa.CheckConstraint(
            "side IN ('external', 'ledger')", name=op.f("ck_match_members__side_known")
        ),
        sa.CheckConstraint(
            "(side = 'ledger') = (seq IS NOT NULL)",
            name=op.f("ck_match_members__ledger_has_a_seq"),
        ),
        sa.PrimaryKeyConstraint("run_id", "side", "key", name=op.f("pk_match_members")),
        schema="recon",
        comment="append-only: who is in each match of a run that is not one-to-one",
    )
    op.create_index(
        "ix_match_members__match_id",
        "match_members",
        ["run_id", "match_id"],
        unique=False,
        schema="recon",
    )
    op.execute(
        """
        CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON recon.match_members
            FOR EACH ROW EXECUTE FUNCTION recon.refuse_change()
        """
    )
    op.execute(
        """
        CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON recon.match_members
            FOR EACH STATEMENT EXECUTE FUNCTION recon.refuse_change()
        """
    )
    for trigger in ("refuse_change", "refuse_truncate"):
        op.execute(f"ALTER TABLE recon.match_members ENABLE ALWAYS TRIGGER {trigger}")
    op.execute("GRANT SELECT, INSERT ON recon.match_members TO recon_app")


def _allow_groups_in_force() -> None:
    op.add_column("active_matches", sa.Column("match_id", sa.Text(), nullable=True), schema="recon")
    op.drop_constraint(op.f("pk_active_matches"), "active_matches", schema="recon")
    for column in ("record_id", "internal_id"):
        op.alter_column("active_matches", column, nullable=True, schema="recon")
    op.create_unique_constraint(
        op.f("uq_active_matches__record_id"), "active_matches", ["record_id"], schema="recon"
    )
    checks = {
        "holds_something": "num_nonnulls(record_id, internal_id) >= 1",
        "is_a_pair": "match_id IS NOT NULL OR num_nonnulls(record_id, internal_id) = 2",
    }
    for name, condition in checks.items():
        op.create_check_constraint(
            op.f(f"ck_active_matches__{name}"), "active_matches", condition, schema="recon"
        )
    op.drop_index("ix_active_matches__run_id", "active_matches", schema="recon")
    op.create_index(
        "ix_active_matches__run_id",
        "active_matches",
        ["run_id", "match_id"],
        unique=False,
        schema="recon",
    )


def _change_check(table: str, name: str, condition: str) -> None:
    constraint = op.f(f"ck_{table}__{name}")
    op.drop_constraint(constraint, table, schema="recon")
    op.create_check_constraint(constraint, table, condition, schema="recon")

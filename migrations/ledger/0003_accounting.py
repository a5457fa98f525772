"""Account control, holds, transactions of many legs, reversals and periods.

Accounts get what can be changed about them and a normal side; balances get what holds keep. Holds,
reversals and periods are projections of entries of new kinds.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KINDS = (
    "'account_opened', 'account_changed', 'transfer', 'transaction', 'exchange', "
    "'reversal', 'hold_placed', 'hold_increased', 'hold_captured', 'hold_released', "
    "'hold_voided', 'hold_expired', 'period_opened', 'period_closed', 'period_reopened'"
)
MOVING_KINDS = "'transfer', 'transaction', 'exchange', 'reversal', 'hold_captured'"


def upgrade() -> None:
    _let_accounts_change()
    _let_balances_be_held()
    _know_more_kinds()
    _create_holds()
    _create_reversals()
    _create_periods()
    _refuse_changes_of_reversals()
    _grant()


def downgrade() -> None:
    raise RuntimeError("the books are append-only: restore a backup instead of downgrading")


def _let_accounts_change() -> None:
    for name, kind, default in (
        ("normal_side", sa.Text(), "credit"),
        ("ceiling_minor", sa.BigInteger(), None),
        ("limits_on", sa.Text(), "available"),
        ("frozen", sa.Text(), "none"),
        ("code", sa.Text(collation="C"), None),
    ):
        column = sa.Column(name, kind, nullable=default is None, server_default=default)
        op.add_column("accounts", column, schema="ledger")
    for check in ("type_known", "status_known", "floor_not_positive"):
        op.drop_constraint(op.f(f"ck_accounts__{check}"), "accounts", schema="ledger")
    for check, condition in (
        ("status_known", "status IN ('open', 'closed')"),
        ("normal_side_known", "normal_side IN ('debit', 'credit')"),
        ("limits_on_known", "limits_on IN ('available', 'posted')"),
        ("frozen_known", "frozen IN ('none', 'debits', 'credits', 'all')"),
        ("floor_below_ceiling", "floor_minor <= ceiling_minor"),
    ):
        name = op.f(f"ck_accounts__{check}")
        op.create_check_constraint(name, "accounts", sa.text(condition), schema="ledger")
    op.create_index(
        "uq_accounts__ledger_id_code",
        "accounts",
        ["ledger_id", "code"],
        unique=True,
        schema="ledger",
        postgresql_where=sa.text("code IS NOT NULL"),
    )


def _let_balances_be_held() -> None:
    for name in ("held_debits_minor", "held_credits_minor"):
        column = sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        op.add_column("balances", column, schema="ledger")
    op.create_check_constraint(
        op.f("ck_balances__held_not_negative"),
        "balances",
        sa.text("held_debits_minor >= 0 AND held_credits_minor >= 0"),
        schema="ledger",
    )


def _know_more_kinds() -> None:
    op.drop_constraint(op.f("ck_journal__kind_known"), "journal", schema="ledger")
    op.create_check_constraint(
        op.f("ck_journal__kind_known"), "journal", sa.text(f"kind IN ({KINDS})"), schema="ledger"
    )
    op.drop_index("ix_journal__effective", "journal", schema="ledger")
    op.create_index(
        "ix_journal__effective",
        "journal",
        ["ledger_id", "effective_at", "seq"],
        schema="ledger",
        postgresql_where=sa.text(f"kind IN ({MOVING_KINDS})"),
    )
    for name, path, condition in (
        ("account_changes", "{facts,account_id}", "kind = 'account_changed'"),
        ("holds", "{hold,hold_id}", r"kind LIKE 'hold\_%'"),
    ):
        op.create_index(
            f"ix_journal__{name}",
            "journal",
            ["ledger_id", sa.text(f"(payload #>> '{path}')"), "seq"],
            schema="ledger",
            postgresql_where=sa.text(condition),
        )
    op.create_index(
        "ix_journal__backdated",
        "journal",
        ["ledger_id", "seq"],
        schema="ledger",
        postgresql_where=sa.text("effective_at < recorded_at"),
    )


def _create_holds() -> None:
    op.create_table(
        "holds",
        sa.Column("ledger_id", sa.Integer(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=False),
        sa.Column("source_account_id", sa.Uuid(), nullable=False),
        sa.Column("destination_account_id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("scale", sa.SmallInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("captured_minor", sa.BigInteger(), nullable=False),
        sa.Column("released_minor", sa.BigInteger(), nullable=False),
        sa.Column("over_capture_minor", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "amount_minor > 0 AND captured_minor >= 0 AND released_minor >= 0 "
            "AND over_capture_minor >= 0",
            name=op.f("ck_holds__amounts_not_negative"),
        ),
        sa.CheckConstraint(
            "status IN ('open', 'captured', 'voided', 'expired')",
            name=op.f("ck_holds__status_known"),
        ),
        sa.PrimaryKeyConstraint("ledger_id", "hold_id", name=op.f("pk_holds")),
        schema="ledger",
        comment="projection: holds as their entries left them",
    )
    for name, filters in (
        ("source", ["source_account_id", "status"]),
        ("destination", ["destination_account_id", "status"]),
        ("status", ["status"]),
    ):
        columns = ["ledger_id", *filters, "hold_id"]
        op.create_index(f"ix_holds__{name}", "holds", columns, schema="ledger")
    op.create_index(
        "ix_holds__due",
        "holds",
        ["ledger_id", "expires_at"],
        schema="ledger",
        postgresql_where=sa.text("status = 'open' AND expires_at IS NOT NULL"),
    )


def _create_reversals() -> None:
    op.create_table(
        "reversals",
        sa.Column("ledger_id", sa.Integer(), nullable=False),
        sa.Column("transaction_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("reversal_id", sa.Uuid(), nullable=False),
        sa.Column("amounts_minor", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.PrimaryKeyConstraint("ledger_id", "transaction_id", "seq", name=op.f("pk_reversals")),
        schema="ledger",
        comment="append-only: which entries reverse a transaction, "
        "and how much of each of its lines",
    )


def _create_periods() -> None:
    op.create_table(
        "periods",
        sa.Column("ledger_id", sa.Integer(), nullable=False),
        sa.Column("period_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("late", sa.Text(), nullable=False),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_periods__starts_before_it_ends")),
        sa.CheckConstraint(
            "status IN ('open', 'soft', 'hard')", name=op.f("ck_periods__status_known")
        ),
        sa.CheckConstraint(
            "late IN ('refuse', 'next_open_day')", name=op.f("ck_periods__late_known")
        ),
        sa.PrimaryKeyConstraint("ledger_id", "period_id", name=op.f("pk_periods")),
        schema="ledger",
        comment="projection: stretches of effective time, and whether they are closed",
    )


def _refuse_changes_of_reversals() -> None:
    op.execute(
        """
        CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON ledger.reversals
            FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()
        """
    )
    op.execute(
        """
        CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON ledger.reversals
            FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()
        """
    )
    for trigger in ("refuse_change", "refuse_truncate"):
        op.execute(f"ALTER TABLE ledger.reversals ENABLE ALWAYS TRIGGER {trigger}")


def _grant() -> None:
    op.execute("GRANT INSERT (ledger_id, name) ON ledger.ledgers TO ledger_app")
    op.execute("GRANT SELECT, INSERT ON ledger.reversals TO ledger_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON ledger.holds, ledger.periods TO ledger_app")
    op.execute(
        "GRANT UPDATE (held_debits_minor, held_credits_minor) ON ledger.balances TO ledger_app"
    )
    op.execute(
        "GRANT UPDATE (floor_minor, ceiling_minor, limits_on, frozen, status, code, metadata, "
        "version) ON ledger.accounts TO ledger_app"
    )

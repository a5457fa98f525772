"""Webhooks: who is told of entries as they are committed, and what came of each attempt.

Neither is part of the books. A webhook is deleted with its secret; the log of attempts stays until
the owner of the schema clears it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_webhooks()
    _create_deliveries()
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.webhooks TO ledger_app")
    op.execute("GRANT SELECT, INSERT ON ledger.webhook_deliveries TO ledger_app")


def downgrade() -> None:
    raise RuntimeError("the books are append-only: restore a backup instead of downgrading")


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("ledger_id", sa.Integer(), nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("kinds", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("next_seq", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_id", sa.Uuid(), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('active', 'failing', 'paused')", name=op.f("ck_webhooks__status_known")
        ),
        sa.CheckConstraint("next_seq > 0", name=op.f("ck_webhooks__next_seq_positive")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_webhooks__attempts_not_negative")),
        sa.CheckConstraint(
            "(lease_id IS NULL) = (leased_until IS NULL)", name=op.f("ck_webhooks__lease_ends")
        ),
        sa.PrimaryKeyConstraint("ledger_id", "webhook_id", name=op.f("pk_webhooks")),
        schema="ledger",
        comment="configuration: who is told of entries, and which entry comes next",
        postgresql_with={"fillfactor": 50},
    )


def _create_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("delivery_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("ledger_id", sa.Integer(), nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status_code", sa.SmallInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.CheckConstraint("attempt > 0", name=op.f("ck_webhook_deliveries__attempt_positive")),
        sa.CheckConstraint(
            "num_nonnulls(status_code, error) = 1",
            name=op.f("ck_webhook_deliveries__one_outcome"),
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_webhook_deliveries")),
        schema="ledger",
        comment="log of attempts: what came of each; seq is null for a test",
    )
    op.create_index(
        "ix_webhook_deliveries__webhook",
        "webhook_deliveries",
        ["ledger_id", "webhook_id", "delivery_id"],
        schema="ledger",
    )

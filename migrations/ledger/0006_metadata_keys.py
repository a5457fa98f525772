"""Keys of metadata that have an index, by which lists can be filtered.

The indexes themselves are made by `python -m migrations index-metadata`, while the service runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "indexed_metadata",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "subject IN ('accounts', 'transactions')",
            name=op.f("ck_indexed_metadata__subject_known"),
        ),
        sa.PrimaryKeyConstraint("subject", "key", name=op.f("pk_indexed_metadata")),
        schema="ledger",
        comment="keys of metadata that have an index: lists can be filtered by these",
    )
    op.execute("GRANT SELECT ON ledger.indexed_metadata TO ledger_app")


def downgrade() -> None:
    raise RuntimeError("the books are append-only: restore a backup instead of downgrading")

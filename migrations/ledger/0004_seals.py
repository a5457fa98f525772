"""Seals: Merkle roots over the entries and the idempotency keys, their leaves and their blocks.

A BRIN index finds the keys of a stretch of time; a write pays nothing for it but once in 128 pages.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("seals", "seal_leaves", "seal_blocks")


def upgrade() -> None:
    op.create_index(
        "ix_idempotency__recorded_at",
        "idempotency",
        ["recorded_at"],
        schema="ledger",
        postgresql_using="brin",
        postgresql_with={"autosummarize": True},
    )
    _create_seals()
    _create_seal_leaves()
    _create_seal_blocks()
    for table in TABLES:
        _refuse_changes(table)
        op.execute(f"GRANT SELECT, INSERT ON ledger.{table} TO ledger_app")


def downgrade() -> None:
    raise RuntimeError("the books are append-only: restore a backup instead of downgrading")


def _create_seals() -> None:
    op.create_table(
        "seals",
        sa.Column("ledger_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("entries_size", sa.BigInteger(), nullable=False),
        sa.Column("entries_root", sa.LargeBinary(), nullable=False),
        sa.Column("entries_frontier", sa.LargeBinary(), nullable=False),
        sa.Column("keys_size", sa.BigInteger(), nullable=False),
        sa.Column("keys_root", sa.LargeBinary(), nullable=False),
        sa.Column("keys_frontier", sa.LargeBinary(), nullable=False),
        sa.Column("keys_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "number > 0 AND entries_size > 0 AND keys_size >= 0",
            name=op.f("ck_seals__sizes_in_range"),
        ),
        sa.CheckConstraint(
            "octet_length(entries_root) = 32 AND octet_length(keys_root) = 32",
            name=op.f("ck_seals__roots_are_sha256"),
        ),
        sa.PrimaryKeyConstraint("ledger_id", "number", name=op.f("pk_seals")),
        schema="ledger",
        comment="append-only: roots of the two Merkle trees, over the entries up to entries_size "
        "and the keys of before keys_before",
    )


def _create_seal_leaves() -> None:
    op.create_table(
        "seal_leaves",
        sa.Column("ledger_id", sa.Integer(), nullable=False),
        sa.Column("tree", sa.Text(), nullable=False),
        sa.Column("first_index", sa.BigInteger(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("tree IN ('entries', 'keys')", name=op.f("ck_seal_leaves__tree_known")),
        sa.CheckConstraint(
            "octet_length(hashes) > 0 AND octet_length(hashes) % 32 = 0",
            name=op.f("ck_seal_leaves__hashes_are_whole"),
        ),
        sa.PrimaryKeyConstraint("ledger_id", "tree", "first_index", name=op.f("pk_seal_leaves")),
        schema="ledger",
        comment="append-only: hashes of leaves one behind the other, from the leaf first_index on",
    )
    # Hashes cannot be compressed, and a proof reads a slice of them.
    op.execute("ALTER TABLE ledger.seal_leaves ALTER COLUMN hashes SET STORAGE EXTERNAL")


def _create_seal_blocks() -> None:
    op.create_table(
        "seal_blocks",
        sa.Column("ledger_id", sa.Integer(), nullable=False),
        sa.Column("tree", sa.Text(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("tree IN ('entries', 'keys')", name=op.f("ck_seal_blocks__tree_known")),
        sa.CheckConstraint("octet_length(root) = 32", name=op.f("ck_seal_blocks__root_is_sha256")),
        sa.PrimaryKeyConstraint(
            "ledger_id", "tree", "level", "position", name=op.f("pk_seal_blocks")
        ),
        schema="ledger",
        comment="append-only: roots of complete subtrees of 256^level leaves, for proofs of few "
        "rows",
    )


def _refuse_changes(table: str) -> None:
    op.execute(
        f"""
        CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON ledger.{table}
            FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()
        """
    )
    op.execute(
        f"""
        CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON ledger.{table}
            FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()
        """
    )
    for trigger in ("refuse_change", "refuse_truncate"):
        op.execute(f"ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER {trigger}")

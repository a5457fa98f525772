"""Keep outcomes, not answers, under idempotency keys; shorter hashes; payloads byte for byte.

The answer to an accepted command is made again from its entry, to which `seq` leads; a refusal is
kept with its numbers. Half of a SHA-256 tells keys apart and halves the index. A payload as `json`
keeps the very text that was written, which a repeated answer needs; what was written before keeps
the form that `jsonb` has given it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLE = "ledger.idempotency"

# From the problem document that was answered to what is kept of a refusal, in the same order.
_REFUSAL_OF = """
CREATE FUNCTION ledger.refusal_of(answer json) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT json_build_object(
        'code', answer -> 'code',
        'detail', answer -> 'detail',
        'numbers', coalesce(
            (
                SELECT json_object_agg(key, value) FROM json_each(answer)
                WHERE key NOT IN ('code', 'detail', 'type', 'title', 'status', 'instance')
            ),
            '{}'
        ),
        'place', NULL
    )::text
$$
"""


def upgrade() -> None:
    for check in ("key_hash_is_sha256", "fingerprint_is_sha256"):
        op.drop_constraint(f"ck_idempotency__{check}", "idempotency", schema="ledger")
    op.execute(_REFUSAL_OF)
    op.execute(
        f"ALTER TABLE {TABLE} "
        "ALTER COLUMN key_hash TYPE bytea USING substring(key_hash FOR 16), "
        "ALTER COLUMN fingerprint TYPE bytea USING substring(fingerprint FOR 16), "
        "ALTER COLUMN answer DROP NOT NULL, "
        "ALTER COLUMN answer TYPE text "
        "USING CASE WHEN seq IS NULL THEN "
        r"ledger.refusal_of(replace(answer, '\u0000', '\ufffd')::json) END, "
        "DROP COLUMN status"
    )
    op.execute("DROP FUNCTION ledger.refusal_of(json)")
    op.alter_column("idempotency", "answer", new_column_name="refusal", schema="ledger")
    for column in ("key_hash", "fingerprint"):
        op.create_check_constraint(
            op.f(f"ck_idempotency__{column}_length"),
            "idempotency",
            sa.text(f"octet_length({column}) = 16"),
            schema="ledger",
        )
    op.create_check_constraint(
        op.f("ck_idempotency__one_outcome"),
        "idempotency",
        sa.text("seq IS NULL OR refusal IS NULL"),
        schema="ledger",
    )
    op.execute("ALTER TABLE ledger.journal ALTER COLUMN payload TYPE json USING payload::json")
    op.execute(
        f"COMMENT ON TABLE {TABLE} IS 'append-only: the first outcome under each Idempotency-Key, "
        "kept for ever: an entry, a refusal, or neither where the key stands for a batch'"
    )


def downgrade() -> None:
    raise RuntimeError("the books are append-only: restore a backup instead of downgrading")

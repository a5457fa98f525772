"""Create the books: head, accounts, journal, events, balances and idempotency keys.

The log (journal, events, idempotency) is append-only twice over: the service's role holds no
right to change it, and triggers that always fire refuse everyone else, the owner included.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("journal", "events", "idempotency")


def upgrade() -> None:
    _create_head()
    _create_accounts()
    _create_log()
    _create_balances()
    _refuse_changes_of_the_log()
    _grant()
    op.execute("INSERT INTO ledger.ledgers (ledger_id, name) VALUES (1, 'main')")


def downgrade() -> None:
    raise RuntimeError("the books are append-only: restore a backup instead of downgrading")


def _create_head() -> None:
    op.create_table(
        "ledgers",
        sa.Column("ledger_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_entry_id", sa.Uuid(), nullable=True),
        sa.Column("last_recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("last_seq >= 0", name=op.f("ck_ledgers__last_seq_not_negative")),
        sa.PrimaryKeyConstraint("ledger_id", name=op.f("pk_ledgers")),
        sa.UniqueConstraint("name", name=op.f("uq_ledgers__name")),
        schema="ledger",
        comment="head row of each ledger: whoever writes takes it first, so seq has no gaps",
        postgresql_with={"fillfactor": 10},
    )


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("ledger_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("opened_seq", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("scale", sa.SmallInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("floor_minor", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("metadata", postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("scale BETWEEN 0 AND 18", name=op.f("ck_accounts__scale_in_range")),
        sa.CheckConstraint("type IN ('internal', 'user')", name=op.f("ck_accounts__type_known")),
        sa.CheckConstraint("status IN ('open')", name=op.f("ck_accounts__status_known")),
        sa.CheckConstraint("floor_minor <= 0", name=op.f("ck_accounts__floor_not_positive")),
        sa.PrimaryKeyConstraint("ledger_id", "account_id", name=op.f("pk_accounts")),
        schema="ledger",
        comment="projection: accounts as their entries made them; version counts changes",
    )
    op.create_index(
        "uq_accounts__ledger_id_opened_seq",
        "accounts",
        ["ledger_id", "opened_seq"],
        unique=True,
        schema="ledger",
    )


def _create_log() -> None:
    op.create_table(
        "journal",
        sa.Column("ledger_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.CheckConstraint("seq > 0", name=op.f("ck_journal__seq_positive")),
        sa.CheckConstraint(
            "kind IN ('account_opened', 'transfer')", name=op.f("ck_journal__kind_known")
        ),
        sa.CheckConstraint(
            "effective_at <= recorded_at", name=op.f("ck_journal__effective_not_in_future")
        ),
        sa.CheckConstraint(
            "isfinite(effective_at)", name=op.f("ck_journal__effective_is_an_instant")
        ),
        sa.PrimaryKeyConstraint("ledger_id", "seq", name=op.f("pk_journal")),
        schema="ledger",
        comment="append-only: accepted commands in commit order; entry_id is the transaction's id",
    )
    op.create_index(
        "uq_journal__ledger_id_entry_id",
        "journal",
        ["ledger_id", "entry_id"],
        unique=True,
        schema="ledger",
    )
    op.create_index(
        "ix_journal__effective",
        "journal",
        ["ledger_id", "effective_at", "seq"],
        schema="ledger",
        postgresql_where=sa.text("kind <> 'account_opened'"),
    )
    op.create_index(
        "ix_journal__reference",
        "journal",
        ["ledger_id", "reference", "seq"],
        schema="ledger",
        postgresql_where=sa.text("reference IS NOT NULL"),
    )
    op.create_table(
        "events",
        sa.Column("ledger_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.SmallInteger(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("transaction_id", sa.Uuid(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("balance_after_minor", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "direction IN ('debit', 'credit')", name=op.f("ck_events__direction_known")
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_events__amount_positive")),
        sa.CheckConstraint("position > 0", name=op.f("ck_events__position_positive")),
        sa.PrimaryKeyConstraint("ledger_id", "seq", "line", name=op.f("pk_events")),
        schema="ledger",
        comment="append-only: each debit and credit; position is gapless per account",
    )
    op.create_index(
        "ix_events__account",
        "events",
        ["ledger_id", "account_id", "seq", "line"],
        schema="ledger",
    )
    op.create_table(
        "idempotency",
        sa.Column("ledger_id", sa.Integer(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "octet_length(key_hash) = 32", name=op.f("ck_idempotency__key_hash_is_sha256")
        ),
        sa.CheckConstraint(
            "octet_length(fingerprint) = 32", name=op.f("ck_idempotency__fingerprint_is_sha256")
        ),
        sa.PrimaryKeyConstraint("ledger_id", "key_hash", name=op.f("pk_idempotency")),
        schema="ledger",
        comment="append-only: the first answer under each Idempotency-Key, kept for ever",
    )


def _create_balances() -> None:
    op.create_table(
        "balances",
        sa.Column("ledger_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("debits_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("credits_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "debits_minor >= 0 AND credits_minor >= 0",
            name=op.f("ck_balances__totals_not_negative"),
        ),
        sa.PrimaryKeyConstraint("ledger_id", "account_id", name=op.f("pk_balances")),
        schema="ledger",
        comment="projection: running totals; no secondary index, so every update is heap-only",
        postgresql_with={"fillfactor": 50},
    )


def _refuse_changes_of_the_log() -> None:
    op.execute(
        """
        CREATE FUNCTION ledger.refuse_change() RETURNS trigger
        LANGUAGE plpgsql SET search_path = '' AS $$
        BEGIN
            RAISE EXCEPTION '% of %.% is refused: the log is append-only',
                TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    for table in APPEND_ONLY:
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
        op.execute(f"ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER refuse_change")
        op.execute(f"ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER refuse_truncate")


def _grant() -> None:
    op.execute("GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO ledger_app")
    op.execute("GRANT INSERT ON ledger.journal, ledger.events, ledger.idempotency TO ledger_app")
    op.execute("GRANT INSERT ON ledger.accounts, ledger.balances TO ledger_app")
    op.execute(
        "GRANT UPDATE (debits_minor, credits_minor, position) ON ledger.balances TO ledger_app"
    )
    op.execute(
        "GRANT UPDATE (last_seq, last_entry_id, last_recorded_at, epoch) "
        "ON ledger.ledgers TO ledger_app"
    )

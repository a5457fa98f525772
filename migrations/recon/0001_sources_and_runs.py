"""Create sources, runs, leases and uploads, and the two sources that are shipped.

What a run decided and what it referred to is append-only twice over: the service's role holds no
right to change it, and triggers that always fire refuse everyone else, the owner included.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = (
    "source_versions",
    "uploads",
    "run_events",
    "idempotency",
)
COLUMNS = {
    "txn_id": "txn_id",
    "timestamp": "timestamp",
    "amount": "amount",
    "debit": None,
    "credit": None,
    "currency": "currency",
    "description": "description",
    "counterparty": None,
}
BANK_CSV: dict[str, Any] = {
    "kind": "csv",
    "columns": COLUMNS,
    "fixed_currency": None,
    "csv": {
        "delimiter": ",",
        "encoding": "auto",
        "fallback_encoding": None,
        "has_header": True,
        "find_header": False,
        "skip_lines": 0,
    },
    "decimal_style": "1,234.56",
    "sign": "as_is",
    "timestamp_formats": [],
    "time_zone": "UTC",
    "currencies": None,
    "ledger_account_id": None,
    "path": "bank_dump.csv",
    "url": None,
    "records_path": None,
    "next_path": "next",
    "nightly": True,
    "policy": {
        "amount_tolerance": {"absolute": "0.00", "percent": "0"},
        "window": {"before_days": 1, "after_days": 2},
        "auto_threshold": 0.8,
        "suggest_threshold": 0.5,
    },
}
# The bank's own address is not known here: it runs nightly once somebody has set its URL.
BANK_API = BANK_CSV | {
    "kind": "api",
    "path": None,
    "url": "http://127.0.0.1:8002/transactions?date={date}",
    "records_path": "transactions",
    "nightly": False,
}


def upgrade() -> None:
    _create_sources()
    _create_runs()
    _seed_sources()
    _refuse_changes()
    _grant()


def downgrade() -> None:
    raise RuntimeError("the log is append-only: restore a backup instead of downgrading")


def _seed_sources() -> None:
    for name, config in (("bank_csv", BANK_CSV), ("bank_api", BANK_API)):
        source = sa.bindparam("name", name, sa.Text())
        nightly = sa.bindparam("nightly", config["nightly"], sa.Boolean())
        definition = sa.bindparam("config", json.dumps(config), sa.Text())
        op.execute(
            sa.text(
                "INSERT INTO recon.sources (name, version, nightly_since)"
                " VALUES (:name, 1, CASE WHEN :nightly THEN now() END)"
            ).bindparams(source, nightly)
        )
        op.execute(
            sa.text(
                "INSERT INTO recon.source_versions (source, version, config, made_at)"
                " VALUES (:name, 1, CAST(:config AS jsonb), now())"
            ).bindparams(source, definition)
        )


def _refuse_changes() -> None:
    op.execute(
        """
        CREATE FUNCTION recon.refuse_change() RETURNS trigger
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
    op.execute("GRANT INSERT, UPDATE ON recon.sources, recon.runs, recon.leases TO recon_app")


def _create_sources() -> None:
    op.create_table(
        "sources",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("nightly_since", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "name ~ '^[a-z][a-z0-9_]{0,62}$'", name=op.f("ck_sources__name_is_a_word")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sources")),
        schema="recon",
        comment="which version of a source is in force, and since when it runs nightly",
    )
    op.create_table(
        "source_versions",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("config", postgresql.JSONB(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("version > 0", name=op.f("ck_source_versions__version_positive")),
        sa.PrimaryKeyConstraint("source", "version", name=op.f("pk_source_versions")),
        schema="recon",
        comment="append-only: every definition that a source ever had",
    )
    op.create_table(
        "uploads",
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "upload_id ~ '^[0-9a-f]{64}$'", name=op.f("ck_uploads__upload_id_is_sha256")
        ),
        sa.PrimaryKeyConstraint("upload_id", name=op.f("pk_uploads")),
        schema="recon",
        comment="append-only: files handed in over HTTP, named by the SHA-256 of their content",
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("source_version", sa.Integer(), nullable=False),
        sa.Column("population", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("input_kind", sa.Text(), nullable=False),
        sa.Column("input", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column("phase", sa.Text(), nullable=True),
        sa.Column("counts", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reserved_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("covered_first", sa.Date(), nullable=True),
        sa.Column("covered_last", sa.Date(), nullable=True),
        sa.Column("read_to_seq", sa.BigInteger(), nullable=True),
        sa.Column("supersedes", sa.Uuid(), nullable=True),
        sa.Column("superseded_by", sa.Uuid(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "input_kind IN ('inbox', 'path', 'upload', 'api')",
            name=op.f("ck_runs__input_kind_known"),
        ),
        sa.CheckConstraint(
            "status <> 'finished'"
            " OR num_nonnulls(covered_first, covered_last, read_to_seq, finished_at) = 4",
            name=op.f("ck_runs__finished_is_complete"),
        ),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'finished', 'failed')",
            name=op.f("ck_runs__status_known"),
        ),
        sa.CheckConstraint("trigger IN ('manual', 'nightly')", name=op.f("ck_runs__trigger_known")),
        sa.CheckConstraint("attempt > 0", name=op.f("ck_runs__attempt_positive")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
        sa.UniqueConstraint(
            "source", "business_date", "attempt", name=op.f("uq_runs__source_business_date_attempt")
        ),
        schema="recon",
        comment="each attempt to reconcile a source for a business date",
    )
    op.create_index(
        "ix_runs__business_date", "runs", ["business_date", "source"], unique=False, schema="recon"
    )
    op.create_index(
        "ix_runs__waiting",
        "runs",
        ["run_id"],
        unique=False,
        schema="recon",
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.create_index(
        "uq_runs__current",
        "runs",
        ["source", "business_date"],
        unique=True,
        schema="recon",
        postgresql_where=sa.text("status = 'finished' AND superseded_by IS NULL"),
    )
    op.create_index(
        "uq_runs__nightly",
        "runs",
        ["source", "business_date"],
        unique=True,
        schema="recon",
        postgresql_where=sa.text("trigger = 'nightly'"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
        schema="recon",
        comment="who may write for a source or a population; the token rises with every new holder",
    )
    op.create_table(
        "run_events",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.CheckConstraint(
            "kind IN ('queued', 'started', 'resumed', 'finished', 'failed', 'superseded', "
            "'released')",
            name=op.f("ck_run_events__kind_known"),
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_run_events")),
        schema="recon",
        comment="append-only: what happened to a run",
    )
    op.create_index(
        "ix_run_events__run_id", "run_events", ["run_id", "event_id"], unique=False, schema="recon"
    )
    op.create_table(
        "idempotency",
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "octet_length(fingerprint) = 32", name=op.f("ck_idempotency__fingerprint_is_sha256")
        ),
        sa.CheckConstraint(
            "octet_length(key_hash) = 32", name=op.f("ck_idempotency__key_hash_is_sha256")
        ),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_idempotency")),
        schema="recon",
        comment="append-only: the first answer under each Idempotency-Key, kept for ever",
    )

"""The tables of schema `ledger`; every key of a hot table begins with the ledger.

No foreign keys between hot tables: each insert would lock the parent's row. The fold guarantees
what they would, and `ledger verify` checks it.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

from shared.database import schema_metadata

SCHEMA = "ledger"
MAIN_LEDGER_ID = 1
MAIN_LEDGER_NAME = "main"
LEDGER_PATTERN = r"^[a-z][a-z0-9-]{0,62}$"
INDEXED_VALUE_CHARS = 200
"""So much of a value of metadata is in the index of its key."""
APPEND_ONLY = (
    "journal",
    "events",
    "idempotency",
    "reversals",
    "seals",
    "seal_leaves",
    "seal_blocks",
)
metadata = schema_metadata(SCHEMA)


def _instant(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


ledgers = Table(
    "ledgers",
    metadata,
    Column("ledger_id", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False, unique=True),
    Column("last_seq", BigInteger, nullable=False, server_default="0"),
    Column("last_entry_id", Uuid),
    _instant("last_recorded_at", nullable=True),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("last_seq >= 0", name="last_seq_not_negative"),
    comment="head row of each ledger: whoever writes takes it first, so seq has no gaps",
    postgresql_with={"fillfactor": 10},
)

accounts = Table(
    "accounts",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("account_id", Uuid, primary_key=True),
    Column("opened_seq", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("scale", SmallInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("normal_side", Text, nullable=False, server_default="credit"),
    Column("floor_minor", BigInteger),
    Column("ceiling_minor", BigInteger),
    Column("limits_on", Text, nullable=False, server_default="available"),
    Column("frozen", Text, nullable=False, server_default="none"),
    Column("status", Text, nullable=False, server_default="open"),
    Column("code", Text(collation="C")),
    Column("metadata", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False, server_default="1"),
    _instant("opened_at"),
    CheckConstraint("scale BETWEEN 0 AND 18", name="scale_in_range"),
    CheckConstraint("status IN ('open', 'closed')", name="status_known"),
    CheckConstraint("normal_side IN ('debit', 'credit')", name="normal_side_known"),
    CheckConstraint("limits_on IN ('available', 'posted')", name="limits_on_known"),
    CheckConstraint("frozen IN ('none', 'debits', 'credits', 'all')", name="frozen_known"),
    CheckConstraint("floor_minor <= ceiling_minor", name="floor_below_ceiling"),
    Index("uq_accounts__ledger_id_opened_seq", "ledger_id", "opened_seq", unique=True),
    Index(
        "uq_accounts__ledger_id_code",
        "ledger_id",
        "code",
        unique=True,
        postgresql_where=text("code IS NOT NULL"),
    ),
    comment="projection: accounts as their entries made them; version counts changes",
)

journal = Table(
    "journal",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("entry_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    _instant("effective_at"),
    _instant("recorded_at"),
    Column("reference", Text),
    Column("payload", JSON, nullable=False),
    CheckConstraint("seq > 0", name="seq_positive"),
    CheckConstraint(
        "kind IN ('account_opened', 'account_changed', 'transfer', 'transaction', 'exchange', "
        "'reversal', 'hold_placed', 'hold_increased', 'hold_captured', 'hold_released', "
        "'hold_voided', 'hold_expired', 'period_opened', 'period_closed', 'period_reopened')",
        name="kind_known",
    ),
    CheckConstraint("effective_at <= recorded_at", name="effective_not_in_future"),
    CheckConstraint("isfinite(effective_at)", name="effective_is_an_instant"),
    Index("uq_journal__ledger_id_entry_id", "ledger_id", "entry_id", unique=True),
    Index(
        "ix_journal__effective",
        "ledger_id",
        "effective_at",
        "seq",
        postgresql_where=text(
            "kind IN ('transfer', 'transaction', 'exchange', 'reversal', 'hold_captured')"
        ),
    ),
    Index(
        "ix_journal__reference",
        "ledger_id",
        "reference",
        "seq",
        postgresql_where=text("reference IS NOT NULL"),
    ),
    Index(
        "ix_journal__account_changes",
        "ledger_id",
        text("(payload #>> '{facts,account_id}')"),
        "seq",
        postgresql_where=text("kind = 'account_changed'"),
    ),
    Index(
        "ix_journal__holds",
        "ledger_id",
        text("(payload #>> '{hold,hold_id}')"),
        "seq",
        postgresql_where=text(r"kind LIKE 'hold\_%'"),
    ),
    Index(
        "ix_journal__backdated",
        "ledger_id",
        "seq",
        postgresql_where=text("effective_at < recorded_at"),
    ),
    comment="append-only: accepted commands in commit order; entry_id is the transaction's id",
)

events = Table(
    "events",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("line", SmallInteger, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("transaction_id", Uuid, nullable=False),
    Column("direction", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("balance_after_minor", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint("direction IN ('debit', 'credit')", name="direction_known"),
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint("position > 0", name="position_positive"),
    Index("ix_events__account", "ledger_id", "account_id", "seq", "line"),
    comment="append-only: each debit and credit; position is gapless per account",
)

balances = Table(
    "balances",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("account_id", Uuid, primary_key=True),
    Column("debits_minor", BigInteger, nullable=False, server_default="0"),
    Column("credits_minor", BigInteger, nullable=False, server_default="0"),
    Column("position", BigInteger, nullable=False, server_default="0"),
    Column("held_debits_minor", BigInteger, nullable=False, server_default="0"),
    Column("held_credits_minor", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("debits_minor >= 0 AND credits_minor >= 0", name="totals_not_negative"),
    CheckConstraint("held_debits_minor >= 0 AND held_credits_minor >= 0", name="held_not_negative"),
    comment="projection: running totals; no secondary index, so every update is heap-only",
    postgresql_with={"fillfactor": 50},
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("key_hash", LargeBinary, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("seq", BigInteger),
    Column("refusal", Text),
    _instant("recorded_at"),
    CheckConstraint("octet_length(key_hash) = 16", name="key_hash_length"),
    CheckConstraint("octet_length(fingerprint) = 16", name="fingerprint_length"),
    CheckConstraint("seq IS NULL OR refusal IS NULL", name="one_outcome"),
    Index(
        "ix_idempotency__recorded_at",
        "recorded_at",
        postgresql_using="brin",
        postgresql_with={"autosummarize": True},
    ),
    comment="append-only: the first outcome under each Idempotency-Key, kept for ever: an entry, "
    "a refusal, or neither where the key stands for a batch",
)

holds = Table(
    "holds",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("hold_id", Uuid, primary_key=True),
    Column("source_account_id", Uuid, nullable=False),
    Column("destination_account_id", Uuid, nullable=False),
    Column("currency", Text, nullable=False),
    Column("scale", SmallInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("captured_minor", BigInteger, nullable=False),
    Column("released_minor", BigInteger, nullable=False),
    Column("over_capture_minor", BigInteger, nullable=False),
    _instant("expires_at", nullable=True),
    Column("status", Text, nullable=False),
    CheckConstraint(
        "amount_minor > 0 AND captured_minor >= 0 AND released_minor >= 0 "
        "AND over_capture_minor >= 0",
        name="amounts_not_negative",
    ),
    CheckConstraint("status IN ('open', 'captured', 'voided', 'expired')", name="status_known"),
    Index("ix_holds__source", "ledger_id", "source_account_id", "status", "hold_id"),
    Index("ix_holds__destination", "ledger_id", "destination_account_id", "status", "hold_id"),
    Index("ix_holds__status", "ledger_id", "status", "hold_id"),
    Index(
        "ix_holds__due",
        "ledger_id",
        "expires_at",
        postgresql_where=text("status = 'open' AND expires_at IS NOT NULL"),
    ),
    comment="projection: holds as their entries left them",
)

reversals = Table(
    "reversals",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("transaction_id", Uuid, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("reversal_id", Uuid, nullable=False),
    Column("amounts_minor", ARRAY(BigInteger), nullable=False),
    comment="append-only: which entries reverse a transaction, and how much of each of its lines",
)

indexed_metadata = Table(
    "indexed_metadata",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    CheckConstraint("subject IN ('accounts', 'transactions')", name="subject_known"),
    comment="keys of metadata that have an index: lists can be filtered by these",
)

periods = Table(
    "periods",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("period_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    _instant("starts_at"),
    _instant("ends_at"),
    Column("status", Text, nullable=False),
    Column("late", Text, nullable=False),
    CheckConstraint("starts_at < ends_at", name="starts_before_it_ends"),
    CheckConstraint("status IN ('open', 'soft', 'hard')", name="status_known"),
    CheckConstraint("late IN ('refuse', 'next_open_day')", name="late_known"),
    comment="projection: stretches of effective time, and whether they are closed",
)

seals = Table(
    "seals",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("entries_size", BigInteger, nullable=False),
    Column("entries_root", LargeBinary, nullable=False),
    Column("entries_frontier", LargeBinary, nullable=False),
    Column("keys_size", BigInteger, nullable=False),
    Column("keys_root", LargeBinary, nullable=False),
    Column("keys_frontier", LargeBinary, nullable=False),
    _instant("keys_before"),
    _instant("sealed_at"),
    CheckConstraint("number > 0 AND entries_size > 0 AND keys_size >= 0", name="sizes_in_range"),
    CheckConstraint(
        "octet_length(entries_root) = 32 AND octet_length(keys_root) = 32", name="roots_are_sha256"
    ),
    comment="append-only: roots of the two Merkle trees, over the entries up to entries_size and "
    "the keys of before keys_before",
)

seal_leaves = Table(
    "seal_leaves",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("tree", Text, primary_key=True),
    Column("first_index", BigInteger, primary_key=True),
    Column("hashes", LargeBinary, nullable=False),
    CheckConstraint("tree IN ('entries', 'keys')", name="tree_known"),
    CheckConstraint(
        "octet_length(hashes) > 0 AND octet_length(hashes) % 32 = 0", name="hashes_are_whole"
    ),
    comment="append-only: hashes of leaves one behind the other, from the leaf first_index on",
)

seal_blocks = Table(
    "seal_blocks",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("tree", Text, primary_key=True),
    Column("level", SmallInteger, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("root", LargeBinary, nullable=False),
    CheckConstraint("tree IN ('entries', 'keys')", name="tree_known"),
    CheckConstraint("octet_length(root) = 32", name="root_is_sha256"),
    comment="append-only: roots of complete subtrees of 256^level leaves, for proofs of few rows",
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("ledger_id", Integer, primary_key=True),
    Column("webhook_id", Uuid, primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("kinds", ARRAY(Text)),
    Column("status", Text, nullable=False),
    Column("next_seq", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    _instant("next_attempt_at", nullable=True),
    Column("lease_id", Uuid),
    _instant("leased_until", nullable=True),
    _instant("created_at"),
    CheckConstraint("status IN ('active', 'failing', 'paused')", name="status_known"),
    CheckConstraint("next_seq > 0", name="next_seq_positive"),
    CheckConstraint("attempts >= 0", name="attempts_not_negative"),
    CheckConstraint("(lease_id IS NULL) = (leased_until IS NULL)", name="lease_ends"),
    comment="configuration: who is told of entries, and which entry comes next",
    postgresql_with={"fillfactor": 50},
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("delivery_id", BigInteger, Identity(always=True), primary_key=True),
    Column("ledger_id", Integer, nullable=False),
    Column("webhook_id", Uuid, nullable=False),
    Column("seq", BigInteger),
    Column("attempt", Integer, nullable=False),
    _instant("at"),
    Column("status_code", SmallInteger),
    Column("error", Text),
    Column("milliseconds", Integer, nullable=False),
    CheckConstraint("attempt > 0", name="attempt_positive"),
    CheckConstraint("num_nonnulls(status_code, error) = 1", name="one_outcome"),
    Index("ix_webhook_deliveries__webhook", "ledger_id", "webhook_id", "delivery_id"),
    comment="log of attempts: what came of each; seq is null for a test",
)

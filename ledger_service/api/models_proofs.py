"""What the ledger answers about seals and proofs; hashes are hexadecimal."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Hash = Annotated[
    str,
    Field(
        pattern="^[0-9a-f]{64}$",
        examples=["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ),
]


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SealOut(_Out):
    """Both Merkle trees of a ledger as they were at one time."""

    number: int = Field(examples=[1])
    entries_size: int = Field(description="entries covered: all up to this seq")
    entries_root: Hash
    keys_size: int = Field(description="idempotency keys covered")
    keys_root: Hash
    keys_before: datetime = Field(description="the keys recorded before this are covered")
    sealed_at: datetime


class SealPage(_Out):
    """A page of seals; `next` is the link to the following one, null on the last."""

    seals: list[SealOut]
    next_cursor: str | None
    next: str | None


class SealedEvent(_Out):
    """A debit or credit as sealed, in minor units."""

    line: int
    account_id: UUID
    transaction_id: UUID
    direction: str
    amount_minor: int
    balance_after_minor: int
    position: int


class SealedEntry(_Out):
    """An entry as sealed; `payload` is its JSON text byte for byte."""

    seq: int
    entry_id: UUID
    kind: str
    effective_at: datetime
    recorded_at: datetime
    reference: str | None
    payload: str
    events: list[SealedEvent]


class ProofOut(_Out):
    """That an entry is in the sealed history, for whoever has the root from elsewhere."""

    ledger: str = Field(examples=["main"])
    entry: SealedEntry
    canonical: str = Field(description="the entry in its canonical encoding, hexadecimal")
    leaf_hash: Hash = Field(description="SHA-256 of a zero byte and the canonical encoding")
    leaf_index: int = Field(description="counted from 0: one less than the entry's seq")
    tree_size: int
    path: list[Hash] = Field(description="RFC 9162, 2.1.3: from the leaf's level up")
    root: Hash
    seal: int = Field(description="number of the seal that has this root")


class TreeConsistency(_Out):
    """That a tree began as an earlier one: RFC 9162, 2.1.4."""

    from_size: int
    from_root: Hash
    size: int
    root: Hash
    path: list[Hash]


class ConsistencyOut(_Out):
    """That a seal only adds to what an earlier one covered."""

    ledger: str = Field(examples=["main"])
    from_seal: int
    seal: int
    entries: TreeConsistency
    keys: TreeConsistency

"""What callers ask for. Ids and known facts about currencies are filled in at the edge."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from ledger_service.domain.model import AccountType


class OpenAccount(NamedTuple):
    """Open an account; `scale` is None where the currency is not known.

    `overdraft_limit` is the decimal string by which the balance may go below zero; "0" for not at
    all, None for without a limit.
    """

    account_id: UUID
    currency: str
    scale: int | None
    type: AccountType
    overdraft_limit: str | None
    metadata: Mapping[str, Any]


class Transfer(NamedTuple):
    """Move `amount` from one account to another; `amount` is a decimal string as it was sent.

    `effective_at` None means the moment of recording.
    """

    transaction_id: UUID
    source_account_id: UUID
    destination_account_id: UUID
    amount: str
    currency: str
    currency_known: bool
    reference: str | None
    effective_at: datetime | None
    metadata: Mapping[str, Any]

    @property
    def account_ids(self) -> tuple[UUID, UUID]:
        return self.source_account_id, self.destination_account_id


Command = OpenAccount | Transfer


class Key(NamedTuple):
    """A client's Idempotency-Key, and the fingerprint of the request that it came with.

    Both are the first 16 bytes of a SHA-256: short keys keep the index small, and a collision in
    128 bits is not to be expected in the life of a ledger.
    """

    key_hash: bytes
    fingerprint: bytes


class Asked(NamedTuple):
    """A command with its key, if the caller gave one."""

    command: Command
    key: Key | None

"""What a committer remembers of a ledger between two of its batches."""

from collections.abc import Iterable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any
from uuid import UUID

from ledger_service.domain.batch import Decided, Declined, Kept, Posted
from ledger_service.domain.entries import Transferred
from ledger_service.domain.model import Account
from ledger_service.domain.payloads import metadata_text
from ledger_service.event_store import Head
from ledger_service.state_reader import Standing

ACCOUNTS_MAX = 200_000
KEYS_MAX = 10_000
BATCH_KEYS_MAX = 1_000
METADATA_CHARS_MAX = 1_000
"""What is not remembered is looked up, on the safe path, should it come again."""


class Memory:
    """Accounts as they are at `head`, and recent keys, which never change once they are kept.

    Only what is committed enters. Whoever finds the head elsewhere calls `reset`; whoever opens a
    new connection, behind which another server may stand, calls `forget`.
    """

    def __init__(self) -> None:
        self.head: Head | None = None
        self.accounts: dict[UUID, Account] = {}
        self.standing: Standing | None = None
        self.kept: dict[bytes, Kept] = {}

    def recall(
        self, account_ids: Iterable[UUID], newer: Mapping[UUID, Account] = MappingProxyType({})
    ) -> tuple[dict[UUID, Account], list[UUID]]:
        """Return those of the accounts that are remembered, and the ids of the others.

        `newer` holds accounts as they will be once a batch that is under way is committed.
        """
        known, found, missing = self.accounts, {}, []
        for account_id in account_ids:
            if (account := newer.get(account_id) or known.get(account_id)) is not None:
                found[account_id] = account
            else:
                missing.append(account_id)
        return found, missing

    def reset(self, head: Head) -> None:
        """Forget the accounts: the history ends at `head` now, and others have written."""
        self.head = head
        self.accounts.clear()
        self.standing = None

    def forget(self) -> None:
        """Forget all that rests on the present connection."""
        self.head = None
        self.accounts.clear()
        self.standing = None
        self.kept.clear()

    def remember(self, head: Head, decided: Decided) -> None:
        """Take over a batch that is committed and ends at `head`."""
        self.head = head
        self.accounts.update(decided.changed)
        if not decided.is_plain and self.standing is not None:
            self.standing = self.standing.after(decided)
        _drop_oldest(self.accounts, ACCOUNTS_MAX)
        self.remember_keys(decided.kept)

    def remember_keys(self, kept: Mapping[bytes, Kept]) -> None:
        """Take over outcomes that are committed; of many, or large ones, only keys of groups."""
        is_many = len(kept) > BATCH_KEYS_MAX
        for key_hash, one in kept.items():
            if one.outcome is None or not (is_many or _is_large(one.outcome)):
                self.kept[key_hash] = one
        _drop_oldest(self.kept, KEYS_MAX)


def _is_large(outcome: Posted | Declined) -> bool:
    if isinstance(outcome, Declined):
        return False
    body = outcome.entry.body
    if not isinstance(body, Transferred):
        return True  # seldom made, and seldom asked for again
    return bool(body.metadata) and len(metadata_text(body.metadata)) > METADATA_CHARS_MAX


def _drop_oldest(remembered: dict[Any, Any], length_max: int) -> None:
    """Drop a tenth beyond what is wanted, so that this is seldom done."""
    if len(remembered) > length_max:
        surplus = len(remembered) - length_max + length_max // 10
        for key in list(islice(remembered, surplus)):
            del remembered[key]

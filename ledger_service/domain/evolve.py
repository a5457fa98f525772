"""The only fold: what an entry of the journal does to the books.

The processor, the rebuild, the verifier and point-in-time reads all use it.
"""

from collections.abc import Iterable
from uuid import UUID

from ledger_service.domain.model import (
    Account,
    AccountType,
    Changes,
    Direction,
    Entry,
    EntryKind,
    Event,
    Leg,
    State,
)


def evolve(state: State, entry: Entry) -> Changes:
    """Return what `entry` changes; `state` must hold every account that the entry names."""
    if entry.kind is EntryKind.ACCOUNT_OPENED:
        return Changes(accounts=(_opened(entry),))
    return _post(state, entry)


def advance(state: State, entry: Entry) -> Changes:
    """Fold `entry` into `state` in place and return what it changed."""
    changes = evolve(state, entry)
    state.accounts.update((account.account_id, account) for account in changes.accounts)
    state.last_seq = entry.seq
    return changes


def replay(entries: Iterable[Entry]) -> State:
    """Return the books after `entries`, which begin with the first and leave none out."""
    state = State(last_seq=0)
    for entry in entries:
        assert entry.seq == state.last_seq + 1, f"entry {entry.seq} follows {state.last_seq}"
        advance(state, entry)
    return state


def legs_of(entry: Entry) -> tuple[Leg, ...]:
    """Return the debits and credits of an entry, none where it moves no money."""
    if entry.kind is not EntryKind.TRANSFER:
        return ()
    amount_minor = entry.payload["amount_minor"]
    return (
        Leg(UUID(entry.payload["source_account_id"]), Direction.DEBIT, amount_minor),
        Leg(UUID(entry.payload["destination_account_id"]), Direction.CREDIT, amount_minor),
    )


def _opened(entry: Entry) -> Account:
    facts = entry.payload
    return Account(
        account_id=UUID(facts["account_id"]),
        currency=facts["currency"],
        scale=facts["scale"],
        type=AccountType(facts["type"]),
        floor_minor=facts["floor_minor"],
    )


def _post(state: State, entry: Entry) -> Changes:
    after: dict[UUID, Account] = {}
    events = []
    for line, leg in enumerate(legs_of(entry), 1):
        account = after.get(leg.account_id) or state.accounts[leg.account_id]
        account = after[leg.account_id] = account.after(leg)
        events.append(
            Event(
                seq=entry.seq,
                line=line,
                transaction_id=entry.entry_id,
                account_id=leg.account_id,
                direction=leg.direction,
                amount_minor=leg.amount_minor,
                balance_after_minor=account.balance_minor,
                position=account.position,
            )
        )
    return Changes(accounts=tuple(after.values()), events=tuple(events))

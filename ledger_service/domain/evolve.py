"""The only fold: what an entry of the journal does to the books.

The processor, the rebuild, the verifier and point-in-time reads all use it.
"""

from collections.abc import Iterable
from uuid import UUID

from ledger_service.domain.model import (
    Account,
    AccountOpened,
    Changes,
    Entry,
    Event,
    State,
    made,
)


def evolve(state: State, entry: Entry) -> Changes:
    """Return what `entry` changes; `state` must hold every account that the entry names."""
    if isinstance(entry.body, AccountOpened):
        return Changes(accounts=(_opened(entry.body),))
    return _post(state, entry)


def advance(state: State, entry: Entry) -> Changes:
    """Fold `entry` into `state` in place and return what it changed."""
    changes = evolve(state, entry)
    for account in changes.accounts:
        state.accounts[account.account_id] = account
    state.last_seq = entry.seq
    return changes


def replay(entries: Iterable[Entry]) -> State:
    """Return the books after `entries`, which begin with the first and leave none out."""
    state = State(last_seq=0)
    for entry in entries:
        assert entry.seq == state.last_seq + 1, f"entry {entry.seq} follows {state.last_seq}"
        advance(state, entry)
    return state


def _opened(facts: AccountOpened) -> Account:
    return Account(
        account_id=facts.account_id,
        currency=facts.currency,
        scale=facts.scale,
        type=facts.type,
        floor_minor=facts.floor_minor,
    )


def _post(state: State, entry: Entry) -> Changes:
    seq, transaction_id = entry[:2]
    after: dict[UUID, Account] = {}
    events = []
    for line, leg in enumerate(entry.body.legs, 1):
        account_id, direction, amount_minor = leg
        account = (after.get(account_id) or state.accounts[account_id]).after(leg)
        after[account_id] = account
        debits_minor, credits_minor, position = account[5:]
        balance_minor = credits_minor - debits_minor
        event = (
            seq,
            line,
            account_id,
            transaction_id,
            direction,
            amount_minor,
            balance_minor,
            position,
        )
        events.append(made(Event, event))
    return Changes(tuple(after.values()), tuple(events))

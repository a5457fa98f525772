"""The only fold: what an entry of the journal does to the books.

The processor, the rebuild, the verifier and point-in-time reads all use it.
"""

from collections.abc import Iterable
from uuid import UUID

from ledger_service.domain.entries import (
    AccountChanged,
    AccountOpened,
    Entry,
    Event,
    HoldMoved,
    PeriodChanged,
    Transacted,
    Transferred,
)
from ledger_service.domain.model import Account, Direction, Hold, made
from ledger_service.domain.state import Changes, State


def evolve(state: State, entry: Entry) -> Changes:
    """Return what `entry` changes; `state` must hold every account and hold that it names."""
    body = entry.body
    if isinstance(body, Transferred):
        return _transfer(state.accounts, entry, body)
    if isinstance(body, Transacted):
        return _post(state.accounts, entry)._replace(reversed=_reversed(state, body))
    if isinstance(body, HoldMoved):
        return _hold(state, entry, body)
    if isinstance(body, PeriodChanged):
        return Changes((), period=body.period)
    if isinstance(body, AccountChanged):
        account = state.accounts[body.facts.account_id]
        return Changes((account._replace(facts=body.facts),))
    return Changes((Account(body.facts),))


def advance(state: State, entry: Entry) -> Changes:
    """Fold `entry` into `state` in place and return what it changed."""
    changes = evolve(state, entry)
    accounts, _, hold, period, reversal = changes
    for account in accounts:
        state.accounts[account[0][0]] = account
    if hold is not None:
        state.holds[hold.hold_id] = hold
    if period is not None:
        state.periods[period.period_id] = period
    if reversal is not None:
        state.reversed[reversal[0]] = reversal[1]
    if isinstance(entry.body, AccountOpened | AccountChanged) and entry.body.facts.code is not None:
        state.codes[entry.body.facts.code] = entry.body.facts.account_id
    state.last_seq = entry.seq
    return changes


def replay(entries: Iterable[Entry]) -> State:
    """Return the books after `entries`, which begin with the first and leave none out."""
    state = State(last_seq=0)
    for entry in entries:
        assert entry.seq == state.last_seq + 1, f"entry {entry.seq} follows {state.last_seq}"
        advance(state, entry)
    return state


def _transfer(accounts: dict[UUID, Account], entry: Entry, body: Transferred) -> Changes:
    """Do what `_post` does with the two legs of a transfer, in half the time.

    Its accounts differ, or it would have been refused.
    """
    seq, transaction_id = entry[:2]
    source_id, destination_id, amount_minor = body[:3]
    facts, debits_minor, credits_minor, position, held_out, held_in = accounts[source_id]
    debits_minor += amount_minor
    position += 1
    source = (facts, debits_minor, credits_minor, position, held_out, held_in)
    left_minor = credits_minor - debits_minor
    debit = (seq, 1, source_id, transaction_id, Direction.DEBIT, amount_minor, left_minor, position)
    facts, debits_minor, credits_minor, position, held_out, held_in = accounts[destination_id]
    credits_minor += amount_minor
    position += 1
    destination = (facts, debits_minor, credits_minor, position, held_out, held_in)
    left_minor = credits_minor - debits_minor
    credit = (
        seq,
        2,
        destination_id,
        transaction_id,
        Direction.CREDIT,
        amount_minor,
        left_minor,
        position,
    )
    return Changes(
        (made(Account, source), made(Account, destination)),
        (made(Event, debit), made(Event, credit)),
    )


def _post(accounts: dict[UUID, Account], entry: Entry) -> Changes:
    seq, transaction_id = entry[:2]
    after: dict[UUID, Account] = {}
    events = []
    for line, leg in enumerate(entry.body.legs, 1):
        account_id, direction, amount_minor = leg
        account = (after.get(account_id) or accounts[account_id]).after(leg)
        after[account_id] = account
        _, debits_minor, credits_minor, position, _, _ = account
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


def _hold(state: State, entry: Entry, body: HoldMoved) -> Changes:
    """Move the held totals of both accounts by what the hold keeps now and did not before."""
    hold = body.hold
    before: Hold | None = state.holds.get(hold.hold_id)
    more_minor = hold.remaining_minor - (0 if before is None else before.remaining_minor)
    source = state.accounts[hold.source_account_id]
    destination = state.accounts[hold.destination_account_id]
    held = {
        source.account_id: source._replace(held_debits_minor=source.held_debits_minor + more_minor),
        destination.account_id: destination._replace(
            held_credits_minor=destination.held_credits_minor + more_minor
        ),
    }
    if not body.legs:
        return Changes(tuple(held.values()), hold=hold)
    return _post(held, entry)._replace(hold=hold)


def _reversed(state: State, body: Transacted) -> tuple[UUID, tuple[int, ...]] | None:
    """Return how much of each line of the original is reversed once this is posted."""
    if body.reverses is None:
        return None
    original_id, amounts_minor = body.reverses
    before = state.reversed.get(original_id, (0,) * len(amounts_minor))
    after = tuple(one + more for one, more in zip(before, amounts_minor, strict=True))
    return original_id, after

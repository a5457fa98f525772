"""However a transaction is reversed in parts, never more goes back than was posted."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import event, given
from hypothesis import strategies as st

from ledger_service.domain.commands import LineAsked, PartAsked, Reverse, Transact
from ledger_service.domain.decide import decide
from ledger_service.domain.entries import Entry, EntryKind, Transacted
from ledger_service.domain.evolve import advance
from ledger_service.domain.model import Account, AccountFacts, Direction
from ledger_service.domain.refusals import Refusal
from ledger_service.domain.state import Original, State

NOON = datetime(2025, 7, 13, 12, tzinfo=UTC)
ACCOUNTS = [UUID(int=number) for number in range(1, 5)]
ORIGINAL = UUID(int=100)
SHARES = st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=5)
PARTS = st.dictionaries(
    st.integers(min_value=1, max_value=6), st.integers(min_value=1, max_value=300), max_size=4
)


def _posted(shares: list[int]) -> State:
    """Books with one transaction: 4.00 in the proportion of `shares`."""
    state = State(0)
    for account_id in ACCOUNTS:
        state.accounts[account_id] = Account(AccountFacts(account_id, "USD", 2, "internal"))
    parts = [PartAsked(ACCOUNTS[0], Direction.DEBIT, "4.00")]
    for place, share in enumerate(shares):
        account_id = ACCOUNTS[1 + place % 3]
        parts.append(PartAsked(account_id, Direction.CREDIT, None, share))
    entry = decide(state, Transact(ORIGINAL, tuple(parts), None, None, {}), NOON)
    assert isinstance(entry, Entry), entry
    assert isinstance(entry.body, Transacted)
    advance(state, entry)
    state.originals[ORIGINAL] = Original(ORIGINAL, EntryKind.TRANSACTION, NOON, entry.body.lines)
    return state


@given(SHARES, st.lists(PARTS, min_size=1, max_size=12))
def test_reversals_never_exceed_and_all_of_them_lead_back_to_zero(
    shares: list[int], tries: list[dict[int, int]]
) -> None:
    state = _posted(shares)
    original = state.originals[ORIGINAL]
    for number, wanted in enumerate(tries):
        _reverse_some(state, number, wanted)
        gone = state.reversed.get(ORIGINAL, (0,) * len(original.lines))
        assert all(
            0 <= minor <= line.amount_minor
            for minor, line in zip(gone, original.lines, strict=True)
        )
        assert sum(account.balance_minor for account in state.accounts.values()) == 0
    rest = Reverse(UUID(int=999), ORIGINAL, None, (), None, None, {})
    verdict = decide(state, rest, NOON)
    if isinstance(verdict, Entry):
        advance(state, verdict)
    else:
        assert verdict.refusal is Refusal.REVERSAL_EXCEEDS
    assert all(account.balance_minor == 0 for account in state.accounts.values())


def _reverse_some(state: State, number: int, wanted: dict[int, int]) -> None:
    """Ask for parts of some credits, and for as much of the debit."""
    debit_minor = sum(minor for line, minor in wanted.items() if line > 1)
    asked = [(1, debit_minor)] * (debit_minor > 0)
    asked += [(line, minor) for line, minor in wanted.items() if line > 1]
    lines = tuple(LineAsked(line, f"{minor // 100}.{minor % 100:02}") for line, minor in asked)
    before = dict(state.accounts)
    verdict = decide(
        state, Reverse(UUID(int=200 + number), ORIGINAL, None, lines, None, None, {}), NOON
    )
    event("reversed" if isinstance(verdict, Entry) else verdict.refusal.code)
    if isinstance(verdict, Entry):
        advance(state, verdict)
    else:
        assert state.accounts == before

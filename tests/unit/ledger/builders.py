"""Builders of books and commands, with every detail that a test does not care about filled in."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ledger_service.domain.commands import OpenAccount, Transfer
from ledger_service.domain.model import Account, AccountFacts, AccountType
from ledger_service.domain.state import State

NOON = datetime(2025, 7, 13, 12, tzinfo=UTC)
FLOAT, ALICE, BOB, YEN = (UUID(int=number) for number in (1, 2, 3, 4))


def an_account(account_id: UUID, **facts: Any) -> Account:
    """A user account in dollars without overdraft, changed by `facts` or totals."""
    defaults: dict[str, Any] = {
        "currency": "USD",
        "scale": 2,
        "type": AccountType.USER,
        "floor_minor": 0,
    }
    totals = {name: facts.pop(name) for name in Account._fields if name in facts}
    return Account(AccountFacts(account_id, **(defaults | facts)), **totals)


def books() -> State:
    """A float without a floor, Alice with 100.00, Bob with nothing, one account in yen."""
    held = (
        an_account(FLOAT, type=AccountType.INTERNAL, floor_minor=None, debits_minor=10_000),
        an_account(ALICE, credits_minor=10_000, position=1),
        an_account(BOB),
        an_account(YEN, currency="JPY", scale=0),
    )
    return State(last_seq=5, accounts={account.account_id: account for account in held})


def a_transfer(**facts: Any) -> Transfer:
    """Alice pays Bob 10.00 dollars now, changed by `facts`."""
    defaults: dict[str, Any] = {
        "transaction_id": UUID(int=99),
        "source_account_id": ALICE,
        "destination_account_id": BOB,
        "amount": "10.00",
        "currency": "USD",
        "currency_known": True,
        "reference": None,
        "effective_at": None,
        "metadata": {},
    }
    return Transfer(**(defaults | facts))


def an_opening(**facts: Any) -> OpenAccount:
    """A user account in dollars without overdraft, changed by `facts`."""
    defaults: dict[str, Any] = {
        "account_id": UUID(int=50),
        "currency": "USD",
        "scale": 2,
        "type": AccountType.USER,
        "overdraft_limit": "0",
        "metadata": {},
    }
    return OpenAccount(**(defaults | facts))

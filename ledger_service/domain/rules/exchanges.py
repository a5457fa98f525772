"""The rules of an exchange of one currency for another, through an account of ours for each."""

import re
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from ledger_service.domain.commands import Exchange
from ledger_service.domain.entries import Entry, EntryKind, Line, Moved, Rate, Transacted
from ledger_service.domain.model import Account, Direction
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.rules.amounts import positive_minor
from ledger_service.domain.rules.conditions import condition_failed
from ledger_service.domain.rules.dating import dated
from ledger_service.domain.rules.posting import legs_refused, unknown_accounts
from ledger_service.domain.rules.transactions import line_of, moved_of
from ledger_service.domain.state import State
from shared.money import AMOUNT_MINOR_MAX, format_minor

RATE_CHARS_MAX = 37
RATE_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,18})?$"
ROUNDING_MINOR_MAX = 1
"""By how much `bought` may differ from the rounded product: as much as other ways to round give."""
_RATE = re.compile(RATE_PATTERN, re.ASCII)


class _Parties(NamedTuple):
    """The accounts of an exchange: who pays and who is paid, and ours of either currency."""

    source: Account
    sold_exchange: Account
    bought_exchange: Account
    destination: Account
    rounding: Account | None = None


class _Amounts(NamedTuple):
    """What is sold, and what the rate makes of it beside what is bought, in minor units."""

    sold_minor: int
    product_minor: int
    bought_minor: int


def exchange(state: State, command: Exchange, recorded_at: datetime) -> Entry | Refused:
    """Return the entry of an exchange, or why there is none.

    The product of what is sold and the rate is exact and then rounded, half to even, to the minor
    unit of what is bought. A named `bought` may be up to ROUNDING_MINOR_MAX away from that; the
    rounding account pays or gets the difference.
    """
    parties = _parties(state, command)
    if isinstance(parties, Refused):
        return parties
    amounts = _amounts(command, parties)
    if isinstance(amounts, Refused):
        return amounts
    when = dated(state.periods, command.effective_at, recorded_at)
    if isinstance(when, Refused):
        return when
    if refused := _off_the_rate(command, parties, amounts):
        return refused
    sold = Moved(parties.source.currency, amounts.sold_minor, parties.source.scale)
    bought = Moved(parties.destination.currency, amounts.bought_minor, parties.destination.scale)
    rounding_minor = amounts.bought_minor - amounts.product_minor
    lines = _lines(parties, amounts)
    entry = Entry(
        state.last_seq + 1,
        command.transaction_id,
        when.effective_at,
        recorded_at,
        command.reference,
        Transacted(
            EntryKind.EXCHANGE,
            lines,
            moved_of(lines),
            command.metadata,
            rate=Rate(command.rate, command.rate_source, sold, bought, rounding_minor),
            dating=when.dating,
        ),
    )
    legs = entry.body.legs
    return condition_failed(state.accounts, command.conditions, legs) or (
        legs_refused(state.accounts, legs) or entry
    )


def _parties(state: State, command: Exchange) -> _Parties | Refused:
    """Return the accounts, each known and in its currency, and no money going in a circle."""
    accounts = state.accounts
    named = [
        command.source_account_id,
        command.sold_exchange_account_id,
        command.bought_exchange_account_id,
        command.destination_account_id,
    ]
    if command.rounding_account_id is not None:
        named.append(command.rounding_account_id)
    for place, account_id in enumerate(named):
        if account_id in named[:place]:
            return Refused(
                Refusal.SAME_ACCOUNT,
                "an exchange needs different accounts",
                {"account_id": str(account_id)},
            )
    if refused := unknown_accounts(accounts, named):
        return refused
    found = [accounts[account_id] for account_id in named]
    sold, bought = found[0].facts, found[3].facts
    expected = (sold, sold, bought, bought, bought)
    if sold.currency == bought.currency or any(
        (account.currency, account.scale) != (wanted.currency, wanted.scale)
        for account, wanted in zip(found, expected, strict=False)
    ):
        return _wrong_currencies(found)
    return _Parties(*found)


def _wrong_currencies(found: list[Account]) -> Refused:
    names = ("source", "sold_exchange", "bought_exchange", "destination", "rounding")
    numbers = {
        f"{name}_currency": account.currency for name, account in zip(names, found, strict=False)
    }
    return Refused(
        Refusal.CURRENCY_MISMATCH,
        "source and its exchange account are kept in one currency, "
        "destination, its exchange account and the rounding account in another",
        numbers,
    )


def _amounts(command: Exchange, parties: _Parties) -> _Amounts | Refused:
    source, destination = parties.source, parties.destination
    sold_minor = positive_minor(command.sold, source.currency, source.scale)
    if isinstance(sold_minor, Refused):
        return sold_minor
    if not _RATE.fullmatch(command.rate):
        return Refused(
            Refusal.AMOUNT_MALFORMED,
            "a rate is up to 18 digits with at most 18 decimals",
            {"rate": command.rate},
        )
    rate = Fraction(command.rate)
    if rate == 0:
        return Refused(
            Refusal.AMOUNT_NOT_POSITIVE,
            f"the rate {command.rate} is not more than zero",
            {"rate": command.rate},
        )
    exact_minor = sold_minor * rate * Fraction(10) ** (destination.scale - source.scale)
    product_minor = round(exact_minor)  # a fraction is rounded half to even
    if product_minor > AMOUNT_MINOR_MAX:
        return Refused(
            Refusal.AMOUNT_TOO_LARGE,
            f"{command.sold} {source.currency} at {command.rate} is more than can be stored",
            {
                "sold": command.sold,
                "rate": command.rate,
                "largest": format_minor(AMOUNT_MINOR_MAX, destination.scale),
            },
        )
    if command.bought is None:
        return _Amounts(sold_minor, product_minor, product_minor)
    bought_minor = positive_minor(command.bought, destination.currency, destination.scale)
    if isinstance(bought_minor, Refused):
        return bought_minor
    return _Amounts(sold_minor, product_minor, bought_minor)


def _off_the_rate(command: Exchange, parties: _Parties, amounts: _Amounts) -> Refused | None:
    """Refuse amounts too far from the rate, a rounding nobody takes, and a product of nothing."""
    sold_minor, product_minor, bought_minor = amounts
    difference_minor = bought_minor - product_minor
    scale, currency = parties.destination.scale, parties.destination.currency
    product = format_minor(product_minor, scale)
    said = (
        f"{command.sold} {parties.source.currency} at {command.rate} are {product} {currency}, "
        f"not {format_minor(bought_minor, scale)}"
    )
    if product_minor == 0:
        said = f"{command.sold} {parties.source.currency} at {command.rate} buy no {currency}"
    elif difference_minor == 0:
        return None
    elif abs(difference_minor) <= ROUNDING_MINOR_MAX:
        if parties.rounding is not None:
            return None
        said = f"{said}; no rounding account is named that would take the difference"
    return Refused(
        Refusal.RATE_MISMATCH,
        said,
        {
            "sold": format_minor(sold_minor, parties.source.scale),
            "sold_currency": parties.source.currency,
            "rate": command.rate,
            "product": product,
            "bought": format_minor(bought_minor, scale),
            "bought_currency": currency,
            "difference": format_minor(difference_minor, scale),
            "difference_max": format_minor(ROUNDING_MINOR_MAX, scale),
        },
    )


def _lines(parties: _Parties, amounts: _Amounts) -> tuple[Line, ...]:
    sold_minor, product_minor, bought_minor = amounts
    lines = [
        line_of(parties.source, Direction.DEBIT, sold_minor),
        line_of(parties.sold_exchange, Direction.CREDIT, sold_minor),
        line_of(parties.bought_exchange, Direction.DEBIT, product_minor),
        line_of(parties.destination, Direction.CREDIT, bought_minor),
    ]
    difference_minor = bought_minor - product_minor
    if parties.rounding is not None and difference_minor != 0:
        pays = Direction.DEBIT if difference_minor > 0 else Direction.CREDIT
        lines.append(line_of(parties.rounding, pays, abs(difference_minor)))
    return tuple(lines)

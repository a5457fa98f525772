"""The rules of a transfer. Here every call counts: most commands are transfers."""

from datetime import datetime

from ledger_service.domain.commands import Transfer
from ledger_service.domain.entries import Entry, Transferred
from ledger_service.domain.model import Account, LimitsOn
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.rules.amounts import amount_minor, not_positive, unknown_currency
from ledger_service.domain.rules.conditions import condition_failed
from ledger_service.domain.rules.dating import Dated, dated
from ledger_service.domain.rules.posting import (
    TOTAL_MINOR_MAX,
    legs_refused,
    unknown_accounts,
)
from ledger_service.domain.state import State


def transfer(state: State, command: Transfer, recorded_at: datetime) -> Entry | Refused:
    """Return the entry of a transfer, or why there is none."""
    if command.source_account_id == command.destination_account_id:
        return Refused(
            Refusal.SAME_ACCOUNT,
            "a transfer needs two different accounts",
            {"account_id": str(command.source_account_id)},
        )
    source = state.accounts.get(command.source_account_id)
    destination = state.accounts.get(command.destination_account_id)
    if source is None or destination is None:
        refused = unknown_accounts(state.accounts, command.account_ids)
        assert refused is not None
        return refused
    if refused := wrong_currency(command.currency, command.currency_known, source, destination):
        return refused
    _, currency, scale = source.facts[:3]
    minor = amount_minor(command.amount, currency, scale)
    if isinstance(minor, Refused):
        return minor
    if minor == 0:
        return not_positive(command.amount)
    when = Dated(recorded_at)
    if command.effective_at is not None:
        found = dated(state.periods, command.effective_at, recorded_at)
        if isinstance(found, Refused):
            return found
        when = found
    entry = Entry(
        state.last_seq + 1,
        command.transaction_id,
        when.effective_at,
        recorded_at,
        command.reference,
        Transferred(
            command.source_account_id,
            command.destination_account_id,
            minor,
            currency,
            scale,
            command.metadata,
            when.dating,
        ),
    )
    if command.conditions and (
        refused := condition_failed(state.accounts, command.conditions, entry.body.legs)
    ):
        return refused
    if _is_taken(source, destination, minor):
        return entry
    return legs_refused(state.accounts, entry.body.legs) or entry


def wrong_currency(
    currency: str, is_known: bool, source: Account, destination: Account
) -> Refused | None:
    """Refuse a transfer or hold in a currency, or minor units, that both accounts do not share."""
    payer, payee = source.facts, destination.facts
    if currency == payer.currency == payee.currency:
        return None if payer.scale == payee.scale else _mixed_scales(currency, source, destination)
    if not is_known and currency not in (source.currency, destination.currency):
        return unknown_currency(currency)
    return Refused(
        Refusal.CURRENCY_MISMATCH,
        f"the transfer is in {currency}, the source in {source.currency}, "
        f"the destination in {destination.currency}",
        {
            "currency": currency,
            "source_currency": source.currency,
            "destination_currency": destination.currency,
        },
    )


def _mixed_scales(currency: str, source: Account, destination: Account) -> Refused:
    return Refused(
        Refusal.CURRENCY_MISMATCH,
        f"accounts in {currency} have different numbers of decimals",
        {
            "currency": currency,
            "source_scale": source.scale,
            "destination_scale": destination.scale,
        },
    )


def _is_taken(source: Account, destination: Account, minor: int) -> bool:
    """Tell quickly that both accounts take the amount; where it is false, `legs_refused` knows."""
    payer, debits_minor, credits_minor, _, held_minor, _ = source
    payee = destination.facts
    left_minor = credits_minor - debits_minor - minor
    if payer.limits_on is LimitsOn.AVAILABLE:
        left_minor -= held_minor
    return (
        payer.takes_all
        and payee.takes_all
        and payee.ceiling_minor is None
        and (payer.floor_minor is None or left_minor >= payer.floor_minor)
        and debits_minor + minor <= TOTAL_MINOR_MAX
        and destination.credits_minor + minor <= TOTAL_MINOR_MAX
    )

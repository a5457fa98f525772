"""A statement of account as StatementOut shows it."""

from typing import Any

from ledger_service.api.answers import json_text
from ledger_service.domain.model import Direction
from ledger_service.domain.statements import Movement, Statement
from shared.clock import instant_text
from shared.money import format_minor


def statement_text(statement: Statement) -> str:
    """Return the statement as JSON."""
    account, scale = statement.account, statement.account.scale
    movements = zip(statement.movements, statement.balances_minor(), strict=True)
    return json_text(
        {
            "account_id": str(account.account_id),
            "ledger": statement.ledger,
            "name": account.name,
            "code": account.code,
            "type": account.type,
            "currency": account.currency,
            "normal_side": account.normal_side,
            "from": statement.from_at and instant_text(statement.from_at),
            "to": statement.to_at and instant_text(statement.to_at),
            "seq": statement.seq,
            "opening_balance": format_minor(statement.opening_minor, scale),
            "debits": format_minor(statement.debits_minor, scale),
            "credits": format_minor(statement.credits_minor, scale),
            "closing_balance": format_minor(statement.closing_minor, scale),
            "movements": [_movement(one, balance_minor, scale) for one, balance_minor in movements],
        }
    )


def _movement(one: Movement, balance_minor: int, scale: int) -> dict[str, Any]:
    amount = format_minor(one.amount_minor, scale)
    is_debit = one.direction is Direction.DEBIT
    return {
        "transaction_id": str(one.transaction_id),
        "seq": one.seq,
        "line": one.line,
        "kind": one.kind,
        "effective_at": instant_text(one.effective_at),
        "recorded_at": instant_text(one.recorded_at),
        "late": one.is_late,
        "adjusting": one.is_adjusting,
        "description": one.description,
        "counterparty": one.counterparty,
        "counter_account_id": one.counter_account_id and str(one.counter_account_id),
        "reference": one.reference,
        "debit": amount if is_debit else None,
        "credit": None if is_debit else amount,
        "balance": format_minor(balance_minor, scale),
    }

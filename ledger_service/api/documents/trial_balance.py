"""A trial balance as TrialBalanceOut shows it."""

from typing import Any

from ledger_service.api.answers import json_text
from ledger_service.domain.model import Period
from ledger_service.domain.trial_balance import AccountLine, Columns, TrialBalance, balanced
from shared.clock import instant_text
from shared.money import format_minor


def trial_balance_text(found: TrialBalance) -> str:
    """Return the trial balance as JSON."""
    totals = found.totals()
    return json_text(
        {
            "ledger": found.ledger,
            "seq": found.seq,
            "as_of": found.as_of and instant_text(found.as_of),
            "period": found.period and _period(found.period),
            "balanced": balanced(totals),
            "lines": [
                _facts(line)
                | {
                    name: _columns(columns_of(line), line.scale)
                    for name, columns_of in found.sections.items()
                }
                for line in found.lines
            ],
            "totals": [
                {"currency": one.currency}
                | {name: _columns(columns, one.scale) for name, columns in one.columns.items()}
                for one in totals
            ],
        }
    )


def _facts(line: AccountLine) -> dict[str, Any]:
    return {
        "account_id": line.account_id and str(line.account_id),
        "code": line.code,
        "name": line.name,
        "type": line.type,
        "normal_side": line.normal_side,
        "currency": line.currency,
        "accounts": line.accounts,
    }


def _columns(columns: Columns, scale: int) -> dict[str, str]:
    return {
        "debit": format_minor(columns.debit_minor, scale),
        "credit": format_minor(columns.credit_minor, scale),
    }


def _period(period: Period) -> dict[str, str]:
    return {
        "period_id": str(period.period_id),
        "name": period.name,
        "starts_at": instant_text(period.starts_at),
        "ends_at": instant_text(period.ends_at),
        "status": period.status.value,
    }

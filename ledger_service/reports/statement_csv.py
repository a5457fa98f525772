"""A statement of account as CSV: opening, movements, closing, one row each."""

import csv
import io
from collections.abc import Sequence

from ledger_service.domain.model import Direction
from ledger_service.domain.statements import Statement
from ledger_service.reports.texts import csv_cell
from shared.clock import instant_text
from shared.money import format_minor

COLUMNS = (
    "row",
    "effective_at",
    "recorded_at",
    "late",
    "adjusting",
    "description",
    "counterparty",
    "reference",
    "currency",
    "debit",
    "credit",
    "balance",
    "transaction_id",
    "seq",
)


def statement_csv(statement: Statement) -> str:
    """Return the statement with its sums in the last row."""
    scale = statement.account.scale
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\r\n").writerow
    write(COLUMNS)
    write(_sum_row(statement, "opening", statement.opening_minor))
    for one, balance_minor in zip(statement.movements, statement.balances_minor(), strict=True):
        amount = format_minor(one.amount_minor, scale)
        is_debit = one.direction is Direction.DEBIT
        write(
            (
                "movement",
                instant_text(one.effective_at),
                instant_text(one.recorded_at),
                "true" if one.is_late else "",
                "true" if one.is_adjusting else "",
                csv_cell(one.description),
                csv_cell(one.counterparty),
                csv_cell(one.reference),
                statement.account.currency,
                amount if is_debit else "",
                "" if is_debit else amount,
                format_minor(balance_minor, scale),
                one.transaction_id,
                one.seq,
            )
        )
    sums = [format_minor(one, scale) for one in (statement.debits_minor, statement.credits_minor)]
    write(_sum_row(statement, "closing", statement.closing_minor, sums))
    return text.getvalue()


def _sum_row(
    statement: Statement, name: str, balance_minor: int, sums: Sequence[str] = ("", "")
) -> list[str]:
    instant = statement.from_at if name == "opening" else statement.to_at
    return [
        name,
        "" if instant is None else instant_text(instant),
        *[""] * 6,
        statement.account.currency,
        *sums,
        format_minor(balance_minor, statement.account.scale),
        "",
        "",
    ]

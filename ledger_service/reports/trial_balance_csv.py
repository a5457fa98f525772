"""A trial balance as CSV: a row for each line, and the sums of each currency below its lines."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import groupby

from ledger_service.domain.trial_balance import AccountLine, Columns, Totals, TrialBalance
from ledger_service.reports.texts import csv_cell
from shared.money import format_minor

FACTS = ("row", "currency", "code", "name", "type", "normal_side", "account_id", "accounts")


def trial_balance_csv(found: TrialBalance) -> str:
    """Return the trial balance; columns are those of its sections, one pair each."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\r\n").writerow
    names = list(found.sections)
    sides = ("debit", "credit")
    prefixes = [""] if len(names) == 1 else [f"{name}_" for name in names]
    write((*FACTS, *(f"{prefix}{side}" for prefix in prefixes for side in sides)))
    by_currency = groupby(found.lines, key=lambda line: (line.currency, line.scale))
    for (_, lines), totals in zip(by_currency, found.totals(), strict=True):
        for line in lines:
            columns = [columns_of(line) for columns_of in found.sections.values()]
            write((*_facts(line), *_cells(columns, line.scale)))
        write((*_sum_facts(totals), *_cells(totals.columns.values(), totals.scale)))
    return text.getvalue()


def _facts(line: AccountLine) -> tuple[object, ...]:
    return (
        "line",
        line.currency,
        csv_cell(line.code),
        csv_cell(line.name),
        line.type or "",
        line.normal_side or "",
        line.account_id or "",
        line.accounts,
    )


def _sum_facts(totals: Totals) -> tuple[object, ...]:
    return ("total", totals.currency, *[""] * (len(FACTS) - 2))


def _cells(columns: Iterable[Columns], scale: int) -> Iterator[str]:
    for one in columns:
        yield format_minor(one.debit_minor, scale)
        yield format_minor(one.credit_minor, scale)

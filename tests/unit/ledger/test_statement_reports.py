"""Statements as files: what they sum to, how they are broken into pages, what they hold."""

import re
import zlib
from base64 import a85decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from ledger_service.domain.model import Direction
from ledger_service.domain.statements import AccountShown, Movement, Statement
from ledger_service.reports.statement_csv import statement_csv
from ledger_service.reports.statement_pdf import statement_pdf
from ledger_service.reports.texts import csv_cell, grouped

JULY, AUGUST = (datetime(2025, month, 1, tzinfo=UTC) for month in (7, 8))
ACCOUNT = AccountShown(UUID(int=7), "Zoë", "assets:bank", "asset", "EUR", 2, Direction.DEBIT)


def a_movement(number: int, description: str | None = "Miete") -> Movement:
    at = JULY + timedelta(hours=number)
    side = Direction.DEBIT if number % 3 else Direction.CREDIT
    return Movement(
        number, 1, UUID(int=number), "transfer", at, at, side, 100, None, description, None, None,
        False,
    )  # fmt: skip


def a_statement(movements: list[Movement]) -> Statement:
    return Statement("main", ACCOUNT, 500, AUGUST, JULY, AUGUST, 1_000, movements)


def test_the_balance_moves_on_the_normal_side() -> None:
    statement = a_statement([a_movement(number) for number in (1, 2, 3)])
    assert statement.balances_minor() == [1_100, 1_200, 1_100]
    assert (statement.debits_minor, statement.credits_minor) == (200, 100)
    assert statement.closing_minor == 1_100
    credit = replace(ACCOUNT, normal_side=Direction.CREDIT)
    assert replace(statement, account=credit).closing_minor == 900


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (5, 1), (40, 2), (400, 10)])
def test_long_statements_have_more_pages(count: int, pages: int) -> None:
    pdf = statement_pdf(a_statement([a_movement(number) for number in range(count)]))
    assert pdf.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b(?!s)", pdf)) == pages


def test_no_text_is_too_wide_or_too_strange_for_a_page() -> None:
    texts = [
        "x" * 4_000,
        "Straße 5 – Αθήνα – Привет – 東京 – عربى – 🙂",
        "\x07\r\n\t \u202e",
        "",
        None,
    ]
    movements = [a_movement(number, text) for number, text in enumerate(texts)]
    huge = replace(movements[0], amount_minor=2**62, counterparty="y " * 2_000)
    pdf = statement_pdf(a_statement([*movements, huge]))
    assert len(re.findall(rb"/Type /Page\b(?!s)", pdf)) == 1
    right_edges = [float(x) for x in re.findall(rb"1 0 0 1 ([0-9.]+) [0-9.]+ Tm", _drawn(pdf))]
    assert right_edges
    assert max(right_edges) < 595 - 18


def test_csv_is_exact_where_paper_groups() -> None:
    text = statement_csv(a_statement([replace(a_movement(1), amount_minor=1_234_567_89)]))
    assert "1234567.89" in text
    assert text.splitlines()[-1].startswith("closing,2025-08-01T00:00:00.000000Z")
    assert grouped(-1_234_567_89, 2) == "\N{MINUS SIGN}1,234,567.89"
    assert grouped(1_234, 0) == "1,234"
    assert csv_cell("+49 30") == "'+49 30"


def _drawn(pdf: bytes) -> bytes:
    """Return what is drawn on all pages; fonts are packed in another way."""
    pattern = rb"/ASCII85Decode /FlateDecode \][^>]*>>\s*stream\r?\n(.*?)~>endstream"
    streams = re.findall(pattern, pdf, re.DOTALL)
    return b"".join(zlib.decompress(a85decode(stream)) for stream in streams)

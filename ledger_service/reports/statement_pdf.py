"""A statement of account on A4 pages.

Drawn straight onto the canvas, line by line: reportlab's flowing tables take seconds for thousands
of rows. The same statement gives the same bytes.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from reportlab.lib.colors import HexColor
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from ledger_service.domain.model import Direction
from ledger_service.domain.statements import Movement, Statement
from ledger_service.reports.texts import day, grouped, is_midnight, minute

FONTS = Path(__file__).with_name("fonts")
PLAIN, BOLD = "DejaVuSans", "DejaVuSans-Bold"
MM = 72 / 25.4
WIDTH, HEIGHT = 210 * MM, 297 * MM
LEFT, RIGHT, TOP, BOTTOM = 18 * MM, WIDTH - 18 * MM, HEIGHT - 18 * MM, 20 * MM
SIZE, SMALL, LEADING, SMALL_LEADING, ROW_GAP = 8.5, 6.8, 11.0, 9.0, 5.0
DAY_AT, TEXT_AT = LEFT, LEFT + 22 * MM
DEBIT_TO, CREDIT_TO, BALANCE_TO = RIGHT - 58 * MM, RIGHT - 30 * MM, RIGHT
TEXT_WIDTH = DEBIT_TO - 27 * MM - TEXT_AT
DESCRIPTION_LINES_MAX, NOTE_LINES_MAX = 3, 2
INK, GREY, RULE, BAND = (HexColor(one) for one in ("#1a1a1a", "#666666", "#c8c8c8", "#f2f4f7"))


@dataclass(frozen=True, slots=True)
class _Row:
    """A movement broken into lines, and the amounts beside it as texts."""

    day: str
    lines: Sequence[str]
    notes: Sequence[str]
    debit: str
    credit: str
    balance: str

    @property
    def height(self) -> float:
        return len(self.lines) * LEADING + len(self.notes) * SMALL_LEADING + ROW_GAP


def statement_pdf(statement: Statement) -> bytes:
    """Return the statement as a PDF with page numbers, its sums at the end."""
    for name in (PLAIN, BOLD):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, FONTS / f"{name}.ttf"))
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(WIDTH, HEIGHT), invariant=1, pageCompression=1)
    canvas.setTitle(f"Account statement {_name(statement)}")
    canvas.setAuthor("Kairon ledger")
    pages = list(_pages(list(_rows(statement))))
    for number, rows in enumerate(pages, 1):
        y = _head(canvas, statement) if number == 1 else _short_head(canvas, statement)
        y = _table_head(canvas, y)
        if number == 1:
            y = _sum_line(canvas, y, "Opening balance", statement, statement.opening_minor)
        for row in rows:
            y = _row(canvas, y, row)
        if number == len(pages):
            _closing(canvas, y, statement)
        _foot(canvas, statement, number, len(pages))
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def _rows(statement: Statement) -> Iterator[_Row]:
    scale = statement.account.scale
    balances_minor = statement.balances_minor()
    for one, balance_minor in zip(statement.movements, balances_minor, strict=True):
        amount = grouped(one.amount_minor, scale)
        is_debit = one.direction is Direction.DEBIT
        described = one.description or one.kind.replace("_", " ").capitalize()
        yield _Row(
            day(one.effective_at),
            _wrapped(described, PLAIN, SIZE, DESCRIPTION_LINES_MAX),
            _wrapped(_note(one), PLAIN, SMALL, NOTE_LINES_MAX),
            amount if is_debit else "",
            "" if is_debit else amount,
            grouped(balance_minor, scale),
        )


def _note(one: Movement) -> str:
    """Return what stands in small letters below a description."""
    parts = [
        one.counterparty or "",
        f"ref. {one.reference}" if one.reference else "",
        f"recorded {day(one.recorded_at)}" if one.is_late else "",
        "adjusting entry" if one.is_adjusting else "",
    ]
    return "  ·  ".join(part for part in parts if part)


def _pages(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """Yield the rows of each page; the last one has room for the closing lines."""
    page: list[_Row] = []
    room = TOP - BOTTOM - _HEAD_HEIGHT
    for row in rows:
        if row.height > room:
            yield page
            page, room = [], TOP - BOTTOM - _SHORT_HEAD_HEIGHT
        page.append(row)
        room -= row.height
    if room < _CLOSING_HEIGHT and page:
        yield page
        page = []
    yield page


_HEAD_HEIGHT, _SHORT_HEAD_HEIGHT, _CLOSING_HEIGHT = 70 * MM, 22 * MM, 16 * MM


def _head(canvas: Canvas, statement: Statement) -> float:
    """Draw whose statement it is and what it comes to; return where the table begins."""
    account, y = statement.account, TOP - 4 * MM
    canvas.setFillColor(INK)
    canvas.setFont(BOLD, 16)
    canvas.drawString(LEFT, y, "Account statement")
    canvas.setFont(PLAIN, SIZE)
    canvas.setFillColor(GREY)
    canvas.drawRightString(RIGHT, y, f"Ledger {statement.ledger}")
    y -= 9 * MM
    facts = (
        ("Account", _name(statement)),
        ("Number", str(account.account_id)),
        ("Type", f"{account.type}, normal side {account.normal_side}"),
        ("Currency", account.currency),
        ("Period", _period(statement)),
        ("As recorded", _recorded(statement)),
    )
    for label, value in facts:
        canvas.setFont(PLAIN, SIZE)
        canvas.setFillColor(GREY)
        canvas.drawString(LEFT, y, label)
        canvas.setFillColor(INK)
        canvas.setFont(BOLD if label == "Account" else PLAIN, SIZE)
        canvas.drawString(LEFT + 24 * MM, y, _fitted(value, BOLD, SIZE, RIGHT - LEFT - 24 * MM))
        y -= 4.6 * MM
    return _boxes(canvas, y - 1 * MM, statement)


def _boxes(canvas: Canvas, y: float, statement: Statement) -> float:
    scale = statement.account.scale
    sums = (
        ("Opening balance", statement.opening_minor),
        ("Debits", statement.debits_minor),
        ("Credits", statement.credits_minor),
        ("Closing balance", statement.closing_minor),
    )
    width, height = (RIGHT - LEFT) / len(sums), 13 * MM
    canvas.setFillColor(BAND)
    canvas.rect(LEFT, y - height, RIGHT - LEFT, height, stroke=0, fill=1)
    for place, (label, minor) in enumerate(sums):
        x = LEFT + place * width + 3 * MM
        canvas.setFillColor(GREY)
        canvas.setFont(PLAIN, SMALL)
        canvas.drawString(x, y - 4.6 * MM, label)
        canvas.setFillColor(INK)
        text = grouped(minor, scale)
        size = _size_to_fit(text, BOLD, 10.5, width - 5 * MM)
        canvas.setFont(BOLD, size)
        canvas.drawString(x, y - 9.8 * MM, text)
    return y - height - 6 * MM


def _short_head(canvas: Canvas, statement: Statement) -> float:
    canvas.setFillColor(GREY)
    canvas.setFont(PLAIN, SIZE)
    y = TOP - 3 * MM
    period = _period(statement)
    room = RIGHT - LEFT - pdfmetrics.stringWidth(period, PLAIN, SIZE) - 6 * MM
    canvas.drawString(LEFT, y, _fitted(_name(statement), PLAIN, SIZE, room))
    canvas.drawRightString(RIGHT, y, period)
    return y - 7 * MM


def _table_head(canvas: Canvas, y: float) -> float:
    canvas.setFillColor(GREY)
    canvas.setFont(BOLD, SMALL)
    canvas.drawString(DAY_AT, y, "Date")
    canvas.drawString(TEXT_AT, y, "Description")
    for to, label in ((DEBIT_TO, "Debit"), (CREDIT_TO, "Credit"), (BALANCE_TO, "Balance")):
        canvas.drawRightString(to, y, label)
    _line(canvas, y - 2 * MM, INK)
    return y - 6.5 * MM


def _row(canvas: Canvas, y: float, row: _Row) -> float:
    canvas.setFillColor(INK)
    canvas.setFont(PLAIN, SIZE)
    canvas.drawString(DAY_AT, y, row.day)
    columns = ((DEBIT_TO, row.debit), (CREDIT_TO, row.credit), (BALANCE_TO, row.balance))
    for to, text in columns:
        size = _size_to_fit(text, PLAIN, SIZE, 27 * MM)
        canvas.setFont(PLAIN, size)
        canvas.drawRightString(to, y, text)
    canvas.setFont(PLAIN, SIZE)
    begin = y
    for line in row.lines:
        canvas.drawString(TEXT_AT, y, line)
        y -= LEADING
    canvas.setFillColor(GREY)
    canvas.setFont(PLAIN, SMALL)
    for note in row.notes:
        canvas.drawString(TEXT_AT, y + 1.2, note)
        y -= SMALL_LEADING
    y = begin - row.height
    _line(canvas, y + LEADING - 0.6, RULE)
    return y


def _sum_line(
    canvas: Canvas, y: float, label: str, statement: Statement, balance_minor: int
) -> float:
    canvas.setFillColor(INK)
    canvas.setFont(BOLD, SIZE)
    canvas.drawString(TEXT_AT, y, label)
    _amount(canvas, BALANCE_TO, y, grouped(balance_minor, statement.account.scale))
    y -= LEADING + ROW_GAP
    _line(canvas, y + LEADING - 0.6, RULE)
    return y


def _closing(canvas: Canvas, y: float, statement: Statement) -> None:
    scale = statement.account.scale
    canvas.setFillColor(INK)
    canvas.setFont(BOLD, SIZE)
    canvas.drawString(TEXT_AT, y, "Closing balance")
    for to, minor in (
        (DEBIT_TO, statement.debits_minor),
        (CREDIT_TO, statement.credits_minor),
        (BALANCE_TO, statement.closing_minor),
    ):
        _amount(canvas, to, y, grouped(minor, scale))
    _line(canvas, y - 2.2 * MM, INK)
    if not statement.movements:
        canvas.setFillColor(GREY)
        canvas.setFont(PLAIN, SIZE)
        canvas.drawString(TEXT_AT, y - 8 * MM, "No movements in this period.")


def _foot(canvas: Canvas, statement: Statement, number: int, count: int) -> None:
    canvas.setFillColor(GREY)
    canvas.setFont(PLAIN, SMALL)
    y = BOTTOM - 9 * MM
    canvas.drawString(LEFT, y, f"{statement.account.account_id}  ·  {statement.account.currency}")
    canvas.drawRightString(RIGHT, y, f"Page {number} of {count}")


def _amount(canvas: Canvas, to: float, y: float, text: str) -> None:
    canvas.setFont(BOLD, _size_to_fit(text, BOLD, SIZE, 27 * MM))
    canvas.drawRightString(to, y, text)


def _line(canvas: Canvas, y: float, color: HexColor) -> None:
    canvas.setStrokeColor(color)
    canvas.setLineWidth(0.4)
    canvas.line(LEFT, y, RIGHT, y)


def _name(statement: Statement) -> str:
    account = statement.account
    named = [one for one in (account.code, account.name) if one]
    return "  ·  ".join(named) or str(account.account_id)


def _period(statement: Statement) -> str:
    """Return the period as people say it: whole days with the last one in it, else its bounds."""
    from_at, to_at = statement.from_at, statement.to_at
    if from_at and to_at and is_midnight(from_at) and is_midnight(to_at):
        return f"{day(from_at)} to {day(to_at - timedelta(microseconds=1))} (UTC)"
    begin = "the beginning" if from_at is None else minute(from_at)
    end = "now" if to_at is None else f"before {minute(to_at)}"
    return f"{begin} to {end}"


def _recorded(statement: Statement) -> str:
    if statement.recorded_at is None:
        return f"up to entry {statement.seq}"
    return f"up to entry {statement.seq} of {minute(statement.recorded_at)}"


def _wrapped(text: str, font: str, size: float, lines_max: int) -> list[str]:
    """Break a text at spaces, and long words anywhere, into at most `lines_max` lines."""
    lines: list[str] = []
    line = ""
    for word in " ".join(text.split()).split(" "):
        longer = f"{line} {word}".strip()
        if pdfmetrics.stringWidth(longer, font, size) <= TEXT_WIDTH:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while pdfmetrics.stringWidth(line, font, size) > TEXT_WIDTH and len(lines) <= lines_max:
            fits = _fitting(line, font, size, TEXT_WIDTH)
            lines.append(line[:fits])
            line = line[fits:]
        if len(lines) > lines_max:
            break
    if line:
        lines.append(line)
    if len(lines) > lines_max:
        last = _fitted(f"{lines[lines_max - 1]}…", font, size, TEXT_WIDTH)
        lines = [*lines[: lines_max - 1], last]
    return lines


def _fitted(text: str, font: str, size: float, width: float) -> str:
    """Return the text, cut with an ellipsis where it is wider than `width`."""
    if pdfmetrics.stringWidth(text, font, size) <= width:
        return text
    dots = pdfmetrics.stringWidth("…", font, size)
    return text[: _fitting(text, font, size, width - dots)] + "…"


def _fitting(text: str, font: str, size: float, width: float) -> int:
    """Return how many characters fit into `width`, at least one."""
    fits = 0
    while fits < len(text) and pdfmetrics.stringWidth(text[: fits + 1], font, size) <= width:
        fits += 1
    return max(1, fits)


def _size_to_fit(text: str, font: str, size: float, width: float) -> float:
    """Return the largest size up to `size` at which the text is no wider than `width`."""
    wide: float = pdfmetrics.stringWidth(text, font, size)
    return size if wide <= width else size * width / wide

"""Opening balances from a CSV file: what its lines say, and the transactions that they make.

One line an account, with the balance on its normal side. Columns, in any order:

    account_id   an account that is there; or
    code         an account that is there, or is opened if `type` says as what
    type, name   of an account to open; `name` goes into its metadata
    currency     must be the account's
    balance      decimal, may have a minus; 0 opens the account and posts nothing

Each currency's lines become a balanced transaction against an account of opening balances, or
several where there are more than LINES_PER_TRANSACTION_MAX. Each is refused by the ledger where one
of its accounts has an event already, and has a reference and an Idempotency-Key made of the file's
content: posted twice, it counts once.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from shared.money import CURRENCY_PATTERN, AmountError, format_minor, parse_amount

LINES_MAX = 100_000
LINES_PER_TRANSACTION_MAX = 100
"""As many as a transaction may have conditions: each account must be without events."""
_COLUMNS = ("account_id", "code", "type", "name", "currency", "balance")
_BALANCE = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_CURRENCY = re.compile(CURRENCY_PATTERN, re.ASCII)


class BadFile(Exception):
    """The file as a whole cannot be read; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """What is wrong with a line; lines count from 1, the one with the names of the columns."""

    line: int
    sentence: str

    def __str__(self) -> str:
        return f"Line {self.line}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """A line as the file has it; what it leaves empty is None."""

    line: int
    account_id: UUID | None
    code: str | None
    type: str | None
    name: str | None
    currency: str
    balance: str

    @property
    def account(self) -> str:
        """How the line names its account."""
        return self.code or str(self.account_id)

    def opening(self) -> dict[str, Any]:
        """Return the body that opens the account."""
        metadata = {} if self.name is None else {"name": self.name}
        return {
            "currency": self.currency,
            "type": self.type,
            "code": self.code,
            "metadata": metadata,
        }


@dataclass(frozen=True, slots=True)
class Opened:
    """A line with the account that it means, and its balance in minor units."""

    line: BalanceLine
    account_id: str
    normal_side: str
    scale: int
    balance_minor: int

    @property
    def credit_minor(self) -> int:
        """Credits less debits that bring the account to its balance."""
        return self.balance_minor if self.normal_side == "credit" else -self.balance_minor


@dataclass(frozen=True, slots=True)
class Posting:
    """One transaction: the lines of a currency, or some of them, and what balances them."""

    currency: str
    reference: str
    lines: Sequence[Opened]

    def body(self, equity_account_id: str, effective_at: str | None) -> dict[str, Any]:
        """Return the body that posts it against the account of opening balances."""
        credits_minor = {one.account_id: one.credit_minor for one in self.lines}
        rest_minor = sum(credits_minor.values())
        if rest_minor:
            credits_minor[equity_account_id] = -rest_minor
        scale = self.lines[0].scale
        sides: dict[str, list[dict[str, str]]] = {"debits": [], "credits": []}
        for account_id, minor in credits_minor.items():
            part = {"account_id": account_id, "amount": format_minor(abs(minor), scale)}
            sides["credits" if minor > 0 else "debits"].append(part)
        return {
            **sides,
            "reference": self.reference,
            "effective_at": effective_at,
            "metadata": {"description": "Opening balances"},
            "conditions": [
                {"account_id": one.account_id, "expected_position": 0} for one in self.lines
            ],
        }


def read_lines(content: bytes) -> tuple[list[BalanceLine], list[BadLine]]:
    """Return the lines, and what is wrong with others; raise BadFile where there are none."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFile(f"The file is not UTF-8: byte {error.start} is not.") from None
    lines: list[BalanceLine] = []
    bad: list[BadLine] = []
    seen: dict[str, int] = {}
    for number, cells in _records(text):
        line = _line_of(number, cells)
        if isinstance(line, BadLine):
            bad.append(line)
        elif (first := seen.setdefault(line.account, number)) != number:
            bad.append(BadLine(number, f"{line.account} stands in line {first} already."))
        else:
            lines.append(line)
        if len(lines) + len(bad) > LINES_MAX:
            raise BadFile(f"The file has more than {LINES_MAX} lines.")
    if not lines and not bad:
        raise BadFile("The file has no line with a balance.")
    return lines, bad


def minor_of(line: BalanceLine, scale: int) -> int | BadLine:
    """Return the balance in minor units of a currency with `scale` decimals."""
    digits = line.balance.removeprefix("-")
    try:
        amount_minor = parse_amount(digits, scale)
    except AmountError as error:
        return BadLine(line.line, f"balance {line.balance} {line.currency}: {error}.")
    return amount_minor if digits == line.balance else -amount_minor


def postings(opened: Sequence[Opened], digest: str) -> list[Posting]:
    """Return the transactions, currency by currency, each in the order of the file."""
    by_currency: dict[str, list[Opened]] = {}
    for one in opened:
        if one.balance_minor:
            by_currency.setdefault(one.line.currency, []).append(one)
    return [
        Posting(
            currency,
            f"opening-balances-{digest[:16]}-{currency}-{number}",
            lines[start : start + LINES_PER_TRANSACTION_MAX],
        )
        for currency, lines in sorted(by_currency.items())
        for number, start in enumerate(range(0, len(lines), LINES_PER_TRANSACTION_MAX), 1)
    ]


def digest_of(lines: Sequence[BalanceLine], *facts: str | None) -> str:
    """Return the SHA-256 of what the lines say, and of what else decides what is posted."""
    told = [
        (str(one.account_id), one.code, one.type, one.name, one.currency, one.balance)
        for one in lines
    ]
    return sha256(repr((told, facts)).encode()).hexdigest()


def _records(text: str) -> Iterator[tuple[int, Mapping[str, str] | None]]:
    """Yield each record with the number of its first line; None where its cells do not fit."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: list[str] | None = None
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadFile(f"Line {number} is no CSV: {error}.") from None
        if not any(cell.strip() for cell in cells):
            continue
        if names is None:
            names = _names(cells)
        elif len(cells) != len(names):
            yield number, None
        else:
            yield number, {name: cell.strip() for name, cell in zip(names, cells, strict=True)}


def _names(cells: Sequence[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    unknown = [name for name in names if name not in _COLUMNS]
    if unknown or len(set(names)) != len(names):
        what = f"{unknown[0]!r} is no column" if unknown else "a column stands there twice"
        raise BadFile(f"The first line names columns out of {', '.join(_COLUMNS)}; {what}.")
    missing = {"currency", "balance"} - {*names}
    if missing or not {"account_id", "code"} & {*names}:
        raise BadFile("The first line names currency, balance, and account_id or code.")
    return names


def _line_of(number: int, cells: Mapping[str, str] | None) -> BalanceLine | BadLine:
    if cells is None:
        return BadLine(number, "the number of its cells is not that of the columns.")
    account_id, code, kind, name = (cells.get(column) or None for column in _COLUMNS[:4])
    currency, balance = cells["currency"], cells["balance"]
    if (account_id is None) == (code is None):
        return BadLine(number, "it names its account by account_id or by code, one of them.")
    if account_id is not None and (kind or name):
        return BadLine(number, "type and name are of accounts to open, which have a code.")
    try:
        found = None if account_id is None else UUID(account_id)
    except ValueError:
        return BadLine(number, f"{account_id!r} is no account id.")
    if not _CURRENCY.fullmatch(currency):
        return BadLine(number, f"{currency!r} is no currency.")
    if not _BALANCE.fullmatch(balance):
        return BadLine(number, f"{balance!r} is no decimal balance.")
    return BalanceLine(number, found, code, kind, name, currency, balance)

"""Books, the bank's statement about them, and what belongs together, by the column.

    exact    the bank carries our reference: same id, same amount, within the window
    fuzzy    the bank carries an id of its own or none: same amount, other words, a small lag
    alone    lines without a counterpart, and as many ledger items without a line

Unlike the quality bench's generator it makes millions of rows in seconds and has no hard shapes:
it is for measuring time. The same size and seed give the same case on every machine.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from scripts.bench.matching.words import LEGAL, PRODUCTS, SYLLABLES, TRADES

CURRENCY = "EUR"
FIRST_DAY = date(2025, 6, 1)
DAYS = 28  # of the ledger; the bank's lags stay within the month
BUSINESS_DATE = date(2025, 6, 30)
_LAGS = ((0, 1, 2), (0.60, 0.25, 0.15))
_ARRIVES = 0.8
_ROUND_AMOUNTS = 0.25
_ROWS_PER_PARTY = 40
_PARTIES_MIN = 100
_FORMS = tuple(form for forms in LEGAL.values() for form in forms)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shares:
    """How the lines of a statement divide; the rest is alone."""

    exact: float
    fuzzy: float


MIXED = Shares(exact=0.95, fuzzy=0.04)
WITHOUT_IDS = Shares(exact=0.0, fuzzy=0.99)


@dataclass(frozen=True, slots=True)
class Case:
    """One month as both sides tell it.

    books   reference, amount_minor (signed), effective_at, description, counterparty
    lines   txn_id, timestamp, amount_minor (signed), description, counterparty, and the truth:
            kind ("exact", "fuzzy", "alone") and `truth`, the reference that a line belongs to
    """

    books: pl.DataFrame
    lines: pl.DataFrame


def make_case(rows: int, shares: Shares, seed: int = 1) -> Case:
    """Return `rows` lines and as many ledger items."""
    dice = np.random.default_rng((seed, rows))
    exact, fuzzy = round(rows * shares.exact), round(rows * shares.fuzzy)
    alone = rows - exact - fuzzy
    events = _events(dice, rows + alone)
    kinds = np.repeat(["exact", "fuzzy", "alone", "item"], [exact, fuzzy, alone, alone])
    events = events.with_columns(kind=pl.Series(kinds)).sample(
        fraction=1.0, shuffle=True, seed=seed
    )
    books = events.filter(pl.col("kind") != "alone").sort("effective_at")
    told = events.filter(pl.col("kind") != "item")
    return Case(
        books=books.select(
            "reference", "amount_minor", "effective_at", "description", "counterparty"
        ),
        lines=_lines(dice, told),
    )


def write_statement(lines: pl.DataFrame, path: Path) -> None:
    """Write lines of a case as a bank's CSV file."""
    minor = pl.col("amount_minor")
    digits = minor.abs().cast(pl.String).str.zfill(3)
    lines.select(
        txn_id="txn_id",
        timestamp=pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        amount=pl.concat_str(
            pl.when(minor < 0).then(pl.lit("-")).otherwise(pl.lit("")),
            digits.str.head(-2),
            pl.lit("."),
            digits.str.tail(2),
        ),
        currency=pl.lit(CURRENCY),
        description="description",
        counterparty="counterparty",
    ).write_csv(path)


def _events(dice: np.random.Generator, count: int) -> pl.DataFrame:
    parties = _parties(dice, max(_PARTIES_MIN, count // _ROWS_PER_PARTY))
    minor = np.maximum(50, np.exp(dice.normal(9.5, 1.1, count))).astype(np.int64)
    minor = np.where(dice.random(count) < _ROUND_AMOUNTS, np.maximum(minor // 100, 1) * 100, minor)
    sign = np.where(dice.random(count) < _ARRIVES, 1, -1)
    start = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
    seconds = dice.integers(0, DAYS * 86_400, count)
    reference, number = (
        pl.Series(dice.permutation(count)).cast(pl.String).str.zfill(8) for _ in range(2)
    )
    who = parties[dice.integers(0, parties.height, count)]
    what = pl.Series(PRODUCTS)[dice.integers(0, len(PRODUCTS), count)]
    return pl.DataFrame(
        {
            "reference": "PAY-" + reference,
            "amount_minor": minor * sign,
            "effective_at": pl.Series(seconds * 1_000_000).cast(pl.Duration("us")) + start,
            "description": what + " " + who["name"] + ", invoice " + number,
            "counterparty": who["name"] + " " + who["form"],
            "name": who["name"],
            "what": what,
            "number": number,
        }
    )


def _parties(dice: np.random.Generator, count: int) -> pl.DataFrame:
    def some(words: tuple[str, ...]) -> pl.Series:
        return pl.Series(words)[dice.integers(0, len(words), count)]

    brand = (some(SYLLABLES) + some(SYLLABLES) + some(SYLLABLES)).str.to_titlecase()
    return pl.DataFrame({"name": brand + " " + some(TRADES), "form": some(_FORMS)})


def _lines(dice: np.random.Generator, told: pl.DataFrame) -> pl.DataFrame:
    """Return what the bank says: our reference in exact lines only, the invoice in half of all."""
    count = told.height
    lag = dice.choice(_LAGS[0], count, p=_LAGS[1])
    coin = pl.Series("coin", dice.random(count))
    own_id = pl.Series("own_id", dice.integers(10**9, 10**10, count)).cast(pl.String)
    later = pl.Series("later", lag).cast(pl.Int64) * 86_400_000_000
    shouted = pl.col("name").str.to_uppercase()
    return (
        told.with_columns(coin, own_id, later.cast(pl.Duration("us")))
        .with_columns(
            txn_id=pl.when(pl.col("kind") == "exact")
            .then("reference")
            .when(pl.col("coin") < 0.5)
            .then(pl.concat_str(pl.lit("BK"), "own_id")),
            timestamp=pl.col("effective_at") + pl.col("later"),
            description=pl.when(pl.col("coin") * 4 % 1 < 0.5)
            .then(pl.concat_str(pl.lit("SEPA "), shouted, pl.lit(" RE "), "number"))
            .otherwise(pl.concat_str(shouted, pl.lit(" "), pl.col("what").str.to_uppercase())),
            counterparty=pl.when(pl.col("coin") * 8 % 1 < 0.8).then(shouted),
            truth=pl.when(pl.col("kind") != "alone").then("reference"),
        )
        .select(
            "txn_id", "timestamp", "amount_minor", "description", "counterparty", "kind", "truth"
        )
        .sort("timestamp", maintain_order=True)
    )

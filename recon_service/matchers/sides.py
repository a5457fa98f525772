"""One shape for both sides of a match, with the canonical forms that the passes compare."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from recon_service.domain.calendars import business_day_numbers
from recon_service.domain.config import Window

SIDE_COLUMNS = (
    "id",
    "reference",
    "at",
    "on",
    "day",
    "amount_minor",
    "currency",
    "text",
    "counterparty",
)
# One total order over content, so that no decision depends on the order in which rows arrive.
ORDER = ("currency", "amount_minor", "on", "at", "reference", "text", "counterparty", "id")
_LEGAL_FORMS = (
    r"\b(gmbh|mbh|ag|kg|ohg|ug|ltd|limited|llc|inc|corp|co|plc"
    r"|sa|sas|sarl|srl|spa|bv|nv|ab|oy|as)\b"
)


@dataclass(frozen=True, slots=True)
class Sides:
    """Records and ledger items under the same column names, each in content order."""

    records: pl.DataFrame
    items: pl.DataFrame


def two_sides(left: pl.DataFrame, right: pl.DataFrame, window: Window) -> Sides:
    """Return both sides renamed to SIDE_COLUMNS; records keep `scale` as well.

    `day` numbers the days in the window's unit: a lag is the record's number minus the item's.
    """
    records = left.select(
        id="record_id",
        reference=_id(pl.col("external_id")),
        at="occurred_at",
        on="booked_on",
        day=day_numbers(left["booked_on"], left["currency"], window),
        **_same("amount_minor", "currency", "text", "counterparty", "scale"),
    )
    items = right.select(
        id="internal_id",
        reference=_id(pl.col("reference")),
        at="effective_at",
        on="effective_on",
        day=day_numbers(right["effective_on"], right["currency"], window),
        **_same("amount_minor", "currency", "text", "counterparty"),
    )
    return Sides(records, items)


def day_numbers(on: pl.Series, currency: pl.Series, window: Window) -> pl.Series:
    """Return the number of each day, as Int64, in the window's unit and calendar."""
    days = on.to_physical().cast(pl.Int64)
    if window.unit == "calendar_days":
        return days
    if window.calendar is not None:
        return pl.Series(business_day_numbers(window.calendar, days.to_numpy()))
    numbers, codes = days.to_numpy().copy(), currency.to_numpy()
    for code in currency.unique().sort().to_list():
        rows = np.flatnonzero(codes == code)
        numbers[rows] = business_day_numbers(code, numbers[rows])
    return pl.Series(numbers)


def without(frame: pl.DataFrame, taken: pl.Series) -> pl.DataFrame:
    """Return the rows whose id is not taken, in the same order."""
    return frame.join(taken.to_frame("id"), on="id", how="anti", maintain_order="left")


def words(text: pl.Series) -> pl.Series:
    """Return the words of each text without case, accents and compatibility forms (NFKD).

    One space stands between words; null where there is none. Plain ASCII, most of the lines of
    most banks, takes a short way to the same result.
    """
    is_plain = (text.str.len_bytes() == text.str.len_chars()).fill_null(True)
    if is_plain.all():
        return _spaced(text.str.to_lowercase(), "[^a-z0-9]+")
    rows = (~is_plain).arg_true()
    folded = (
        text.gather(rows)
        .str.normalize("NFKD")
        .str.replace_all(r"\p{M}", "")
        .str.to_lowercase()
        .str.replace_all("ß", "ss", literal=True)
    )
    plain = _spaced(text.set(~is_plain, None).str.to_lowercase(), "[^a-z0-9]+")
    return plain.scatter(rows, _spaced(folded, r"[^\p{L}\p{N}]+"))


def canonical(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the forms that are compared: those of `referenced` and `described`."""
    return described(referenced(frame))


def referenced(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `ref_words` and `ref`: the reference's words with and without spaces."""
    return frame.with_columns(ref_words=words(frame["reference"])).with_columns(
        ref=pl.col("ref_words").str.replace_all(" ", "", literal=True)
    )


def described(frame: pl.DataFrame) -> pl.DataFrame:
    """Add to a `referenced` frame what takes the most time: the forms of what people wrote.

    `words` are the text's, `party` the counterparty's without its legal form, `ref_digits` the
    reference's digits from five on without leading zeros.
    """
    digits = pl.col("ref").str.replace_all("[^0-9]", "").str.strip_chars_start("0")
    short = (
        pl.col("party")
        .str.replace_all(_LEGAL_FORMS, "")
        .str.replace_all(" +", " ")
        .str.strip_chars(" ")
    )
    return frame.with_columns(
        words=words(frame["text"]),
        party=words(frame["counterparty"]),
    ).with_columns(
        ref_digits=pl.when(digits.str.len_bytes() >= 5).then(digits),
        party=pl.when(short != "").then(short).otherwise("party"),
    )


def story() -> pl.Expr:
    """Return the words of the text and those of the counterparty that it does not name."""
    text = pl.col("words").str.split(" ").fill_null([])
    more = pl.col("party").str.split(" ").fill_null([]).list.set_difference(text).list.sort()
    joined = pl.concat_list(text, more).list.join(" ")
    return pl.when(joined != "").then(joined)


def told(frame: pl.DataFrame) -> pl.Series:
    """Return text and counterparty as one, words twice where both have them: for counting."""
    joined = pl.concat_str("words", "party", separator=" ", ignore_nulls=True)
    return frame.select(told=pl.when(joined != "").then(joined)).to_series()


def _spaced(text: pl.Series, separators: str) -> pl.Series:
    spaced = text.str.replace_all(separators, " ").str.strip_chars(" ")
    return spaced.set(spaced == "", None)


def dense_codes(*columns: pl.Series) -> list[pl.Series]:
    """Return equal integers for equal values over all given columns; null stays null."""
    values = pl.concat([column.rename("value") for column in columns])
    codes = values.rank("dense").cast(pl.Int64)
    bounds = [0]
    for column in columns:
        bounds.append(bounds[-1] + len(column))
    return [codes[start:stop] for start, stop in pairwise(bounds)]


def _id(column: pl.Expr) -> pl.Expr:
    stripped = column.str.strip_chars()
    return pl.when(stripped != "").then(stripped)


def _same(*names: str) -> dict[str, pl.Expr]:
    return {name: pl.col(name) for name in names}

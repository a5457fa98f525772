"""How two references are related, pair by pair: equal, contained, found in a text, mistyped."""

import numpy as np
import numpy.typing as npt
import polars as pl
from rapidfuzz import process
from rapidfuzz.distance import OSA

from recon_service.domain.evidence import REFERENCE

Ints = npt.NDArray[np.int64]

EQUAL, SAME_DIGITS, CONTAINED, IN_TEXT, ONE_APART, TWO_APART, UNRELATED, SERIES, MISSING = range(
    len(REFERENCE)
)
# Shorter references, or ones with hardly a digit, occur inside others by chance.
_SOLID_LENGTH_MIN = 6
_SOLID_DIGITS_MIN = 3
_MISTYPED_LENGTH_MIN = 8
_TWO_APART_LENGTH_MIN = 12


def reference_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Add what the comparison of canonical rows needs: ids to look for, and texts to look in."""
    ref = pl.col("ref")
    is_solid = (ref.str.len_chars() >= _SOLID_LENGTH_MIN) & (
        ref.str.count_matches("[0-9]") >= _SOLID_DIGITS_MIN
    )
    return frame.with_columns(
        solid=pl.when(is_solid).then(ref),
        solid_words=pl.when(is_solid).then(pl.format(" {} ", "ref_words")),
        solid_one_word=pl.when(is_solid).then(pl.format(" {} ", "ref")),
        solid_digits=pl.when(is_solid).then(pl.format(" {} ", "ref_digits")),
        spaced=pl.format(" {} ", "words"),
        spaced_digits=pl.format(" {} ", pl.col("words").str.replace_all(r"\b0+([1-9])", "${1}")),
    ).with_columns(
        series=pl.format(" {} ", _series(pl.when(is_solid).then("ref_words"))),
        one_word_series=pl.format(" {} ", _series(pl.col("solid"))),
        shown_series=pl.concat_str(
            pl.format(" {} ", _series(pl.col("words"))).fill_null(""),
            pl.format(" {} ", _series(pl.col("ref_words"))).fill_null(""),
        ),
    )


def _series(words: pl.Expr) -> pl.Expr:
    """Return words with every number as its length: equal for all ids of one series.

    PAY-2025-0713 and PAY-2025-0714 are both "pay 9:4 9:4", SO25281 is "so9:5"; of a code such as
    V7YKSS the length counts.
    """
    word = pl.element()
    digits = word.str.count_matches("[0-9]").cast(pl.String)
    masked = (
        pl.when(~word.str.contains("[0-9]"))
        .then(word)
        .when(word.str.contains(r"^\p{L}*[0-9]+$"))
        .then(pl.concat_str(word.str.extract(r"^(\p{L}*)"), pl.lit("9:"), digits))
        .otherwise(pl.concat_str(pl.lit("#:"), word.str.len_chars().cast(pl.String)))
    )
    return words.str.split(" ").list.eval(masked).list.join(" ")


def reference_levels(
    records: pl.DataFrame, items: pl.DataFrame, rows: Ints, columns: Ints
) -> npt.NDArray[np.int8]:
    """Return the index in REFERENCE for each pair (rows[k], columns[k]).

    Both frames have `reference_columns` and the boolean `orphan`: no row of the whole other side
    has this very reference. Only two orphans can be one id mistyped: neighbours in a numbered
    series are one character apart as well. Where nothing relates them, but one side shows an id
    of the very shape of the other's reference, it shows another of the same series.
    """
    level = np.full(len(rows), MISSING, np.int8)
    one, other = _Side(records, rows), _Side(items, columns)
    in_text = _contains(other["spaced"], one["solid_words"]) | _contains(
        other["spaced"], one["solid_one_word"]
    )
    in_text |= _contains(one["spaced"], other["solid_words"]) | _contains(
        one["spaced"], other["solid_one_word"]
    )
    in_text |= _contains(other["spaced_digits"], one["solid_digits"]) | _contains(
        one["spaced_digits"], other["solid_digits"]
    )
    both = (one["ref"].is_not_null() & other["ref"].is_not_null()).to_numpy()
    level[both] = UNRELATED
    series = _contains(other["shown_series"], one["series"])
    series |= _contains(one["shown_series"], other["series"])
    series |= _contains(other["shown_series"], one["one_word_series"])
    series |= _contains(one["shown_series"], other["one_word_series"])
    level[series.to_numpy()] = SERIES
    orphans = np.flatnonzero((one["orphan"] & other["orphan"]).fill_null(False).to_numpy())
    mistyped = _mistyped(one["solid"].gather(orphans), other["solid"].gather(orphans))
    level[orphans] = np.minimum(level[orphans], mistyped)
    level[in_text.to_numpy()] = IN_TEXT
    contained = _contains(other["solid"], one["solid"]) | _contains(one["solid"], other["solid"])
    level[contained.to_numpy()] = CONTAINED
    level[_equal(one["ref_digits"], other["ref_digits"])] = SAME_DIGITS
    level[_equal(one["ref"], other["ref"])] = EQUAL
    return level


class _Side:
    """The columns of one side, gathered for the pairs when they are asked for."""

    def __init__(self, frame: pl.DataFrame, rows: Ints) -> None:
        self._frame, self._rows = frame, rows

    def __getitem__(self, name: str) -> pl.Series:
        return self._frame[name].gather(self._rows)


def _contains(text: pl.Series, part: pl.Series) -> pl.Series:
    frame = pl.DataFrame({"text": text, "part": part})
    found = pl.col("text").str.contains(pl.col("part"), literal=True)
    return frame.select(found.fill_null(False)).to_series()


def _equal(one: pl.Series, other: pl.Series) -> npt.NDArray[np.bool_]:
    return (one == other).fill_null(False).to_numpy()


def _mistyped(one: pl.Series, other: pl.Series) -> npt.NDArray[np.int8]:
    """Return ONE_APART, TWO_APART, UNRELATED or MISSING; a swap of neighbours counts as one."""
    level = np.where(one.is_null() | other.is_null(), MISSING, UNRELATED).astype(np.int8)
    lengths = np.column_stack(
        [one.str.len_chars().fill_null(0), other.str.len_chars().fill_null(0)]
    )
    shorter, longer = lengths.min(axis=1), lengths.max(axis=1)
    near = np.flatnonzero((shorter >= _MISTYPED_LENGTH_MIN) & (longer - shorter <= 2))
    if len(near) == 0:
        return level
    distance = process.cpdist(
        one.gather(near).to_list(),
        other.gather(near).to_list(),
        scorer=OSA.distance,
        score_cutoff=2,
        dtype=np.int32,
    )
    level[near[distance == 1]] = ONE_APART
    level[near[(distance == 2) & (shorter[near] >= _TWO_APART_LENGTH_MIN)]] = TWO_APART
    return level

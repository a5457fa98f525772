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
    """Add what the comparison of canonical rows needs: `solid`, `solid_words` and `spaced`."""
    ref = pl.col("ref")
    is_solid = (ref.str.len_chars() >= _SOLID_LENGTH_MIN) & (
        ref.str.count_matches("[0-9]") >= _SOLID_DIGITS_MIN
    )
    return frame.with_columns(
        solid=pl.when(is_solid).then(ref),
        solid_words=pl.when(is_solid).then(pl.format(" {} ", "ref_words")),
        solid_one_word=pl.when(is_solid).then(pl.format(" {} ", "ref")),
        spaced=pl.format(" {} ", "words"),
    ).with_columns(
        series=_masked("solid_words"),
        spaced_series=pl.concat_str(
            _masked("spaced").fill_null(""), pl.format(" {} ", _masked("ref_words")).fill_null("")
        ),
    )


def _masked(column: str) -> pl.Expr:
    """Return a text with every digit as 9: equal for all ids of one series."""
    return pl.col(column).str.replace_all("[0-9]", "9")


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
    both = (one["ref"].is_not_null() & other["ref"].is_not_null()).to_numpy()
    level[both] = UNRELATED
    series = _contains(other["spaced_series"], one["series"]) | _contains(
        one["spaced_series"], other["series"]
    )
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

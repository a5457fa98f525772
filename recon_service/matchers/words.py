"""How surprising each word of the run is, and what two descriptions share, pair by pair."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from rapidfuzz import fuzz, process
from scipy import sparse

from recon_service.domain.evidence import RARE_BITS_FROM

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# A small run knows too little about words: it borrows this many imagined lines, in which every
# word stands once and the usual words of payments in two fifths.
_BACKGROUND_LINES = 100
_USUAL_LINES = 40
_USUAL_WORDS = (
    "payment payments paid pay transfer sepa credit debit card direct invoice inv ref reference"
    " order id no nr from to for of the and by in on at bank account deposit withdrawal fee"
    " purchase pos online services service customer client ltd limited llc inc corp gmbh ag sa bv"
    " zahlung uberweisung lastschrift gutschrift rechnung an von fur und der die das"
    " virement prelevement facture paiement de la le du et pour pago factura para el y"
)
# Words below this surprise say nothing about who is meant.
_NAME_BITS_MIN = 1.5
# A smaller description that lies whole inside a longer one still counts for most.
_SHORTER_SHARE = 0.7
_CHUNK_PAIRS = 500_000


def surprise(
    *texts: pl.Series, sample: Sequence[pl.Series] = (), sampled: float = 1.0
) -> pl.DataFrame:
    """Return `word` and `bits`: how little one expects to meet the word in a line of this run.

    The words are those of `texts`. Each line of `sample` stands for so many (`sampled`) others,
    in which they are counted too.
    """
    lines, others = _lines(texts), _lines(sample)
    said = _said(lines)
    known = said.select(pl.col("word").unique().sort())
    counts = _lines_of(said, known) + _lines_of(_said(others), known) * sampled
    usual = pl.when(pl.col("word").is_in(_USUAL_WORDS.split())).then(_USUAL_LINES).otherwise(1)
    odds = (len(lines) + len(others) * sampled + _BACKGROUND_LINES) / (pl.col("lines") + usual)
    bits = odds.log(2).clip(lower_bound=0.0)
    return known.with_columns(lines=pl.Series(counts)).select("word", bits=bits)


def _lines(texts: Sequence[pl.Series]) -> pl.Series:
    nothing = pl.Series("words", [], pl.String)
    return pl.concat([nothing, *(text.rename("words").drop_nulls() for text in texts)])


def _said(lines: pl.Series) -> pl.DataFrame:
    """Return `line` and `word` for each word of each line."""
    words = lines.str.split(" ").rename("word")
    return words.to_frame().with_row_index("line").explode("word", empty_as_null=True)


def _lines_of(said: pl.DataFrame, known: pl.DataFrame) -> Floats:
    """Return in how many lines each of the `known` words stands; a line may say it twice."""
    places = known.with_row_index("place")
    once = said.join(places, on="word").select("line", "place").unique()
    return np.bincount(once["place"].to_numpy(), minlength=known.height).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Descriptions:
    """The words of one side's rows, weighed: as a sparse matrix and as names to compare."""

    weights: sparse.csr_array
    is_id: Floats
    total: Floats
    names: npt.NDArray[np.object_]
    sorted_names: npt.NDArray[np.object_]
    name_bits: Floats

    @classmethod
    def of(cls, rows: pl.Series, bits: pl.DataFrame) -> "Descriptions":
        """`rows` holds canonical words, `bits` is `surprise` of the run."""
        vocabulary = bits.with_row_index("column")
        words = (
            rows.rename("word")
            .to_frame()
            .with_row_index("row")
            .with_columns(pl.col("word").str.split(" "))
            .explode("word")
            .drop_nulls("word")
            .join(vocabulary, on="word", maintain_order="left")
        )
        cells = words.select("row", "column", "bits").unique().sort("row", "column")
        weights = sparse.csr_array(
            (
                cells["bits"].to_numpy(),
                (cells["row"].to_numpy().astype(np.int64), cells["column"].to_numpy()),
            ),
            shape=(len(rows), vocabulary.height),
        )
        named = words.filter(
            ~pl.col("word").str.contains(r"\p{N}"), pl.col("bits") >= _NAME_BITS_MIN
        )
        names = named.group_by("row", maintain_order=True).agg(
            name=pl.col("word").str.join(" "),
            sorted_name=pl.col("word").sort().str.join(" "),
            name_bits=pl.col("bits").sum(),
        )
        every = pl.DataFrame({"row": np.arange(len(rows), dtype=np.uint32)}).join(
            names, on="row", how="left", maintain_order="left"
        )
        return cls(
            weights=weights,
            is_id=bits["word"].str.contains(r"\p{N}").cast(pl.Float64).to_numpy(),
            total=np.asarray(weights.sum(axis=1)),
            names=every["name"].to_numpy(),
            sorted_names=every["sorted_name"].to_numpy(),
            name_bits=every["name_bits"].fill_null(0.0).to_numpy(),
        )


@dataclass(frozen=True, slots=True)
class SharedWords:
    """What two descriptions share, per pair; NaN where a side has nothing to compare.

    `rare` is what lies above RARE_BITS_FROM bits in shared words, `rare_ids` in those with digits.
    """

    overlap: Floats
    shared: Floats
    rare: Floats
    rare_ids: Floats
    name: Floats
    name_bits: Floats

    def of_pairs(self, kept: Ints) -> "SharedWords":
        """Return what the pairs at these positions share."""
        return SharedWords(*(getattr(self, name)[kept] for name in self.__slots__))


def shared_words(left: Descriptions, right: Descriptions, rows: Ints, columns: Ints) -> SharedWords:
    """Compare the descriptions of each pair (rows[k], columns[k])."""
    shared, rare, rare_ids = (np.zeros(len(rows)) for _ in range(3))
    present = left.weights.copy()
    present.data = np.ones_like(present.data)
    for start in range(0, len(rows), _CHUNK_PAIRS):
        part = slice(start, start + _CHUNK_PAIRS)
        common = present[rows[part]].multiply(right.weights[columns[part]]).tocsr()
        shared[part] = np.asarray(common.sum(axis=1))
        common.data = np.maximum(common.data - RARE_BITS_FROM, 0.0)
        rare[part] = np.asarray(common.sum(axis=1))
        rare_ids[part] = common @ left.is_id
    one, other = left.total[rows], right.total[columns]
    shorter, longer = np.minimum(one, other), np.maximum(one, other)
    whole = _SHORTER_SHARE * shorter + (1 - _SHORTER_SHARE) * longer
    overlap = np.full(len(rows), np.nan)
    np.divide(shared, whole, out=overlap, where=shorter > 0)
    return SharedWords(
        overlap=np.minimum(overlap, 1.0),
        shared=shared,
        rare=rare,
        rare_ids=rare_ids,
        name=np.fmax(
            similarity(left.names[rows], right.names[columns]),
            similarity(left.sorted_names[rows], right.sorted_names[columns]),
        ),
        name_bits=np.minimum(left.name_bits[rows], right.name_bits[columns]),
    )


def similarity(left: npt.NDArray[np.object_], right: npt.NDArray[np.object_]) -> Floats:
    """Return the share of characters in common order, 0 to 1, pair by pair; NaN if one lacks."""
    result = np.full(len(left), np.nan)
    both = np.flatnonzero((left != None) & (right != None))  # noqa: E711 - elementwise
    if len(both):
        result[both] = (
            process.cpdist(
                left[both].tolist(), right[both].tolist(), scorer=fuzz.ratio, dtype=np.float64
            )
            / 100
        )
    return result

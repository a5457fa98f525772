"""What may tie the rows of a group together: a batch key, a counterparty, a telling word."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from rapidfuzz import fuzz, process

from recon_service.domain.evidence import COUNTERPARTY
from recon_service.matchers.words import surprise

Ints = npt.NDArray[np.int64]

# From strong to weak. A token is a key that may be a date, so that much else carries it too.
KINDS = ("key", "token", "party", "word")

_KEY_LENGTH_MIN = 5
# A key on more rows than this names no batch; such keys are counted.
KEY_ROWS_MAX = 2000
_WORD_BITS_MIN = 2.0
_WORDS_PER_ROW_MAX = 8
_WORD_ROWS_MAX = 20_000
# Names are compared each with each up to here; beyond, only equal ones are the same.
_NAME_PAIRS_MAX = 4_000_000

# A short word and a number, which other writers join: "PO 2231".
_PREFIXED = r"\b\p{L}{1,10} [\p{L}\p{N}]*[0-9]{3}[\p{L}\p{N}]*"
DATE_LIKE = (
    r"^((19|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])|([0-2]\d|3[01])(0[1-9]|1[0-2])(19|20)\d{2}"
    r"|\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])|([0-2]\d|3[01])(0[1-9]|1[0-2])\d{2}"
    r"|\p{L}+(19|20)\d{2})$"
)


@dataclass(frozen=True, slots=True)
class Links:
    """Which rows of both sides share one key of one kind and a currency.

    `records` and `items` hold (`pool`, `row`), sorted; `keys` is each pool's key. Only pools
    that occur on both sides are kept; `crowded` is the number of keys that were too common.
    """

    kind: str
    records: pl.DataFrame
    items: pl.DataFrame
    keys: list[str]
    crowded: int = 0


def links(records: pl.DataFrame, items: pl.DataFrame) -> dict[str, Links]:
    """Return the links of each kind; both frames are canonical, their row numbers are `row`."""
    found = tokens(records), tokens(items)
    is_date = pl.col("key").str.contains(DATE_LIKE)
    keys = [side.filter(~is_date) for side in found]
    dates = [side.filter(is_date) for side in found]
    return {
        "key": _linked("key", *keys, rows_max=KEY_ROWS_MAX),
        "token": _linked("token", *dates, rows_max=KEY_ROWS_MAX),
        "party": _linked("party", *_parties(records, items), rows_max=_WORD_ROWS_MAX),
        "word": _linked("word", *_telling_words(records, items), rows_max=_WORD_ROWS_MAX),
    }


def _linked(kind: str, records: pl.DataFrame, items: pl.DataFrame, *, rows_max: int) -> Links:
    """Number the keys that both sides have; the columns given are currency, key and row."""
    on = ("currency", "key")
    pools = (
        records.group_by(on)
        .agg(records=pl.len())
        .join(items.group_by(on).agg(items=pl.len()), on=on)
    )
    few = pl.max_horizontal("records", "items") <= rows_max
    kept = pools.filter(few).sort(on).with_row_index("pool").with_columns(pl.col("pool").cast(int))
    ours, theirs = (
        side.join(kept.select("pool", *on), on=on).select("pool", "row").sort("pool", "row")
        for side in (records, items)
    )
    return Links(kind, ours, theirs, keys=kept["key"].to_list(), crowded=pools.height - kept.height)


def tokens(rows: pl.DataFrame) -> pl.DataFrame:
    """Return what looks like an id in reference and text: as written, by word, and with prefix.

    "PO-2231", "PO2231" and "PO 2231" all give po2231, the first and last 2231 as well.
    """
    text = pl.col("text").str.to_lowercase()
    words = pl.concat_str("ref_words", "words", separator=" ", ignore_nulls=True)
    found = pl.concat_list(
        pl.concat_list("ref").list.drop_nulls(),
        text.str.extract_all(r"\S*[0-9]\S*").fill_null([]),
        words.str.extract_all(r"[\p{L}\p{N}]*[0-9][\p{L}\p{N}]*").fill_null([]),
        words.str.extract_all(_PREFIXED).fill_null([]),
    )
    key = pl.col("key")
    return (
        rows.select("currency", "row", key=found)
        .explode("key")
        .drop_nulls("key")
        .with_columns(key.str.replace_all(r"[^\p{L}\p{N}]+", ""))
        .filter(
            key.str.len_chars() >= _KEY_LENGTH_MIN,
            key.str.contains("[0-9]"),
        )
        .unique()
    )


def _parties(records: pl.DataFrame, items: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows under their counterparty's name: a record's also stands for similar ones."""
    ours, theirs = (
        side.select("currency", "row", key="party").drop_nulls("key") for side in (records, items)
    )
    left = ours["key"].unique().sort().to_list()
    right = theirs["key"].unique().sort().to_list()
    pairs = [(name, name) for name in sorted(set(left) & set(right))]
    if 0 < len(left) * len(right) <= _NAME_PAIRS_MAX:
        least = 100 * COUNTERPARTY[0].bound
        alike = process.cdist(left, right, scorer=fuzz.ratio, score_cutoff=least)
        pairs += [
            (left[i], right[j]) for i, j in np.argwhere(alike > 0).tolist() if left[i] != right[j]
        ]
    names = pl.DataFrame(pairs, schema={"name": pl.String, "key": pl.String}, orient="row")
    theirs = theirs.join(names, on="key").select("currency", "row", key="name").unique()
    return ours, theirs


def _telling_words(records: pl.DataFrame, items: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return each row under the rarest of its words that both sides know, names included."""
    texts = [
        side.select(
            "currency",
            "row",
            words=pl.concat_str("words", "party", separator=" ", ignore_nulls=True),
        )
        for side in (records, items)
    ]
    bits = surprise(texts[0]["words"], texts[1]["words"]).filter(
        pl.col("word") != "",
        pl.col("bits") >= _WORD_BITS_MIN,
        ~pl.col("word").str.contains(r"\p{N}"),
    )
    sides = [
        side.with_columns(word=pl.col("words").str.split(" ").list.unique())
        .explode("word")
        .join(bits, on="word")
        for side in texts
    ]
    known = [
        side.join(other, on=("currency", "word"), how="semi")
        for side, other in zip(sides, reversed(sides), strict=True)
    ]
    return tuple(  # type: ignore[return-value]
        side.sort("row", "bits", "word", descending=(False, True, False))
        .group_by("row", maintain_order=True)
        .head(_WORDS_PER_ROW_MAX)
        .select("currency", "row", key="word")
        for side in known
    )

"""Groups by sum alone: all rows of one look on a day or some, where the single row names nobody.

A clearing house pays for a provider that only the ledger knows. No name and no key ties such a
line to its items, but all that one party has on one day makes up an amount that chance hardly
hits. So the open rows are added up by what they look like and by runs of busy days, and the sums
are looked up among the single rows by currency and amount, whoever is named there.

The sums that can hit fall into levels, from few to many: one day of a look, several days of it,
one day of a word, several days of it. How many of its own and the earlier levels lie around an
amount says how often chance alone hits it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.matchers.group_days import BUSY_DAYS_MAX, MEMBERS_MAX, has_smaller
from recon_service.matchers.group_rows import Fee, Hit, Rows, Searched, View, whole_unit_minor

Ints = npt.NDArray[np.int64]

LEVELS = ("day", "days", "word day", "word days")
_WORDS_PER_ROW_MAX = 8
_WORD_CHARS_MIN = 3
# Sums formed per search; single days come first, what is not formed is counted as cut.
_SUMS_MAX = 4_000_000
_HAS_DIGIT = r"\p{N}"


def day_sums(view: View) -> list[Searched]:
    """Find the single rows that are the sum of all open rows of a look, or a word, over days.

    A single row is an answer too where it has the amount, and so is any other set of rows.
    Searched are the four levels in turn.
    """
    hits: dict[int, tuple[int, Hit]] = {}
    tried: list[set[int]] = [set() for _ in LEVELS]
    cut = 0
    for fee in view.fees:
        sums = DaySums.of(view, fee)
        found = _answers(view, sums, fee)
        singles = _singles(view, found, fee)
        for (one,), same in found.group_by("one", maintain_order=True):
            if one not in hits and (hit := _hit(view, sums, same, singles, fee)):
                hits[int(one)] = hit
        for level, rows in enumerate(_tried(view, sums, fee)):
            tried[level] |= rows
        cut = max(cut, sums.cut)
    return [
        Searched(
            [hit for own, hit in hits.values() if own == level],
            len(tried[level]),
            cut if level == 0 else 0,
        )
        for level in range(len(LEVELS))
    ]


@dataclass(frozen=True, slots=True)
class DaySums:
    """Sums over runs of days, each set of rows once; `row` are the rows that they run over.

    `runs` has currency, sum, first_day, last_day, begin, end (of `row`), level and key, sorted by
    currency and first day.
    """

    runs: pl.DataFrame
    row: Ints
    cut: int
    bounds: dict[str, slice]
    _first_day: Ints
    _last_day: Ints
    _level: Ints
    _sum: Ints

    @classmethod
    def of(cls, view: View, fee: Fee | None) -> "DaySums":
        """Add up all open rows of the many's side."""
        keyed = _keyed(view.many)
        row = keyed["row"].to_numpy()
        _, amounts = view.amounts(fee)
        blocks = (
            keyed.with_columns(
                amount=amounts[row], mark=_marks(len(view.many.ids))[row], day=view.many.day[row]
            )
            .with_row_index("place")
            .group_by("pool", "day", maintain_order=True)
            .agg(
                pl.first("currency", "key", "is_word"),
                begin=pl.min("place").cast(pl.Int64),
                end=pl.max("place").cast(pl.Int64) + 1,
                sum=pl.sum("amount"),
                mark=pl.sum("mark"),
            )
        )
        runs, cut = _runs(blocks, span_days=view.span_days)
        several = runs.filter(pl.col("end") - pl.col("begin") > 1, pl.col("sum") != 0)
        distinct = several.sort("level", "key", "first_day").unique(
            ("currency", "mark"), keep="first", maintain_order=True
        )
        runs = distinct.sort("currency", "first_day", "level", "key", "end")
        ends = (
            runs.with_row_index("place")
            .group_by("currency")
            .agg(first=pl.min("place"), last=pl.max("place"))
        )
        return cls(
            runs,
            row,
            cut,
            {code: slice(first, last + 1) for code, first, last in ends.iter_rows()},
            *(runs[name].to_numpy() for name in ("first_day", "last_day", "level", "sum")),
        )

    def members(self, begin: int, end: int) -> tuple[int, ...]:
        """Return the rows of one run."""
        return tuple(sorted(self.row[begin:end].tolist()))

    def near(self, answer: dict[str, Any]) -> int:
        """Count the sums up to this level within half the amount, in the window."""
        own = self.bounds[answer["currency"]]
        day = self._first_day[own]
        low = own.start + int(np.searchsorted(day, answer["first"], side="left"))
        high = own.start + int(np.searchsorted(day, answer["last"], side="right"))
        amount = answer["sum"]
        is_near = (
            (self._last_day[low:high] <= answer["last"])
            & (self._level[low:high] <= answer["level"])
            & (np.abs(self._sum[low:high] - amount) <= abs(amount) // 2)
        )
        return int(is_near.sum())


def _keyed(many: Rows) -> pl.DataFrame:
    """Return each open row under its look and its words, by pool, day and row."""
    plain = pl.col("words").str.replace_all(rf"\S*{_HAS_DIGIT}\S*", "").str.replace_all(" +", " ")
    frame = many.frame.filter(pl.Series(many.free)).select(
        "row", "currency", "day", "words", look=pl.coalesce("party", plain).fill_null("")
    )
    looks = frame.select("row", "currency", "day", key="look", is_word=False)
    words = (
        frame.select(
            "row",
            "currency",
            "day",
            key=pl.col("words").str.split(" ").list.unique(maintain_order=True),
        )
        .explode("key")
        .filter(
            ~pl.col("key").str.contains(_HAS_DIGIT),
            pl.col("key").str.len_chars() >= _WORD_CHARS_MIN,
        )
        .group_by("row", maintain_order=True)
        .head(_WORDS_PER_ROW_MAX)
        .with_columns(is_word=True)
        .select(looks.columns)
    )
    return (
        pl.concat([looks, words])
        .with_columns(pool=pl.struct("is_word", "currency", "key").rank("dense").cast(pl.Int64))
        .sort("pool", "day", "row")
        .drop("day")
    )


def _marks(count: int) -> Ints:
    """Return a mark for each row, such that sums of marks tell sets of rows apart (SplitMix64)."""
    mark = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mark = (mark ^ (mark >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mark = (mark ^ (mark >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mark ^ (mark >> np.uint64(31))) >> np.uint64(24)).astype(np.int64)


def _runs(blocks: pl.DataFrame, *, span_days: int) -> tuple[pl.DataFrame, int]:
    """Return the runs of adjacent busy days of each pool, and how many pools were not finished."""
    pool, day = (blocks[name].to_numpy() for name in ("pool", "day"))
    total, marks = (np.append(0, np.cumsum(blocks[name].to_numpy())) for name in ("sum", "mark"))
    begins, ends, formed, cut = [], [], 0, 0
    for length in range(min(BUSY_DAYS_MAX, len(pool), span_days + 1)):
        begin = np.arange(len(pool) - length)
        end = begin + length
        kept = (pool[begin] == pool[end]) & (day[end] - day[begin] <= span_days)
        if not kept.any():
            break
        if formed > _SUMS_MAX:
            cut = len(np.unique(pool[begin[kept]]))
            break
        begins.append(begin[kept])
        ends.append(end[kept])
        formed += len(begins[-1])
    none = np.zeros(0, np.int64)
    begin, end = np.concatenate([none, *begins]), np.concatenate([none, *ends])
    level = 2 * blocks["is_word"].to_numpy()[begin].astype(np.int64) + (end > begin)
    frame = blocks[begin].select("currency", "key", "begin", first_day="day")
    frame = frame.with_columns(
        last_day=day[end],
        end=blocks["end"].to_numpy()[end],
        sum=total[end + 1] - total[begin],
        mark=marks[end + 1] - marks[begin],
        level=level,
    )
    return frame, cut


def _ones(view: View, fee: Fee | None) -> pl.DataFrame:
    """Return the open single rows: what each is to reach, and where."""
    one = np.flatnonzero(view.ones.free)
    target, _ = view.amounts(fee)
    first, last = view.reach(one)
    return pl.DataFrame(
        {
            "one": one,
            "currency": view.ones.frame["currency"].gather(one),
            "sum": target[one],
            "first": first,
            "last": last,
        }
    )


def _answers(view: View, sums: DaySums, fee: Fee | None) -> pl.DataFrame:
    """Join the single rows with the sums in their window that are equal."""
    answers = _ones(view, fee).join(sums.runs, on=("currency", "sum"))
    answers = answers.filter(
        pl.col("first_day") >= pl.col("first"), pl.col("last_day") <= pl.col("last")
    )
    return answers.sort("one", "level", "key", "begin", "end")


def _tried(view: View, sums: DaySums, fee: Fee | None) -> list[set[int]]:
    """Return for each level the single rows of about the size of a sum that begins in reach."""
    size = pl.col("sum").abs().log(2).floor().cast(pl.Int64) * pl.col("sum").sign()
    ones = (
        _ones(view, fee)
        .filter(pl.col("sum") != 0)
        .with_columns(size=size, first_day=pl.int_ranges("first", pl.col("last") + 1))
        .explode("first_day")
        .with_columns(pl.col("first_day").cast(pl.Int64))
    )
    runs = sums.runs.with_columns(size=size)
    on = ("currency", "size", "first_day")
    return [
        set(ones.join(runs.filter(pl.col("level") <= level), on=on, how="semi")["one"].to_list())
        for level in range(len(LEVELS))
    ]


def _hit(
    view: View, sums: DaySums, same: pl.DataFrame, singles: set[int], fee: Fee | None
) -> tuple[int, Hit] | None:
    """Return the answer of the first level, and how many there are; a huge one is none."""
    target, amounts = view.amounts(fee)
    answers = [
        answer for answer in same.to_dicts() if answer["end"] - answer["begin"] <= MEMBERS_MAX
    ]
    if not answers:
        return None
    answer = answers[0]
    one, level = answer["one"], answer["level"]
    members = sums.members(answer["begin"], answer["end"])
    near = sums.near(answer)
    unit = whole_unit_minor(amounts[list(members)])
    chance = unit / (abs(int(target[one])) + 1)
    solutions = len(same) + (one in singles)
    solutions += has_smaller(amounts[list(members)], int(target[one]))
    hit = Hit(
        view.is_payout,
        (one,),
        members,
        by="sum of days",
        kind=LEVELS[level],
        key=answer["key"],
        expected=(max(near - len(same), 0) + 0.5) * chance,
        solutions=solutions,
        fee=fee,
    )
    return level, hit


def _singles(view: View, found: pl.DataFrame, fee: Fee | None) -> set[int]:
    """Return the single rows whose amount one open row in the window has, of those with answers."""
    _, amounts = view.amounts(fee)
    row = np.flatnonzero(view.many.free)
    rows = pl.DataFrame(
        {
            "currency": view.many.frame["currency"].gather(row),
            "sum": amounts[row],
            "day": view.many.day[row],
        }
    ).unique()
    ones = found.select("one", "currency", "sum", "first", "last").unique("one")
    same = ones.join(rows, on=("currency", "sum"))
    same = same.filter(pl.col("day") >= pl.col("first"), pl.col("day") <= pl.col("last"))
    return set(same["one"].to_list())

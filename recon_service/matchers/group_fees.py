"""Groups less a fee that nobody declared: a provider's own rate, learned from its days and lines.

A provider pays out what it sold on a day less its fee, and its lines name it. How much it keeps is
unknown, but the same each time: a rate of the amounts and a fixed part of each item. For one
provider all lines are held against all days in their window; if a rule explains many of them, what
it explains is suggested. Nothing here is automatic: the rule is a guess until somebody declares it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.matchers.group_days import MEMBERS_MAX
from recon_service.matchers.group_keys import FEE_SHARE_MAX
from recon_service.matchers.group_rows import Hit, Searched, View
from recon_service.matchers.group_sums import DaySums

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_FIXED_MINOR_MAX = 100
_LINES_MIN = 4
# That so many differences follow one rule by chance.
_CHANCE_MAX = 1e-4
# Pairs of a line and a day that are looked at for one name; a name with more is no provider's.
_PAIRS_MAX = 2_000


def days_less_fees(view: View) -> Searched:
    """Find the payouts that are all open rows of a named look on a day, less that name's fee."""
    if not view.is_payout:
        return Searched([])
    sums = DaySums.of(view, None)
    pairs = _pairs(view, sums)
    hits: dict[int, Hit] = {}
    cut: set[int] = set()
    for _, own in pairs.group_by("currency", "key", maintain_order=True):
        if own.height > _PAIRS_MAX:
            cut.update(own["one"].to_list())
            continue
        for hit in _explained(sums, own):
            known = hits.get(hit.ones[0])
            if known is None or hit.expected < known.expected:
                hits[hit.ones[0]] = hit
    return Searched([hits[one] for one in sorted(hits)], pairs["one"].n_unique(), len(cut))


def _pairs(view: View, sums: DaySums) -> pl.DataFrame:
    """Return the single rows with each day in reach that they name and that may be charged."""
    days = (
        sums.runs.filter(
            pl.col("level") % 2 == 0,
            pl.col("key") != "",
            pl.col("sum") > 0,
            pl.col("end") - pl.col("begin") <= MEMBERS_MAX,
        )
        .with_columns(words=pl.col("key").str.split(" "))
        .with_columns(word=pl.col("words").list.get(_longest()))
    )
    one = np.flatnonzero(view.ones.free & (view.ones.amount_minor > 0))
    first, last = view.reach(one)
    ones = view.ones.frame[one].select(
        "currency",
        one="row",
        paid="amount_minor",
        story=pl.concat_str("words", "party", separator=" ", ignore_nulls=True).str.split(" "),
        first=pl.Series(first),
        last=pl.Series(last),
    )
    named = ones.with_columns(word=pl.col("story").list.unique()).explode("word")
    pairs = named.join(days, on=("currency", "word")).filter(
        pl.col("first_day").is_between(pl.col("first"), pl.col("last")),
        pl.col("paid") < pl.col("sum"),
        pl.col("words").list.set_difference("story").list.len() == 0,
    )
    return _with_turnover(view, sums, pairs)


def _longest() -> pl.Expr:
    """Return the place of the first of the longest words: it is on the fewest lines."""
    return pl.col("words").list.eval(pl.element().str.len_chars()).list.arg_max()


def _with_turnover(view: View, sums: DaySums, pairs: pl.DataFrame) -> pl.DataFrame:
    """Add what each day took in, and what moved either way; keep what a fee may explain."""
    amounts = view.many.amount_minor[sums.row]
    moved, taken = np.abs(amounts), np.maximum(amounts, 0)
    is_sale = (amounts > 0).astype(np.int64)
    begin, end = (pairs[name].to_numpy() for name in ("begin", "end"))
    gained = (np.append(0, np.cumsum(part)) for part in (moved, taken, is_sale))
    columns = [total[end] - total[begin] for total in gained]
    fee = pl.col("sum") - pl.col("paid")
    return (
        pairs.with_columns(
            pl.Series("moved", columns[0], dtype=pl.Int64),
            pl.Series("taken", columns[1], dtype=pl.Int64),
            pl.Series("sales", columns[2], dtype=pl.Int64),
            rows=pl.col("end") - pl.col("begin"),
            fee=fee,
        )
        .filter(pl.col("fee") * FEE_SHARE_MAX <= pl.col("moved"), pl.col("taken") > 0)
        .sort("currency", "key", "one", "first_day")
    )


@dataclass(frozen=True, slots=True)
class _Differences:
    """Of each pair: the line, the amounts and number of rows charged, and what was kept."""

    one: Ints
    charged: Ints
    count: Ints
    fee: Ints

    @property
    def slack(self) -> Floats:
        """Return by how much rounding row by row may move each fee: three standard deviations."""
        rounding: Floats = np.minimum(self.count / 2, 3 * np.sqrt(self.count / 12)) + 0.5
        return rounding

    def explained(self) -> tuple[int, Ints]:
        """Return how many lines the best rule explains, and the places of their pairs."""
        best: tuple[int, Ints] = (0, np.zeros(0, np.int64))
        for fixed in range(_FIXED_MINOR_MAX + 1):
            rest = self.fee - fixed * self.count
            fits = np.flatnonzero(rest + self.slack >= 0)
            if len(fits) <= best[0]:
                continue
            low, high = ((rest + sign * self.slack)[fits] / self.charged[fits] for sign in (-1, 1))
            # Each pair allows for some rates; most of them overlap where one of them begins.
            begun = np.searchsorted(np.sort(low), low, side="right")
            overlap = begun - np.searchsorted(np.sort(high), low, side="left")
            rate = low[int(np.argmax(overlap))]
            places = fits[(low <= rate) & (rate <= high)]
            lines = len(np.unique(self.one[places]))
            if lines > best[0]:
                best = lines, places
        return best

    @property
    def by_chance(self) -> Floats:
        """Return how likely each fee, if it were any up to the highest, follows a given rule."""
        share: Floats = np.minimum(2 * self.slack * FEE_SHARE_MAX / self.charged, 1.0)
        return share


def _explained(sums: DaySums, own: pl.DataFrame) -> Iterator[Hit]:
    """Yield the lines of one name that its rule explains.

    Some charge what they took in, others refunds as well.
    """
    columns = {name: own[name].to_numpy() for name in ("one", "taken", "sales", "moved", "rows")}
    fee = own["fee"].to_numpy()
    ways = [
        _Differences(columns["one"], columns[charged], columns[count], fee)
        for charged, count in (("taken", "sales"), ("moved", "rows"))
    ]
    found = [way.explained() for way in ways]
    way, (lines, places) = max(zip(ways, found, strict=True), key=lambda one: one[1][0])
    expected = math.fsum(sorted(way.by_chance))
    rules = 2 * _FIXED_MINOR_MAX * own.height
    is_chance = rules * expected ** (lines - 1) / math.factorial(lines - 1) > _CHANCE_MAX
    if lines < _LINES_MIN or 2 * lines < own["one"].n_unique() or is_chance:
        return
    chosen = own[places].with_columns(answers=pl.len().over("one"))
    chances = pl.DataFrame({"one": way.one, "chance": way.by_chance})
    chance = dict(chances.group_by("one").agg(pl.col("chance").sort().sum()).iter_rows())
    for answer in chosen.unique("one", keep="first", maintain_order=True).to_dicts():
        yield Hit(
            True,
            (answer["one"],),
            sums.members(answer["begin"], answer["end"]),
            by="sum of days",
            kind="fee day",
            key=answer["key"],
            expected=chance[answer["one"]],
            solutions=answer["answers"],
            doubtful=True,
            fee="learned schedule",
        )

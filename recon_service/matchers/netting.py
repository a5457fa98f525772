"""Pairs of one side that cancel each other: booked and taken back, unknown to the other side."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from rapidfuzz import fuzz, process

from recon_service.domain.config import Policy
from recon_service.domain.evidence import COUNTERPARTY
from recon_service.domain.records import OUTCOME_SCHEMA
from recon_service.matchers.gates import absolute_minor, allowed_minor
from recon_service.matchers.group_links import DATE_LIKE, tokens
from recon_service.matchers.group_story import MEMBER_SCHEMA
from recon_service.matchers.sides import ORDER

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# A return comes within weeks; direct debits may be taken back for eight of them.
REACH_DAYS = 60
# Where more rows of a side share one amount, none of them is netted; such amounts are counted.
_ROWS_PER_AMOUNT_MAX = 200
# A reversal repeats the reference of one payment; a key on more rows names something larger.
_ROWS_PER_KEY_MAX = 3
_TEXT_RATIO_MIN = 90
_HALF = 50 * 1_000_000  # in millionths of one per cent
_REVERSAL = (
    r"\b(storno|storniert|stornierung|ruck\w*|rueck\w*|revers\w*|return\w*|chargeback|refund\w*"
    r"|cancel\w*|correct\w*|korrektur|void\w*|annul\w*|rejet\w*|reject\w*|retour\w*|extourne"
    r"|devoluci\w*|anulaci\w*|rimborso|bounced|unpaid|impaye)\b"
)


@dataclass(frozen=True, slots=True)
class Netted:
    """What cancels out within one side.

    `pairs` has `first_id` (the earlier leg), `second_id`, `amount_minor` of the first, `by` and
    `reason`; `rows` (OUTCOME_SCHEMA) one row per leg where the side is the records'; `members`
    (MEMBER_SCHEMA) one per leg. `ambiguous` legs had several partners, `crowded` amounts occur
    too often.
    """

    pairs: pl.DataFrame
    rows: pl.DataFrame
    members: pl.DataFrame
    ambiguous: int
    crowded: int


def net_reversals(
    own: pl.DataFrame,
    other: pl.DataFrame,
    policy: Policy,
    *,
    side: str,
    reach_days: int = REACH_DAYS,
    by_reference_only: bool = False,
) -> Netted:
    """Pair rows of `own` that cancel and of which the other side knows neither.

    Both frames are canonical; `side` is "record" or "item" and says which `own` is. Two rows
    cancel when they have opposite amounts of one currency at most `reach_days` apart and share a
    reference, or else (unless `by_reference_only`) their counterparty and their words but for those
    that speak of a reversal.
    A leg that any row of the other side fits, by sign, tolerance and window, is left alone: it
    is to be matched across. So is one with several partners.
    """
    own = own.sort(ORDER, nulls_last=True).with_row_index("row")
    pairs, crowded = _opposites(own, reach_days=reach_days)
    pairs = pairs.with_columns(strength=_strength(own, pairs, side=side)).filter(
        pl.col("strength") > (1 if by_reference_only else 0)
    )
    strongest = (
        pl.concat([pairs.select("strength", row=leg) for leg in ("first", "second")])
        .group_by("row")
        .agg(pl.max("strength"), partners=pl.len())
    )
    for leg in ("first", "second"):
        best = strongest.select(pl.col("row").alias(leg), pl.col("strength").alias("best"))
        pairs = pairs.join(best, on=leg).filter(pl.col("strength") >= pl.col("best")).drop("best")
    unique = pairs.filter(
        pl.concat_list("first", "second")
        .list.eval(pl.element().is_in(_repeated(pairs).implode()))
        .list.any()
        .not_()
    )
    ambiguous = pairs.height - unique.height
    legs = np.concatenate([unique["first"].to_numpy(), unique["second"].to_numpy()])
    known = _is_known(own, other, policy, legs.astype(np.int64), is_record=side == "record")
    alone = pl.Series(~(known[: unique.height] | known[unique.height :]))
    return _netted(own, unique.filter(alone), side, ambiguous, crowded)


def _opposites(own: pl.DataFrame, *, reach_days: int) -> tuple[pl.DataFrame, int]:
    """Return the rows `first` and `second` of opposite amounts, the earlier one first."""
    timely = own.sort("on", "at", "id").with_row_index("turn")
    legs = timely.filter(pl.col("amount_minor") != 0).select(
        "row", "currency", "on", "amount_minor", "turn", size=pl.col("amount_minor").abs()
    )
    legs = legs.with_columns(n=pl.len().over("currency", "size"))
    crowd = legs.filter(pl.col("n") > _ROWS_PER_AMOUNT_MAX).n_unique(("currency", "size"))
    legs = legs.filter(pl.col("n") <= _ROWS_PER_AMOUNT_MAX)
    plus = legs.filter(pl.col("amount_minor") > 0)
    minus = legs.filter(pl.col("amount_minor") < 0)
    pairs = plus.join(minus, on=("currency", "size"), suffix="_minus").filter(
        (pl.col("on") - pl.col("on_minus")).dt.total_days().abs() <= reach_days
    )
    plus_is_first = pl.col("turn") < pl.col("turn_minus")
    return (
        pairs.with_columns(plus_is_first=plus_is_first)
        .select(
            first=pl.when("plus_is_first").then("row").otherwise("row_minus"),
            second=pl.when("plus_is_first").then("row_minus").otherwise("row"),
        )
        .sort("first", "second"),
        crowd,
    )


def _strength(own: pl.DataFrame, pairs: pl.DataFrame, *, side: str) -> pl.Series:
    """Return 2 where the legs share a reference, 1 where counterparty and words agree, else 0.

    Words agree only where the legs do not name two different things: a bank's own id of a line
    names nothing, so a record's ids are those in its text.
    """
    keys = tokens(own).filter(~pl.col("key").str.contains(DATE_LIKE))
    few = keys.filter(pl.len().over("currency", "key") <= _ROWS_PER_KEY_MAX)
    told = keys
    if side == "record":
        told = tokens(own.with_columns(ref=pl.lit(None, pl.String), ref_words=pl.lit("")))
    keyed = own.select("row", "currency", "ref", "party", "words")
    for name, found in (("keys", few), ("told", told)):
        lists = found.group_by("row").agg(pl.col("key").alias(name))
        keyed = keyed.join(lists, on="row", how="left", maintain_order="left")
    one, other = keyed[pairs["first"]], keyed[pairs["second"]]
    names_little = pl.len().over("currency", "ref") <= _ROWS_PER_KEY_MAX  # unlike NOTPROVIDED
    telling = keyed.select(pl.when(names_little & pl.col("ref").str.contains("[0-9]")).then("ref"))
    refs = telling.to_series()
    same_ref = (refs[pairs["first"]] == refs[pairs["second"]]).fill_null(False)
    likeness = _ratio(one["party"], other["party"])
    both_named = (one["party"].is_not_null() & other["party"].is_not_null()).to_numpy()
    is_other_party = both_named & (likeness < 100 * COUNTERPARTY[2].bound)
    has_reference = (same_ref | _shared(one["keys"], other["keys"])).to_numpy() & ~is_other_party
    both_tell = (one["told"].is_not_null() & other["told"].is_not_null()).to_numpy()
    is_other_thing = both_tell & ~_shared(one["told"], other["told"]).to_numpy()
    same_party = likeness >= 100 * COUNTERPARTY[0].bound
    no_party = (one["party"].is_null() & other["party"].is_null()).to_numpy()
    text = _ratio(*(_without_reversal(leg["words"]) for leg in (one, other))) >= _TEXT_RATIO_MIN
    speaks = other["words"].str.contains(_REVERSAL).fill_null(False).to_numpy()
    agree = ((same_party & (text | speaks)) | (no_party & text)) & ~is_other_thing
    return pl.Series(np.where(has_reference, 2, np.where(agree, 1, 0)), dtype=pl.Int64)


def _shared(one: pl.Series, other: pl.Series) -> pl.Series:
    both = pl.DataFrame({"one": one, "other": other})
    common = pl.col("one").list.set_intersection("other").list.len() > 0
    return both.select(common.fill_null(False)).to_series()


def _without_reversal(words: pl.Series) -> pl.Series:
    plain = words.str.replace_all(_REVERSAL, " ").str.replace_all(" +", " ")
    return plain.str.strip_chars(" ")


def _ratio(one: pl.Series, other: pl.Series) -> npt.NDArray[np.float64]:
    """Return the likeness of two texts, 0 to 100; 0 where one is missing or empty."""
    result = np.zeros(len(one))
    both = np.flatnonzero(((one != "") & (other != "")).fill_null(False).to_numpy())
    if len(both):
        left, right = (side.gather(both).to_list() for side in (one, other))
        result[both] = process.cpdist(left, right, scorer=fuzz.token_sort_ratio)
    return result


def _repeated(pairs: pl.DataFrame) -> pl.Series:
    """Return the rows that are in more than one pair."""
    rows = pl.concat([pairs["first"], pairs["second"]])
    return rows.filter(rows.is_duplicated()).unique()


def _is_known(
    own: pl.DataFrame, other: pl.DataFrame, policy: Policy, legs: Ints, *, is_record: bool
) -> Flags:
    """Return per leg whether the other side has a row that passes every gate with it."""
    scaled = own if is_record else other
    scales = dict(scaled.select("currency", "scale").unique().iter_rows())
    percent, window = policy.amount_tolerance.percent_micros, policy.window
    sides: dict[str, tuple[Ints, Ints]] = {}
    for (currency,), rows in other.group_by("currency"):
        ascending = rows.sort("amount_minor")
        sides[str(currency)] = (
            ascending["amount_minor"].to_numpy().astype(np.int64),
            ascending["day"].to_numpy().astype(np.int64),
        )
    known = np.zeros(len(legs), np.bool_)
    columns = own.select("currency", "amount_minor", "day")
    for place, (currency, amount, day) in enumerate(columns[legs].iter_rows()):
        if currency not in sides:
            continue
        amounts, days = sides[currency]
        scale = pl.Series([scales[currency]], dtype=pl.Int16)
        absolute = int(absolute_minor(scale, policy)[0])
        # A tolerance up to half of either amount ends at twice this one; beyond, all are looked at.
        start, stop = 0, len(amounts)
        if absolute <= abs(amount) and percent <= _HALF:
            start = int(np.searchsorted(amounts, min(2 * amount, 0), side="left"))
            stop = int(np.searchsorted(amounts, max(2 * amount, 0), side="right"))
        theirs, lag = amounts[start:stop], day - days[start:stop]
        allowed = allowed_minor(
            theirs if is_record else np.full_like(theirs, amount), absolute, percent
        )
        lag = lag if is_record else -lag
        fits = (np.abs(theirs - amount) <= allowed) & (np.sign(theirs) == np.sign(amount))
        fits &= (lag >= -window.before_days) & (lag <= window.after_days)
        known[place] = fits.any()
    return known


def _netted(
    own: pl.DataFrame, pairs: pl.DataFrame, side: str, ambiguous: int, crowded: int
) -> Netted:
    first, second = own[pairs["first"]], own[pairs["second"]]
    days = (second["on"] - first["on"]).dt.total_days()
    by = pairs["strength"].replace_strict(
        {2: "reference", 1: "counterparty and text"}, return_dtype=pl.String
    )
    named = pl.DataFrame(
        {
            "first_id": first["id"],
            "second_id": second["id"],
            "amount_minor": first["amount_minor"],
            "by": by,
            "days": days,
        }
    ).with_columns(
        reason=pl.format(
            "Cancels out with its opposite {} days apart, same {}; the other side has neither",
            "days",
            "by",
        )
    )
    named = named.sort("first_id", "second_id")
    ids = named.select("first_id", "second_id", match_id=pl.min_horizontal("first_id", "second_id"))
    members = (
        ids.unpivot(["first_id", "second_id"], index="match_id", value_name="id")
        .select("match_id", side=pl.lit(side), id="id")
        .sort("match_id", "id")
    )
    evidence = pl.concat_str(
        pl.lit('{"pass":"netted","by":"'), "by", pl.lit('","with":"'), "with", pl.lit('"}')
    )
    legs = [
        named.select("by", "reason", record_id=one, **{"with": other})
        for one, other in (("first_id", "second_id"), ("second_id", "first_id"))
    ]
    rows = pl.concat(legs).select(
        "record_id",
        internal_id=pl.lit(None, pl.String),
        match_type=pl.lit("netted"),
        decision=pl.lit("netted"),
        score=pl.lit(None, pl.Float64),
        residual_minor=pl.lit(None, pl.Int64),
        cause=pl.lit(None, pl.String),
        evidence=evidence,
        reason="reason",
    )
    rows = rows.sort("record_id") if side == "record" else rows.clear()
    return Netted(
        named.drop("days"),
        rows.cast(OUTCOME_SCHEMA),
        members.cast(MEMBER_SCHEMA),
        ambiguous,
        crowded,
    )

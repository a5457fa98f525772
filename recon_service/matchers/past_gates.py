"""Why a record stayed alone: the ledger item with its own reference, and the gate that failed."""

import polars as pl

from recon_service.domain.config import Policy
from recon_service.matchers.gates import absolute_minor, in_window, lag_days, within_tolerance
from recon_service.matchers.sides import day_numbers

# One reference may stand on many ledger items; the nearest of so many is reported.
_ITEMS_PER_REFERENCE_MAX = 20

# In order: the first gate that failed is the cause. The last two hold when no gate failed.
CAUSES = (
    "other_currency",
    "reversed_sign",
    "amount_difference",
    "out_of_window",
    "duplicate",
    "ambiguous",
)


def same_reference(
    records: pl.DataFrame, items: pl.DataFrame, policy: Policy, *, taken: pl.Series
) -> pl.DataFrame:
    """Return, for each record whose reference the ledger has, the item that fails fewest gates.

    Columns: `id`, `cause` (one of CAUSES), and the item's `item_id`, `item_on`,
    `item_amount_minor`, `item_currency`. `taken` holds the ids of matched items. Both frames
    are canonical.
    """
    wanted = records.filter(pl.col("ref").is_not_null())
    wanted = wanted.with_columns(absolute_minor=absolute_minor(wanted["scale"], policy))
    known = (
        items.join(wanted.select("ref").unique(), on="ref", how="semi")
        .sort("currency", "amount_minor", "on", "at", "id")
        .group_by("ref", maintain_order=True)
        .head(_ITEMS_PER_REFERENCE_MAX)
        .select(
            "ref",
            item_id="id",
            item_on="on",
            item_amount_minor="amount_minor",
            item_currency="currency",
        )
        .with_row_index("place")
    )
    pairs = wanted.join(known, on="ref")
    # Numbers of days compare within one calendar, so the item's day is read in the record's.
    pairs = pairs.with_columns(
        item_day=day_numbers(pairs["item_on"], pairs["currency"], policy.window)
    )
    failed: dict[str, pl.Expr | pl.Series] = {
        "other_currency": pl.col("currency") != pl.col("item_currency"),
        "reversed_sign": pl.col("amount_minor").sign() != pl.col("item_amount_minor").sign(),
        "amount_difference": ~within_tolerance(pairs, policy),
        "out_of_window": ~in_window(policy),
        "duplicate": pl.col("item_id").is_in(taken.implode()),
    }
    pairs = pairs.with_columns(**failed)
    gates = list(CAUSES[:-1])
    cause = pl.coalesce(*(pl.when(gate).then(pl.lit(gate)) for gate in gates), pl.lit(CAUSES[-1]))
    return (
        pairs.with_columns(cause=cause, fails=pl.sum_horizontal(gates), lag_days=lag_days())
        .sort("id", "fails", "place")
        .unique("id", keep="first", maintain_order=True)
        .select(
            "id", "cause", "item_id", "item_on", "item_amount_minor", "item_currency", "lag_days"
        )
    )

"""How rare the words of open rows are among all rows, matched ones included."""

import polars as pl

from recon_service.matchers.sides import Sides, described, told
from recon_service.matchers.words import surprise

# Exact pairs whose words are counted. Of more, every second, third or nth stands for the others:
# what is common shows in a part as in the whole, and what is rare is counted among the open rows.
PAIRS_MAX = 200_000


def rarity_of_words(open_sides: Sides, whole: Sides, exact: pl.DataFrame) -> pl.DataFrame:
    """Return `word` and `bits`, the `surprise` of the words of open rows in the whole.

    `open_sides` are canonical, the `whole` is `referenced`, `exact` (EXACT_SCHEMA) are its pairs.
    """
    every = -(-exact.height // PAIRS_MAX) or 1
    sample = exact.select("id", "item_id")
    if every > 1:
        sample = sample.sort("id").gather_every(every)
    records = whole.records.join(sample, on="id", how="semi")
    items = whole.items.join(sample, left_on="id", right_on="item_id", how="semi")
    return surprise(
        told(open_sides.records),
        told(open_sides.items),
        sample=[told(described(records)), told(described(items))],
        sampled=exact.height / max(sample.height, 1),
    )

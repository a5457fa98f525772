"""Truth in a shape to compare with: groups by content, so that equal lines may change places.

Two lines that are equal in all but their id, their time of day and the bank's own number are the
same money to everybody: which of them is paired with which of two equal items cannot be known and
does not matter. Such pairings count as right, and are counted.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import product

import polars as pl

from recon_service.domain.config import Policy
from scripts.bench.matching.generator import Case

Signature = tuple[tuple[int, ...], tuple[int, ...]]

_RECORD_CONTENT = ("our_id", "booked_on", "amount_minor", "currency", "text", "counterparty")
_ITEM_CONTENT = (
    "reference", "effective_on", "amount_minor", "currency", "text", "counterparty",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Group:
    """One group of the truth, by ids."""

    record_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    kind: str
    cause: str | None


@dataclass(frozen=True, slots=True)
class Truth:
    """The groups of a case, and the class of equal lines of every id."""

    groups: list[Group]
    record_class: dict[str, int]
    item_class: dict[str, int]
    value: dict[str, float]  # of each record, in whole units whatever the currency
    literal: frozenset[tuple[tuple[str, ...], tuple[str, ...]]]

    @classmethod
    def of(cls, case: Case) -> "Truth":
        """Read the truth of a case."""
        ours = case.items["reference"].drop_nulls().unique()
        external = pl.col("external_id")
        records = case.records.with_columns(
            our_id=pl.when(external.is_in(ours.implode())).then(external)
        )
        groups = _groups(case.truth)
        return cls(
            groups=groups,
            record_class=_classes(records, "record_id", _RECORD_CONTENT),
            item_class=_classes(case.items, "internal_id", _ITEM_CONTENT),
            value=dict(
                records.select(
                    "record_id", pl.col("amount_minor").abs() / (10.0 ** pl.col("scale"))
                ).iter_rows()
            ),
            literal=frozenset(
                (tuple(sorted(g.record_ids)), tuple(sorted(g.item_ids))) for g in groups
            ),
        )

    def signature(self, record_ids: tuple[str, ...], item_ids: tuple[str, ...]) -> Signature:
        """Return a group by content."""
        return (
            tuple(sorted(self.record_class[id_] for id_ in record_ids)),
            tuple(sorted(self.item_class[id_] for id_ in item_ids)),
        )

    def signatures(self) -> Counter[Signature]:
        """Count the true groups by content; lines that stand alone are no group."""
        return Counter(
            self.signature(group.record_ids, group.item_ids)
            for group in self.groups
            if group.kind != "none"
        )

    def pairs(
        self, groups: list[tuple[tuple[str, ...], tuple[str, ...]]]
    ) -> Counter[tuple[int, int]]:
        """Count the links between a record and an item of one group, by content."""
        return Counter(
            (self.record_class[record], self.item_class[item])
            for records, items in groups
            for record, item in product(records, items)
        )

    def true_groups(self) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Return the ids of all groups."""
        return [(group.record_ids, group.item_ids) for group in self.groups]


def reachable_pairs(case: Case) -> tuple[int, int]:
    """Return how many one-to-one truths the policy's gates allow, and how many there are."""
    sides = case.truth.filter(kind="1-1")
    joined = (
        sides.filter(side="record")
        .join(case.records, left_on="id", right_on="record_id")
        .join(
            sides.filter(side="item").join(case.items, left_on="id", right_on="internal_id"),
            on="group",
            suffix="_item",
        )
    )
    lag = (pl.col("booked_on") - pl.col("effective_on")).dt.total_days()
    window = case.policy.window
    inside = joined.filter(
        lag.is_between(-window.before_days, window.after_days),
        pl.col("currency") == pl.col("currency_item"),
        _is_near(case.policy),
    )
    return inside.height, joined.height


def _is_near(policy: Policy) -> pl.Expr:
    tolerance = policy.amount_tolerance
    difference = (pl.col("amount_minor") - pl.col("amount_minor_item")).abs()
    absolute = float(tolerance.absolute) * 10.0 ** pl.col("scale")
    percent = float(tolerance.percent) / 100 * pl.col("amount_minor_item").abs()
    return (difference <= absolute + 1e-6) | (difference <= percent + 1e-6)


def _groups(truth: pl.DataFrame) -> list[Group]:
    named = truth.group_by("group", maintain_order=True).agg(
        records=pl.col("id").filter(pl.col("side") == "record"),
        items=pl.col("id").filter(pl.col("side") == "item"),
        kind=pl.col("kind").first(),
        cause=pl.col("cause").first(),
    )
    return [
        Group(tuple(row["records"]), tuple(row["items"]), row["kind"], row["cause"])
        for row in named.sort("group").iter_rows(named=True)
    ]


def _classes(rows: pl.DataFrame, id_: str, content: tuple[str, ...]) -> dict[str, int]:
    dense = rows.select(id_, number=pl.struct(content).rank("dense"))
    return dict(dense.iter_rows())

"""`match_partition`: the passes from precise to loose, as one pure function over two frames.

records, items ─▶ exact ─▶ netting ─▶ known batches ─▶ one to one ─▶ groups ─▶ causes
                  │ 1.0     │ a side    │ a key names     │ by evidence │       │ unmatched
                  │ or less │ cancels   │ all members     │ score p,    │       │
                  │ a fee   │           │                 │ then net    │       │
                  └─────────┴───────────┴─▶ one row per record ◀────────┴───────┘
                                            and the members of whatever is not one to one

Fees are declared in the policy, or learned once batches are known: then they merely suggest.

What a pass takes is gone for the next. Only suggestions are not safe: an automatic group may take
their rows.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import polars as pl

from recon_service.domain.config import AmountTolerance, Policy
from recon_service.domain.records import (
    ITEM_SCHEMA,
    MEMBER_SCHEMA,
    OUTCOME_SCHEMA,
    RECORD_SCHEMA,
)
from recon_service.matchers.exact import ExactMatcher
from recon_service.matchers.exact_rows import exact_rows
from recon_service.matchers.fee_pairs import (
    batch_differences,
    certain_pairs,
    exact_pairs,
    explained,
    fee_rows,
    left_over,
    pair_differences,
    with_learned,
)
from recon_service.matchers.fees import FeeOffer, Fees, offers
from recon_service.matchers.fuzzy import FuzzyMatcher
from recon_service.matchers.groups import Groups, known_batches, match_groups
from recon_service.matchers.matched import Matched
from recon_service.matchers.net_pairs import with_net_pairs
from recon_service.matchers.netting import net_reversals
from recon_service.matchers.past_gates import same_reference
from recon_service.matchers.rarity import rarity_of_words
from recon_service.matchers.sides import Sides, described, referenced, two_sides, without
from recon_service.matchers.verdicts import fuzzy_rows
from recon_service.matchers.vetoes import closed_rows
from recon_service.matchers.weights import Weights


@dataclass(frozen=True, slots=True)
class Counts:
    """What the matcher looked at, and what its bounds cut."""

    candidates: int = 0
    candidates_dropped: int = 0
    components_greedy: int = 0
    groups_searched: int = 0
    groups_truncated: int = 0
    groups_ambiguous: int = 0
    amounts_too_common_to_net: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row per record (OUTCOME_SCHEMA), in the order of the records given.

    `members` (MEMBER_SCHEMA) has one row per member of every match that is not one-to-one.
    `weights` are those that were used where evidence was weighed. `fees_offered` are schedules
    that this population taught and its policy does not declare.
    """

    rows: pl.DataFrame
    counts: Counts
    members: pl.DataFrame = field(default_factory=MEMBER_SCHEMA.to_frame)
    weights: Weights | None = None
    fees_offered: tuple[FeeOffer, ...] = ()

    @property
    def learnt(self) -> dict[str, Any]:
        """Return what the run has learnt, as plain values: weights, and fees that it offers."""
        return {
            "weights": None if self.weights is None else self.weights.to_dict(),
            "fees_offered": [
                {
                    "support": offer.schedule.support,
                    "explained": offer.schedule.explained,
                    "policy": {"fees": [offer.rule.model_dump(mode="json")]},
                }
                for offer in self.fees_offered
            ],
        }


def match_partition(
    left: pl.DataFrame,
    right: pl.DataFrame,
    policy: Policy,
    gone: pl.DataFrame | None = None,
    *,
    weights: Weights | None = None,
) -> Outcome:
    """Decide every record of one population against that population's ledger items.

    `left` is RECORD_SCHEMA, `right` ITEM_SCHEMA, ids unique on each side. `gone` are items that
    other runs have matched: never candidates, but they can explain why a record stays alone.
    Without `weights` a large enough partition learns its own. Deterministic, whatever the order
    of rows. No record and no item is claimed twice; `score` is 1 for an exact match, the
    probability for others, and the best candidate's, if any, for the unmatched.
    """
    everything = left = left.select(RECORD_SCHEMA.names()).cast(RECORD_SCHEMA)
    right = right.select(ITEM_SCHEMA.names()).cast(ITEM_SCHEMA)
    if policy.closed_through is not None:
        left = left.filter(pl.col("booked_on") > policy.closed_through)
        right = right.filter(pl.col("effective_on") > policy.closed_through)
    sides = two_sides(left, right, policy.window)
    exact = ExactMatcher(policy).match(sides)
    found, differing = Outcome(OUTCOME_SCHEMA.to_frame(), Counts()), exact_pairs(exact, sides)
    fees = Fees.of(policy, sides.records)
    if exact.height < max(left.height, right.height):
        whole = Sides(referenced(sides.records), referenced(sides.items))
        earlier = _earlier(left, gone, policy)
        found, fees = _loosely(exact, differing, whole, earlier, policy, weights, fees)
    else:
        fees = with_learned(fees, pair_differences(differing))
    ours = exact_rows(exact, policy, explained(differing, fees)["id"])
    closed = closed_rows(everything.join(left, on="record_id", how="anti"), policy)
    decided = everything.select("record_id").join(
        pl.concat([ours, found.rows, closed]), on="record_id", how="left", maintain_order="left"
    )
    rows = decided.select(OUTCOME_SCHEMA.names()).cast(OUTCOME_SCHEMA)
    offered = offers(fees, sides.records)
    return Outcome(rows, found.counts, found.members, found.weights, offered)


def _earlier(left: pl.DataFrame, gone: pl.DataFrame | None, policy: Policy) -> pl.DataFrame:
    if gone is None:
        gone = ITEM_SCHEMA.to_frame()
    return referenced(two_sides(left, gone.cast(ITEM_SCHEMA), policy.window).items)


def _loosely(
    exact: pl.DataFrame,
    differing: pl.DataFrame,
    whole: Sides,
    earlier: pl.DataFrame,
    policy: Policy,
    weights: Weights | None,
    fees: Fees,
) -> tuple[Outcome, Fees]:
    """Return what the passes behind the exact one found, and the fees.

    `whole` is `referenced`: only what is still open is put into its canonical form.
    """
    open_sides = Sides(
        described(without(whole.records, exact["id"])),
        described(without(whole.items, exact["item_id"])),
    )
    rarity = rarity_of_words(open_sides, whole, exact)
    certain = certain_pairs(open_sides, whole, policy)
    charged = fee_rows(certain, open_sides, fees, policy, is_declared=True)
    open_sides = left_over(open_sides, charged)
    ours = net_reversals(open_sides.records, open_sides.items, policy, side="record")
    theirs = net_reversals(open_sides.items, open_sides.records, policy, side="item")
    open_sides = _without(open_sides, pl.concat([ours.members, theirs.members]))
    taken = pl.concat([exact["item_id"], charged["internal_id"].alias("item_id")])
    matched = Matched(
        whole.items.join(taken.to_frame(), left_on="id", right_on="item_id", how="semi")
    )
    batches = known_batches(
        open_sides.records, open_sides.items, policy, fees=fees, matched=matched
    )
    fees = with_learned(
        fees,
        pair_differences(differing),
        pair_differences(certain),
        batch_differences(batches, open_sides.items),
    )
    members = pl.concat([ours.members, theirs.members, batches.members])
    open_sides = _without(open_sides, batches.members)
    offered = fee_rows(certain, open_sides, fees, policy, is_declared=False)
    open_sides = left_over(open_sides, offered)
    fuzzy = FuzzyMatcher(policy, weights).match(open_sides, whole, rarity)
    taken = pl.concat([taken, members["id"], offered["internal_id"], earlier["id"]])
    items = pl.concat([whole.items, earlier.select(whole.items.columns)])
    alike = same_reference(open_sides.records, items, policy, taken=taken)
    one_to_one = fuzzy_rows(fuzzy, open_sides.records, alike, policy, fees)
    used = fuzzy.scored.weights
    one_to_one = with_net_pairs(
        one_to_one, open_sides, whole, policy, rarity=rarity, fees=fees, weights=used
    )
    groups = _groups(one_to_one, open_sides, matched, policy, fees)
    rest = _beside(one_to_one, groups)
    rest, late = _net_leftovers(rest, groups.members, open_sides, policy)
    searched, cut = batches.counts, groups.counts
    found = Outcome(
        rows=pl.concat([charged, ours.rows, batches.rows, offered, rest, groups.rows]),
        counts=Counts(
            candidates=len(fuzzy.scored.records),
            candidates_dropped=int(fuzzy.dropped.sum()),
            components_greedy=fuzzy.assignment.components_greedy,
            groups_searched=searched.searched + cut.searched,
            groups_truncated=searched.truncated + cut.truncated,
            groups_ambiguous=searched.ambiguous + cut.ambiguous,
            amounts_too_common_to_net=ours.crowded + theirs.crowded,
        ),
        members=pl.concat([members, groups.members, late]).sort("match_id", "side", "id"),
        weights=used,
    )
    return found, fees


def _without(sides: Sides, members: pl.DataFrame) -> Sides:
    return Sides(without(sides.records, members["id"]), without(sides.items, members["id"]))


def _groups(
    one_to_one: pl.DataFrame, open_sides: Sides, matched: Matched, policy: Policy, fees: Fees
) -> Groups:
    """Group what is not automatic; suggested pairs are held until a group is surer.

    `matched` are the items of the exact passes.
    """
    automatic = one_to_one.filter(pl.col("decision") == "auto")
    held = one_to_one.filter(pl.col("decision") == "suggested").select(
        "record_id", item_id="internal_id", score="score"
    )
    by_evidence = open_sides.items.join(automatic, left_on="id", right_on="internal_id", how="semi")
    return match_groups(
        without(open_sides.records, automatic["record_id"]),
        without(open_sides.items, automatic["internal_id"]),
        policy,
        fees=fees,
        held=held,
        matched=Matched(by_evidence, besides=matched),
    )


def _net_leftovers(
    rows: pl.DataFrame, grouped: pl.DataFrame, open_sides: Sides, policy: Policy
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Net by reference what nobody wanted: then only a row of the very amount speaks against it.

    Return the rows, some of them netted now, and the new members.
    """
    alone = rows.filter(pl.col("decision") == "unmatched").select(id="record_id")
    records = open_sides.records.join(alone, on="id", how="semi")
    claimed = pl.concat([rows["internal_id"].drop_nulls().rename("id"), grouped["id"]])
    items = without(open_sides.items, claimed)
    strict = policy.model_copy(update={"amount_tolerance": AmountTolerance()})
    net = partial(net_reversals, policy=strict, by_reference_only=True)
    ours = net(records, items, side="record")
    theirs = net(items, records, side="item")
    kept = rows.join(ours.rows.select("record_id"), on="record_id", how="anti")
    return pl.concat([kept, ours.rows]), pl.concat([ours.members, theirs.members])


def _beside(one_to_one: pl.DataFrame, groups: Groups) -> pl.DataFrame:
    """Return the rows of records without a group, as they were or freed."""
    rows = one_to_one.join(groups.rows.select("record_id"), on="record_id", how="anti")
    freed = pl.col("record_id").is_in(groups.released["record_id"].implode())
    notes = groups.notes.group_by("id", maintain_order=True).agg(pl.col("reason").first())
    nothing = pl.lit(None)
    rows = (
        rows.with_columns(
            internal_id=pl.when(~freed).then("internal_id"),
            match_type=pl.when(freed).then(pl.lit("none")).otherwise("match_type"),
            decision=pl.when(freed).then(pl.lit("unmatched")).otherwise("decision"),
            residual_minor=pl.when(freed).then(nothing).otherwise("residual_minor"),
            cause=pl.when(freed).then(pl.lit("missing_in_ledger")).otherwise("cause"),
            reason=pl.when(freed)
            .then(pl.lit("The ledger item that fitted belongs to a group"))
            .otherwise("reason"),
        )
        .join(notes, left_on="record_id", right_on="id", how="left", suffix="_noted")
        .with_columns(
            reason=pl.when(pl.col("reason_noted").is_not_null(), pl.col("decision") == "unmatched")
            .then(pl.concat_str("reason", pl.lit(". "), "reason_noted"))
            .otherwise("reason")
        )
    )
    return rows.select(OUTCOME_SCHEMA.names())

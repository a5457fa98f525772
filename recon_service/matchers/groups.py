"""Groups: one bank line for many ledger items, or many for one, from known keys to bounded search.

what one-to-one matching left ─▶ batch keys ─▶ counterparty and day ─▶ word and day
                                                                          │
                  search in the window ◀─ search in pools ◀─ sums of days ◀┘
                          │
                          └─▶ days of a named party less an unknown fee ─▶ groups

Each step takes its rows away from the next. In each a group needs the only answer to be automatic;
how sure it is, is said in `group_verdicts`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

import polars as pl

from recon_service.domain.config import Policy
from recon_service.domain.records import OUTCOME_SCHEMA
from recon_service.matchers.fees import Fees
from recon_service.matchers.group_days import day_ranges
from recon_service.matchers.group_fees import days_less_fees
from recon_service.matchers.group_keys import Batch, several_to_several, whole_batches
from recon_service.matchers.group_links import Links, links
from recon_service.matchers.group_rows import Hit, Rows, Searched, View
from recon_service.matchers.group_story import MEMBER_SCHEMA, NOTE_SCHEMA, Story
from recon_service.matchers.group_subsets import (
    Budget,
    linked_subsets,
    named_subsets,
    window_subsets,
)
from recon_service.matchers.group_sums import day_sums
from recon_service.matchers.group_verdicts import Claim, Verdict, claims, verdicts
from recon_service.matchers.matched import Matched

__all__ = [
    "HELD_SCHEMA",
    "MEMBER_SCHEMA",
    "GroupCounts",
    "Groups",
    "known_batches",
    "match_groups",
]

# Sums formed over all searches of one call: some seconds. What it cuts is counted.
WORK_MAX = 2**24
HELD_SCHEMA = pl.Schema({"record_id": pl.String, "item_id": pl.String, "score": pl.Float64})


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """What was looked at: rows searched, not searched to the end, and with several answers."""

    searched: int
    truncated: int
    ambiguous: int


@dataclass(frozen=True, slots=True)
class Groups:
    """What the group pass decided.

    `rows` (OUTCOME_SCHEMA) has one row per record of a group, `members` (MEMBER_SCHEMA) one per
    row of either side. `released` are the suggested pairs that groups broke. `notes` says of
    records without a group what was found (`id`, `solutions`, `truncated`, `reason`).
    """

    rows: pl.DataFrame
    members: pl.DataFrame
    released: pl.DataFrame
    notes: pl.DataFrame
    counts: GroupCounts


def known_batches(
    records: pl.DataFrame,
    items: pl.DataFrame,
    policy: Policy,
    *,
    fees: Fees | None = None,
    matched: Matched | None = None,
) -> Groups:
    """Group only what a batch key names in full and sums up: nothing is surer, so it comes first.

    Arguments are those of `match_groups`; every group is automatic.
    """
    ours, theirs = Rows.of(records), Rows.of(items, fees)
    views = View(True, ours, theirs, policy), View(False, theirs, ours, policy)
    pass_ = _Pass(ours, theirs, policy, held=None, fees=fees)
    if ours.ids and theirs.ids:
        linked = links(ours.frame, theirs.frame)
        by_key = partial(_by_key, views, linked, gathering_days=views[0].span_days)
        for kind in ("key", "token"):
            pass_.step(by_key(kind))
        for kind in ("key", "token"):
            incomplete = [
                _incomplete(view, linked, searched)
                for view, searched in zip(views, by_key(kind, with_residual=True), strict=True)
            ]
            differing = by_key(kind, with_residual=True, incomplete=incomplete)
            pass_.step([_doubted(searched, matched) for searched in differing])
    return pass_.result(with_suggestions=False)


def match_groups(
    records: pl.DataFrame,
    items: pl.DataFrame,
    policy: Policy,
    *,
    fees: Fees | None = None,
    held: pl.DataFrame | None = None,
    matched: Matched | None = None,
    gathering_days: int | None = None,
    work_max: int = WORK_MAX,
) -> Groups:
    """Group what one-to-one matching left over; both frames are `canonical`, ids unique.

    Members lie in the policy's window; under a batch key only the nearest must, the others up to
    `gathering_days` farther (by default the window's length). `fees` are kept from each ledger
    item; one that is merely learned makes a group doubtful, unless a batch key names all members.
    `held` (HELD_SCHEMA) are suggested pairs whose rows are among the given
    ones: only an automatic group takes them, and the pair's odds count against it.
    `matched` are the items that one-to-one matching took: where they carry a batch's key, a
    difference makes the group doubtful.
    Deterministic, whatever the order of rows; no row is in two groups.
    """
    ours, theirs = Rows.of(records), Rows.of(items, fees)
    views = View(True, ours, theirs, policy), View(False, theirs, ours, policy)
    if gathering_days is None:
        gathering_days = views[0].span_days
    pass_ = _Pass(ours, theirs, policy, held=held, fees=fees)
    if not ours.ids or not theirs.ids:
        return pass_.result()
    linked = links(ours.frame, theirs.frame)
    budget = Budget(work_max)

    by_key = partial(_by_key, views, linked, gathering_days=gathering_days)
    for kind in ("key", "token"):
        pass_.step(by_key(kind))
    completed = [
        named_subsets(view, linked, budget, gathering_days=gathering_days) for view in views
    ]
    pass_.step([searched for searched, _ in completed])
    incomplete = [batches for _, batches in completed]
    for kind in ("key", "token"):
        differing = by_key(kind, with_residual=True, incomplete=incomplete)
        pass_.step([_doubted(searched, matched) for searched in differing])
        pass_.step([several_to_several(views[0], linked[kind], gathering_days=gathering_days)])
    for kind in ("party", "word"):
        pass_.step([day_ranges(view, linked[kind]) for view in views])
    pass_.step([searched for view in views for searched in day_sums(view)])
    for pools in linked.values():
        pass_.step([linked_subsets(view, pools, budget) for view in views])
    pass_.step([window_subsets(view, budget) for view in views])
    pass_.step([days_less_fees(views[0])])
    return pass_.result(cut=sum(pools.crowded for pools in linked.values()))


def _by_key(
    views: Sequence[View],
    linked: dict[str, Links],
    kind: str,
    *,
    gathering_days: int,
    with_residual: bool = False,
    incomplete: Sequence[Collection[Batch]] = ((), ()),
) -> list[Searched]:
    return [
        whole_batches(
            view,
            linked[kind],
            gathering_days=gathering_days,
            with_residual=with_residual,
            incomplete=doubtful,
        )
        for view, doubtful in zip(views, incomplete, strict=True)
    ]


def _incomplete(view: View, linked: dict[str, Links], differing: Searched) -> Collection[Batch]:
    """Return which batches may lack a row that their key does not name; to find it is for later."""
    # Only a fee is as large as a row: what is tolerated in a split is checked against its rows.
    only = {hit.ones[0] for hit in differing.hits if hit.fee == "within 5 %"}
    if not only:
        return ()
    nothing = Budget(0)
    return named_subsets(view, linked, nothing, gathering_days=view.span_days, only=only)[1]


def _doubted(searched: Searched, matched: Matched | None) -> Searched:
    """Mark the batches whose key is on items that were matched before."""
    keys = sorted({hit.key for hit in searched.hits if hit.key})
    if matched is None or not keys:
        return searched
    elsewhere = matched.carrying(keys)
    hits = [replace(hit, doubtful=hit.doubtful or hit.key in elsewhere) for hit in searched.hits]
    return replace(searched, hits=hits)


class _Pass:
    """Takes the groups of each step, the surest first, and keeps what was not taken as notes."""

    def __init__(
        self,
        ours: Rows,
        theirs: Rows,
        policy: Policy,
        *,
        held: pl.DataFrame | None,
        fees: Fees | None,
    ) -> None:
        self._rows = {"record": ours, "item": theirs}
        self._learned = frozenset(fees.learned if fees else ())
        self._policy = policy
        self._held = (HELD_SCHEMA.to_frame() if held is None else held).sort("record_id", "item_id")
        self._odds: dict[Claim, float] = {}
        self._story = Story(ours, theirs)
        # A single row with several answers is not automatic later on, in a pool that has but one.
        self._doubted: set[Claim] = set()
        self._open: list[Verdict] = []
        self._searched = self._truncated = self._ambiguous = 0
        for side, name in (("record", "record_id"), ("item", "item_id")):
            place = {id_: row for row, id_ in enumerate(self._rows[side].ids)}
            for id_, score in self._held.select(name, "score").iter_rows():
                if id_ in place:
                    self._odds[side, place[id_]] = score / max(1 - score, 1e-6)

    def step(self, found: list[Searched]) -> None:
        """Take the groups of one step."""
        self._searched += sum(searched.tried for searched in found)
        self._truncated += sum(searched.cut for searched in found)
        found = [replace(one, hits=[self._with_fee(hit) for hit in one.hits]) for one in found]
        for verdict in verdicts(found, self._policy, self._odds):
            hit = verdict.hit
            singles = claims(hit)[: len(hit.ones)]
            if verdict.is_auto and self._doubted.isdisjoint(singles) and self._is_free(hit):
                self._take(verdict)
                continue
            self._open.append(replace(verdict, is_auto=False))
            if hit.solutions > 1 or verdict.rivals:
                self._ambiguous += 1
                self._doubted.update(singles)

    def _with_fee(self, hit: Hit) -> Hit:
        """Say of a fee by a schedule if that is merely learned."""
        side, row = claims(hit)[0]
        currency = self._rows[side].frame["currency"][row]
        if hit.fee != "schedule" or currency not in self._learned:
            return hit
        is_doubtful = hit.doubtful or hit.by != "batch key"
        return replace(hit, fee="learned schedule", doubtful=is_doubtful)

    def _suggest(self) -> None:
        """Take what is left of the groups that are not automatic, the surest first."""
        for verdict in sorted(self._open, key=lambda verdict: -verdict.score):
            is_held = any(claim in self._odds for claim in claims(verdict.hit))
            is_enough = verdict.score >= self._policy.suggest_threshold
            if is_enough and not is_held and self._is_free(verdict.hit):
                self._take(verdict)
            else:
                self._story.note(verdict)

    def _is_free(self, hit: Hit) -> bool:
        return all(self._rows[side].free[row] for side, row in claims(hit))

    def _take(self, verdict: Verdict) -> None:
        self._story.group(verdict)
        for side, row in claims(verdict.hit):
            self._rows[side].free[row] = False

    def result(self, cut: int = 0, *, with_suggestions: bool = True) -> Groups:
        """Return all groups in content order."""
        if with_suggestions:
            self._suggest()
        rows, members, notes = self._story.frames()
        # Not all that is unavailable is in a group: a row of no amount never was available.
        grouped = {side: members.filter(pl.col("side") == side)["id"] for side in self._rows}
        released = self._held.filter(
            pl.col("record_id").is_in(grouped["record"].implode())
            | pl.col("item_id").is_in(grouped["item"].implode())
        )
        assert rows.schema == OUTCOME_SCHEMA
        assert members.schema == MEMBER_SCHEMA
        assert notes.schema == NOTE_SCHEMA
        counts = GroupCounts(self._searched, self._truncated + cut, self._ambiguous)
        return Groups(rows, members, released, notes, counts)

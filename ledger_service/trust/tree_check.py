"""Compares the log, leaf by leaf, with what its seals and anchors say of it.

Beside the log there are the leaves that the sealer kept, and roots: those of the seals and, from
outside, those of anchors. While log and kept leaves agree they are one tree. Once they do not, two
trees are grown, and the next root tells which of them was changed.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ledger_service.domain.canonical import moved_to
from ledger_service.domain.merkle import Block, Frontier, leaf_hash

MISMATCHES_MAX = 1_000
SWAPS_MAX = 64


class Checkpoint(NamedTuple):
    """What the tree's root was at some size; `frontier` where it is told, `name` for sentences."""

    size: int
    root: bytes
    name: str
    frontier: bytes | None = None
    is_anchor: bool = False


class Mismatch(NamedTuple):
    """A leaf whose kept hash is not that of the log; `data` None where the log has none."""

    place: int
    data: bytes | None
    kept: bytes


class TreeCheck:
    """One tree, grown from its first leaf.

    `on_log` is told of mismatches that are the log's fault, `on_seals` of a sentence about damage
    to what the sealer wrote, `on_anchor` of an anchor that nothing here leads to.
    """

    def __init__(
        self,
        *,
        on_log: Callable[[Sequence[Mismatch]], None],
        on_seals: Callable[[str], None],
        on_anchor: Callable[[Checkpoint], None],
    ) -> None:
        self._on_log = on_log
        self._on_seals = on_seals
        self._on_anchor = on_anchor
        self._one = Frontier()
        self._log: Frontier | None = self._one
        self._kept: Frontier | None = self._one
        self._mismatches: list[Mismatch] = []
        self.size = 0
        self.blocks: list[Block] = []

    def feed(self, data: bytes | None, kept: bytes | None) -> None:
        """Add the next leaf: what the log has, and the hash that the sealer kept of it.

        None where there is none: the log lacks it, or it is not sealed.
        """
        leaf = None if data is None else leaf_hash(data)
        if leaf is not None and leaf == kept and self._log is self._kept:
            self.blocks += self._one.append(leaf)
        else:
            self._add_apart(leaf, kept)
            is_new = kept is not None and leaf != kept
            if is_new and len(self._mismatches) < MISMATCHES_MAX:
                self._mismatches.append(Mismatch(self.size, data, kept or b""))
        self.size += 1

    def agrees(self, data: bytes | None, kept: bytes | None) -> bool:
        """Tell whether the log has at the next leaf what was kept of it."""
        return data is not None and leaf_hash(data) == kept

    @property
    def is_sound(self) -> bool:
        """Whether log and kept leaves have been one tree so far."""
        return self._log is self._kept

    def skip(self, kept: bytes) -> None:
        """Add a leaf that was sealed before the log was cut."""
        self._add_apart(None, kept)
        self.size += 1

    def _add_apart(self, leaf: bytes | None, kept: bytes | None) -> None:
        if self._log is self._kept:
            self._kept = Frontier(self._one.size, self._one.roots)
        if self._log is not None and leaf is not None:
            self._log.append(leaf)
        else:
            self._log = None
        if self._kept is not None and kept is not None:
            self.blocks += self._kept.append(kept)
        else:
            self._kept = None

    def check(self, point: Checkpoint) -> None:
        """Compare a root with the trees, which have grown to its size."""
        assert point.size == self.size, "the tree has another size"
        is_log = self._log is not None and self._log.root() == point.root
        is_kept = self._kept is not None and self._kept.root() == point.root
        if self._mismatches and is_log:
            first = self._mismatches[0].place
            self._on_seals(f"the hash that is kept of leaf {first} is not that of the log")
        elif self._mismatches:
            self._on_log(self._mismatches)
        self._mismatches = []
        if not (is_log or is_kept):
            if point.is_anchor:
                self._on_anchor(point)
            else:
                self._on_seals(f"the root of {point.name} is not that of the log")
        elif point.frontier is not None:
            tree = self._log if is_log else self._kept
            assert tree is not None
            if tree.pack() != point.frontier:
                self._on_seals(f"the frontier of {point.name} is not that of its tree")

    def finish(self) -> None:
        """Tell what no root has decided."""
        if self._mismatches:
            self._on_log(self._mismatches)
        self._mismatches = []


class EntryFault(NamedTuple):
    """What happened at an entry: `kind` is changed, missing, inserted or swapped."""

    kind: str
    seq: int
    other_seq: int | None = None


def entry_faults(mismatches: Sequence[Mismatch]) -> list[EntryFault]:
    """Tell what was done to entries whose leaves differ, in the order of seq.

    Once entries have moved up or down by one, all behind them differ: only the first is told.
    """
    by_place = {one.place: one for one in mismatches}
    faults: list[EntryFault] = []
    done: set[int] = set()
    for one in mismatches:
        seq = one.place + 1
        if one.place in done:
            continue
        after = by_place.get(one.place + 1)
        if one.data is None:
            faults.append(EntryFault("missing", seq))
        elif after and leaf_hash(moved_to(seq + 1, one.data)) == after.kept:
            other = _came_from(one, mismatches)
            if other is None or other != one.place + 1:
                return [*faults, EntryFault("missing", seq)]
            faults.append(EntryFault("swapped", seq, seq + 1))
            done.add(other)
        elif after and after.data and leaf_hash(moved_to(seq, after.data)) == one.kept:
            return [*faults, EntryFault("inserted", seq)]
        elif (other := _came_from(one, mismatches)) is not None:
            faults.append(EntryFault("swapped", seq, other + 1))
            done.add(other)
        else:
            faults.append(EntryFault("changed", seq))
    return faults


def _came_from(one: Mismatch, mismatches: Sequence[Mismatch]) -> int | None:
    """Return where the log has now what once was at the leaf `one`."""
    for other in mismatches[:SWAPS_MAX]:
        is_it = other.data and leaf_hash(moved_to(one.place + 1, other.data)) == one.kept
        if is_it and other.place != one.place:
            return other.place
    return None

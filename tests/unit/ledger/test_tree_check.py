"""Which of log and seals was changed, and what was done to the log, from leaves and roots alone."""

from collections.abc import Sequence

import pytest

from ledger_service.domain.merkle import leaf_hash, root_of
from ledger_service.trust.tree_check import (
    Checkpoint,
    EntryFault,
    Mismatch,
    TreeCheck,
    entry_faults,
)

SIZE = 12


def entry(seq: int, content: int | None = None) -> bytes:
    """Bytes that begin as those of an entry do: two bytes of mark, then the seq."""
    return b"\x01E" + seq.to_bytes(8) + (seq if content is None else content).to_bytes(4)


SEALED = [entry(seq) for seq in range(1, SIZE + 1)]
LEAVES = [leaf_hash(one) for one in SEALED]


class Told:
    """A check of one tree, and what it told."""

    def __init__(self) -> None:
        self.log: list[Mismatch] = []
        self.seals: list[str] = []
        self.anchors: list[str] = []
        self.check = TreeCheck(
            on_log=self.log.extend,
            on_seals=self.seals.append,
            on_anchor=lambda point: self.anchors.append(point.name),
        )

    def walk(self, log: Sequence[bytes | None], kept: Sequence[bytes], *points: Checkpoint) -> None:
        for size, (data, leaf) in enumerate(zip(log, kept, strict=True), 1):
            self.check.feed(data, leaf)
            for point in points:
                if point.size == size:
                    self.check.check(point)
        self.check.finish()


def seal(size: int) -> Checkpoint:
    return Checkpoint(size, root_of(LEAVES[:size]), f"seal of {size}")


def anchor(size: int) -> Checkpoint:
    return seal(size)._replace(is_anchor=True, name="anchor")


def faults(log: Sequence[bytes | None]) -> list[EntryFault]:
    told = Told()
    told.walk(log, LEAVES, seal(SIZE))
    assert (told.seals, told.anchors) == ([], [])
    return entry_faults(told.log)


def test_a_log_that_is_as_it_was() -> None:
    told = Told()
    told.walk(SEALED, LEAVES, seal(3), seal(7), anchor(7), seal(SIZE))
    assert (told.log, told.seals, told.anchors) == ([], [], [])


@pytest.mark.parametrize("seq", [1, 5, SIZE])
def test_a_changed_entry(seq: int) -> None:
    log = list(SEALED)
    log[seq - 1] = entry(seq, 99)
    assert faults(log) == [EntryFault("changed", seq)]


@pytest.mark.parametrize("seq", [1, 5, SIZE])
def test_a_missing_entry(seq: int) -> None:
    log: list[bytes | None] = list(SEALED)
    log[seq - 1] = None
    assert faults(log) == [EntryFault("missing", seq)]


@pytest.mark.parametrize("seq", [1, 5, SIZE - 1])
def test_an_entry_taken_out_where_the_rest_closed_up(seq: int) -> None:
    contents = [one for one in range(1, SIZE + 2) if one != seq]
    log = [entry(place, content) for place, content in enumerate(contents, 1)]
    assert faults(log) == [EntryFault("missing", seq)]


@pytest.mark.parametrize("seq", [1, 5, SIZE - 1])
def test_an_entry_put_in(seq: int) -> None:
    contents = [*range(1, seq), 99, *range(seq, SIZE)]
    log = [entry(place, content) for place, content in enumerate(contents, 1)]
    assert faults(log) == [EntryFault("inserted", seq)]


@pytest.mark.parametrize(("one", "other"), [(1, 2), (3, 4), (2, 9), (1, SIZE)])
def test_two_entries_that_changed_places(one: int, other: int) -> None:
    log = list(SEALED)
    log[one - 1], log[other - 1] = entry(one, other), entry(other, one)
    assert faults(log) == [EntryFault("swapped", one, other)]


def test_a_changed_entry_before_two_that_changed_places() -> None:
    log = list(SEALED)
    log[0], log[4], log[8] = entry(1, 77), entry(5, 9), entry(9, 5)
    assert faults(log) == [EntryFault("changed", 1), EntryFault("swapped", 5, 9)]


def test_a_leaf_that_was_changed_in_the_seals_is_not_the_logs_fault() -> None:
    kept = list(LEAVES)
    kept[4] = leaf_hash(b"x")
    told = Told()
    told.walk(SEALED, kept, seal(3), seal(7), anchor(9), seal(SIZE))
    assert (told.log, told.anchors) == ([], [])
    assert told.seals == ["the hash that is kept of leaf 4 is not that of the log"]


def test_a_root_that_was_changed() -> None:
    told = Told()
    told.walk(SEALED, LEAVES, seal(3)._replace(root=b"x" * 32), seal(SIZE), anchor(SIZE))
    assert told.seals == ["the root of seal of 3 is not that of the log"]
    assert (told.log, told.anchors) == ([], [])


def test_a_history_that_was_sealed_anew_is_told_by_the_anchor_alone() -> None:
    forged = [entry(1, 99), *SEALED[1:]]
    leaves = [leaf_hash(one) for one in forged]
    told = Told()
    told.walk(forged, leaves, Checkpoint(SIZE, root_of(leaves), "seal"), anchor(SIZE))
    assert (told.log, told.seals, told.anchors) == ([], [], ["anchor"])


def test_leaves_of_which_the_log_was_cut_are_checked_among_themselves() -> None:
    told = Told()
    told.walk(SEALED[:8], LEAVES[:8], seal(8))
    for leaf in LEAVES[8:]:
        told.check.skip(leaf)
    told.check.check(seal(SIZE))
    told.check.check(seal(SIZE)._replace(root=b"x" * 32))
    assert told.log == []
    assert told.seals == [f"the root of seal of {SIZE} is not that of the log"]

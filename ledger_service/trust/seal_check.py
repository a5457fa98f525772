"""Walks a log along its seals: each leaf, root, frontier and block, and an anchor from outside."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from ledger_service.domain.canonical import StoredEntry, StoredKey, entry_bytes, key_bytes
from ledger_service.domain.merkle import Block, leaf_hash, split_hashes
from ledger_service.trust.anchors import Anchor
from ledger_service.trust.findings import Damage, Report
from ledger_service.trust.log_reader import BEGINNING
from ledger_service.trust.tree_check import (
    MISMATCHES_MAX,
    Checkpoint,
    Mismatch,
    TreeCheck,
    entry_faults,
)

Tree = Literal["entries", "keys"]


class SealRow(NamedTuple):
    """A seal as stored."""

    number: int
    entries_size: int
    entries_root: bytes
    entries_frontier: bytes
    keys_size: int
    keys_root: bytes
    keys_frontier: bytes
    keys_before: datetime

    def point(self, tree: Tree) -> Checkpoint:
        """Return what the seal says of a tree."""
        name = f"seal {self.number}"
        if tree == "entries":
            return Checkpoint(self.entries_size, self.entries_root, name, self.entries_frontier)
        return Checkpoint(self.keys_size, self.keys_root, name, self.keys_frontier)


class SealSource(Protocol):
    """Where the seals are read from, in the order of their keys."""

    def seals(self) -> AsyncIterator[SealRow]: ...

    def leaves(self, tree: Tree) -> AsyncIterator[tuple[int, bytes]]: ...

    def blocks(self, tree: Tree) -> AsyncIterator[Block]: ...


class SealCheck:
    """Takes the entries in their order, then the keys in theirs."""

    def __init__(
        self,
        source: SealSource,
        report: Report,
        refolded: Mapping[int, StoredEntry],
        anchor: Anchor | None,
    ) -> None:
        """`refolded` has, by then, entries with the events that they should have."""
        self._source = source
        self._report = report
        self._refolded = refolded
        self._anchor = anchor
        self._keys_before: dict[int, datetime] = {}
        self._entries = self._run("entries")
        self._keys = self._run("keys")
        self._is_over = False
        self.keys_before = BEGINNING if anchor is None else anchor.keys_before
        """The keys that were recorded before this are sealed; known once the entries are taken."""

    async def start(self) -> None:
        """Read the seals themselves, and get ready for the first leaves."""
        number = size = 0
        async for seal in self._source.seals():
            number += 1
            if seal.number != number:
                self._note_seal(f"seal {number} is missing: {seal.number} follows")
                number = seal.number
            if seal.entries_size <= size:
                self._note_seal(f"seal {number} covers no more entries than the one before")
            size = seal.entries_size
            self._keys_before[size] = seal.keys_before
            self.keys_before = max(self.keys_before, seal.keys_before)
        self._report.seals = number
        self._report.sealed_seq = size
        if self._anchor is not None:
            self._report.anchored_seq = self._anchor.entries_size
            if number < self._anchor.seal:
                self._note_seal(f"seal {self._anchor.seal} was anchored; the last is {number}")
        await self._entries.start()
        await self._keys.start()

    async def take_entry(self, entry: StoredEntry) -> None:
        """Compare the next entry; those that are left out before it are missing."""
        while self._entries.size < entry.seq - 1 and not self._is_over:
            self._is_over = not await self._entries.feed(None)
        if self._is_over:
            return
        await self._entries.feed(entry_bytes(entry))
        said = self._keys_before.pop(entry.seq, entry.recorded_at)
        if said != entry.recorded_at:
            self._note_seal(
                f"a seal over {entry.seq} entries covers keys of before {said}; "
                f"the entry was recorded at {entry.recorded_at}"
            )

    async def finish_entries(self) -> None:
        """Say whether the history was cut: seals or the anchor know of more than there is."""
        await self._finish(self._entries, "entries")

    async def take_key(self, key: StoredKey) -> None:
        """Compare the next of the keys recorded before `keys_before`."""
        self._report.keys += 1
        is_sealed = await self._keys.feed(key_bytes(key), of=key)
        if not is_sealed:
            self._report.note(
                Damage.KEY_INSERTED, key.seq, f"{_described(key)} was never sealed", by_seal=True
            )

    async def finish_keys(self) -> None:
        """Say whether keys are missing at the end."""
        await self._finish(self._keys, "keys")

    def _run(self, tree: Tree) -> "_Run":
        def on_log(mismatches: Sequence[Mismatch]) -> None:
            if tree == "entries":
                self._note_entries(mismatches)
            else:
                self._note_keys(mismatches)

        check = TreeCheck(
            on_log=on_log,
            on_seals=lambda sentence: self._note_seal(f"tree of {tree}: {sentence}"),
            on_anchor=lambda point: self._report.note(
                Damage.ANCHOR_DIFFERS,
                None,
                f"the first {point.size} {tree} are not those of {point.name}",
                by_seal=True,
            ),
        )
        points = _points(self._source, tree, self._anchor)
        return _Run(check, _kept(self._source, tree, self._note_seal), points)

    async def _finish(self, run: "_Run", tree: Tree) -> None:
        size = run.size
        more = await run.finish()
        if more > size:
            self._note_cut(tree, size, more)
        if run.is_sound:
            await self._compare_blocks(run, tree)

    def _note_cut(self, tree: Tree, size: int, sealed: int) -> None:
        if tree == "entries":
            sentence = f"the history ends with seq {size}, {sealed} entries were sealed"
            self._report.note(Damage.TAIL_CUT, size + 1, sentence, by_seal=True)
        else:
            sentence = f"there are {size} idempotency keys, {sealed} were sealed"
            self._report.note(Damage.KEY_MISSING, None, sentence, by_seal=True)

    async def _compare_blocks(self, run: "_Run", tree: Tree) -> None:
        made = {(one.level, one.position): one.root for one in run.blocks}
        sealed = run.sealed_size
        async for block in self._source.blocks(tree):
            if made.pop((block.level, block.position), None) != block.root:
                self._note_seal(
                    f"tree of {tree}: block {block.position} of level {block.level} "
                    "is not that of its leaves"
                )
        for level, position in made:
            if (position + 1) << (8 * level) <= sealed:
                self._note_seal(f"tree of {tree}: block {position} of level {level} is missing")

    def _note_entries(self, mismatches: Sequence[Mismatch]) -> None:
        kept = {one.place + 1: one.kept for one in mismatches}
        for fault in entry_faults(mismatches):
            refolded = self._refolded.get(fault.seq)
            damage, sentence = {
                "changed": (Damage.ENTRY_CHANGED, f"seq {fault.seq} is not as it was sealed"),
                "missing": (Damage.ENTRY_MISSING, f"seq {fault.seq} was taken out"),
                "inserted": (Damage.ENTRY_INSERTED, f"seq {fault.seq} was put in"),
                "swapped": (
                    Damage.ENTRIES_SWAPPED,
                    f"seq {fault.seq} and seq {fault.other_seq} have changed places",
                ),
            }[fault.kind]
            if refolded is not None and leaf_hash(entry_bytes(refolded)) == kept[fault.seq]:
                damage = Damage.EVENT_CHANGED
                sentence = f"the events of seq {fault.seq} are not as they were sealed"
            self._report.note(damage, fault.seq, sentence, by_seal=True)

    def _note_keys(self, mismatches: Sequence[Mismatch]) -> None:
        """Name the first only: where one was put in or taken out, all behind it have moved."""
        first, *rest = mismatches
        after = rest[0] if rest and rest[0].place == first.place + 1 else None
        key = self._keys.described.get(first.place)
        if first.data is None or key is None:
            damage, sentence = Damage.KEY_MISSING, f"idempotency key {first.place + 1} is missing"
        elif after and after.data and leaf_hash(after.data) == first.kept:
            damage, sentence = Damage.KEY_INSERTED, f"{_described(key)} was put in"
        elif after and leaf_hash(first.data) == after.kept:
            damage, sentence = Damage.KEY_MISSING, f"a key before {_described(key)} was taken out"
        else:
            damage, sentence = Damage.KEY_CHANGED, f"{_described(key)} is not as it was sealed"
        self._report.note(damage, None if key is None else key.seq, sentence, by_seal=True)

    def _note_seal(self, sentence: str) -> None:
        self._report.note(Damage.SEAL_CHANGED, None, sentence, by_seal=True)


class _Run:
    """One tree on its way along the leaves that were kept and the roots that are to be met."""

    def __init__(
        self,
        check: TreeCheck,
        kept: AsyncIterator[bytes],
        points: AsyncIterator[Checkpoint],
    ) -> None:
        self._check = check
        self._kept = kept
        self._points = points
        self._point: Checkpoint | None = None
        self.sealed_size = 0
        self.described: dict[int, StoredKey] = {}

    @property
    def size(self) -> int:
        return self._check.size

    @property
    def is_sound(self) -> bool:
        return self._check.is_sound

    @property
    def blocks(self) -> Sequence[Block]:
        return self._check.blocks

    async def start(self) -> None:
        self._point = await anext(self._points, None)
        await self._meet_points()

    async def feed(self, data: bytes | None, *, of: StoredKey | None = None) -> bool:
        """Add a leaf of the log; False, and nothing added, where nothing knows of one here."""
        kept = await anext(self._kept, None)
        if kept is None and self._point is None:
            return False
        if (
            of is not None
            and len(self.described) < MISMATCHES_MAX
            and not self._check.agrees(data, kept)
        ):
            self.described[self.size] = of
        self.sealed_size += kept is not None
        self._check.feed(data, kept)
        await self._meet_points()
        return True

    async def finish(self) -> int:
        """Add the leaves that the log has no more; return how many seals and anchor know of."""
        most = self.size
        while (kept := await anext(self._kept, None)) is not None:
            self.sealed_size += 1
            self._check.skip(kept)
            await self._meet_points()
            most = self.size
        while self._point is not None:
            most = max(most, self._point.size)
            self._point = await anext(self._points, None)
        self._check.finish()
        return most

    async def _meet_points(self) -> None:
        while self._point is not None and self._point.size <= self.size:
            if self._point.size == self.size:
                self._check.check(self._point)
            self._point = await anext(self._points, None)


async def _points(
    source: SealSource, tree: Tree, anchor: Anchor | None
) -> AsyncIterator[Checkpoint]:
    """Yield the roots of seals and anchor in the order of their sizes."""
    outside: Checkpoint | None = None
    if anchor is not None:
        size, root = anchor.tree(tree)
        outside = Checkpoint(size, root, f"the anchor of seal {anchor.seal}", is_anchor=True)
    async for seal in source.seals():
        point = seal.point(tree)
        if outside is not None and outside.size <= point.size:
            yield outside
            outside = None
        yield point
    if outside is not None:
        yield outside


async def _kept(source: SealSource, tree: Tree, note: "_Note") -> AsyncIterator[bytes]:
    """Yield the hashes of leaves that were kept, up to the first that is lost."""
    size = 0
    async for first, packed in source.leaves(tree):
        if first != size:
            note(f"tree of {tree}: hashes of leaves are kept up to {size}, then from {first}")
            return
        for leaf in split_hashes(packed):
            yield leaf
            size += 1


class _Note(Protocol):
    def __call__(self, sentence: str) -> None: ...


def _described(key: StoredKey) -> str:
    return f"idempotency key {key.key_hash.hex()} of {key.recorded_at.isoformat()}"

"""Merkle trees as RFC 6962 (section 2.1) and RFC 9162 define them, over SHA-256.

A leaf is hashed behind a 0x00 byte and a node behind a 0x01 byte, so that neither can pass for the
other. Of n leaves the left subtree has the largest power of two below n; the empty tree's root is
the hash of nothing. `Frontier` keeps what is needed to grow a tree: the roots of its complete
subtrees. The range functions say which subtrees a proof consists of; who has the hashes, puts them
there in that order.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
BLOCK_BITS = 8
BLOCK_LEAVES = 1 << BLOCK_BITS
"""Roots of complete subtrees of 256, 65,536, ... leaves are what `Frontier.append` returns."""


class Range(NamedTuple):
    """The leaves from `start` to before `end`, counted from 0."""

    start: int
    end: int


class Block(NamedTuple):
    """The root of a complete subtree of 256^`level` leaves, the `position`-th from 0."""

    level: int
    position: int
    root: bytes


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf that stands for `data`."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over the hashes of its two sides."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that can grow: its size, and the roots of its complete subtrees, the largest first.

    Those are of the sizes of the ones in `size`, written in binary.
    """

    __slots__ = ("roots", "size")

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        self.size = size
        self.roots = list(roots)
        if len(self.roots) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} complete subtrees")

    @classmethod
    def unpack(cls, size: int, packed: bytes) -> "Frontier":
        """Return what `pack` has written; ValueError where it does not fit the size."""
        return cls(size, split_hashes(packed))

    def pack(self) -> bytes:
        """Return the roots, one behind the other."""
        return b"".join(self.roots)

    def append(self, leaf: bytes) -> list[Block]:
        """Add the hash of a leaf; return the blocks that it completed."""
        blocks = []
        level, left, root = 0, self.size, leaf
        while left & 1:
            root = node_hash(self.roots.pop(), root)
            left >>= 1
            level += 1
            if level % BLOCK_BITS == 0:
                blocks.append(Block(level // BLOCK_BITS, left, root))
        self.roots.append(root)
        self.size += 1
        return blocks

    def root(self) -> bytes:
        """Return the root of the tree as it is."""
        return fold(self.roots)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root of a tree over these hashes of leaves."""
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def fold(roots: Sequence[bytes]) -> bytes:
    """Return the root over complete subtrees of falling size that stand side by side."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = node_hash(left, root)
    return root


def split_hashes(packed: bytes) -> list[bytes]:
    """Return the hashes that stand one behind the other in `packed`."""
    if len(packed) % HASH_BYTES:
        raise ValueError(f"{len(packed)} bytes are not hashes of {HASH_BYTES} bytes")
    return [packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)]


def complete_parts(whole: Range) -> list[Range]:
    """Cut a range that is a subtree of some tree into complete subtrees, the largest first."""
    parts = []
    start = whole.start
    while start < whole.end:
        size = 1 << ((whole.end - start).bit_length() - 1)
        parts.append(Range(start, start + size))
        start += size
    return parts


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the subtrees whose roots prove leaf `index` of `size`, from the leaf's level up.

    RFC 9162, 2.1.3.1. ValueError where there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    ranges = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _left_size(end - start)
        if index < middle:
            ranges.append(Range(middle, end))
            end = middle
        else:
            ranges.append(Range(start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old_size: int, size: int) -> list[Range]:
    """Return the subtrees whose roots prove that a tree of `size` began as one of `old_size`.

    RFC 9162, 2.1.4.1; none where the sizes are equal or the old tree is empty. ValueError where
    the old tree is larger.
    """
    if not 0 <= old_size <= size:
        raise ValueError(f"a tree of {old_size} leaves does not grow into one of {size}")
    if old_size == 0:
        return []
    ranges = []
    start, end, is_whole = 0, size, True
    while end != old_size:
        middle = start + _left_size(end - start)
        if old_size <= middle:
            ranges.append(Range(middle, end))
            end = middle
        else:
            ranges.append(Range(start, middle))
            start, is_whole = middle, False
    if not is_whole:
        ranges.append(Range(start, end))
    return ranges[::-1]


def proves_inclusion(
    leaf: bytes, *, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Tell whether `path` leads from the hash of leaf `index` to the `root` of `size` leaves.

    RFC 9162, 2.1.3.2.
    """
    if not 0 <= index < size:
        return False
    here, last, found = index, size - 1, leaf
    for one in path:
        if last == 0:
            return False
        if here & 1 or here == last:
            found = node_hash(one, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = node_hash(found, one)
        here, last = here >> 1, last >> 1
    return last == 0 and found == root


def proves_consistency(
    *, old_size: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]
) -> bool:
    """Tell whether `path` shows that the tree of `size` leaves began as that of `old_size`.

    RFC 9162, 2.1.4.2.
    """
    if not 0 <= old_size <= size:
        return False
    if old_size in (0, size):
        return not path and old_root == (EMPTY_ROOT if old_size == 0 else root)
    if not path:
        return False
    rest = list(path) if old_size.bit_count() > 1 else [old_root, *path]
    here, last = old_size - 1, size - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    found_old = found = rest[0]
    for one in rest[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            found_old, found = node_hash(one, found_old), node_hash(one, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = node_hash(found, one)
        here, last = here >> 1, last >> 1
    return last == 0 and found_old == old_root and found == root


def _left_size(size: int) -> int:
    """Return the largest power of two below `size`, which is more than one."""
    return 1 << ((size - 1).bit_length() - 1)

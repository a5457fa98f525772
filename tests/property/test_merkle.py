"""Merkle trees against the recursive definitions of RFC 6962, written down as they stand there."""

from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_service.domain.merkle import (
    EMPTY_ROOT,
    Block,
    Frontier,
    Range,
    complete_parts,
    consistency_ranges,
    fold,
    inclusion_ranges,
    leaf_hash,
    proves_consistency,
    proves_inclusion,
    root_of,
)

SIZES = st.integers(1, 300)


def defined_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, over hashes of leaves."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\x01" + defined_root(leaves[:k]) + defined_root(leaves[k:])).digest()


def defined_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if index < k:
        return [*defined_path(index, leaves[:k]), defined_root(leaves[k:])]
    return [*defined_path(index - k, leaves[k:]), defined_root(leaves[:k])]


def defined_proof(old_size: int, leaves: list[bytes], *, is_whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2."""
    if old_size == len(leaves):
        return [] if is_whole else [defined_root(leaves)]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if old_size <= k:
        inner = defined_proof(old_size, leaves[:k], is_whole=is_whole)
        return [*inner, defined_root(leaves[k:])]
    inner = defined_proof(old_size - k, leaves[k:], is_whole=False)
    return [*inner, defined_root(leaves[:k])]


def made_leaves(size: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(size)]


def roots(leaves: list[bytes], ranges: list[Range]) -> list[bytes]:
    """What a proof holds where each subtree's root is put together from its complete parts."""
    return [
        fold([root_of(leaves[part.start : part.end]) for part in complete_parts(one)])
        for one in ranges
    ]


@given(size=st.integers(0, 300))
def test_a_tree_that_grows_has_the_defined_root(size: int) -> None:
    assert root_of(made_leaves(size)) == defined_root(made_leaves(size))


@given(size=SIZES, data=st.data())
def test_a_tree_goes_on_from_what_was_packed(size: int, data: st.DataObject) -> None:
    leaves = made_leaves(size)
    before = data.draw(st.integers(0, size))
    tree = Frontier()
    for leaf in leaves[:before]:
        tree.append(leaf)
    again = Frontier.unpack(before, tree.pack())
    for leaf in leaves[before:]:
        again.append(leaf)
    assert (again.size, again.root()) == (size, defined_root(leaves))


@given(size=SIZES, data=st.data())
def test_inclusion_is_proved_as_defined_and_nothing_else_is(size: int, data: st.DataObject) -> None:
    leaves = made_leaves(size)
    index = data.draw(st.integers(0, size - 1))
    path = roots(leaves, inclusion_ranges(index, size))
    root = defined_root(leaves)
    assert path == defined_path(index, leaves)
    assert proves_inclusion(leaves[index], index=index, size=size, path=path, root=root)
    assert not proves_inclusion(leaf_hash(b"x"), index=index, size=size, path=path, root=root)
    assert not proves_inclusion(leaves[index], index=index, size=size, path=path, root=b"x" * 32)
    longer = [*path, b"x" * 32]
    assert not proves_inclusion(leaves[index], index=index, size=size, path=longer, root=root)
    other = data.draw(st.integers(0, size - 1))
    if other != index:
        assert not proves_inclusion(leaves[index], index=other, size=size, path=path, root=root)
    if path:
        short = path[:-1]
        assert not proves_inclusion(leaves[index], index=index, size=size, path=short, root=root)


@given(size=SIZES, data=st.data())
def test_consistency_is_proved_as_defined_and_no_change_is(size: int, data: st.DataObject) -> None:
    leaves = made_leaves(size)
    old_size = data.draw(st.integers(1, size))
    path = roots(leaves, consistency_ranges(old_size, size))
    old_root, root = defined_root(leaves[:old_size]), defined_root(leaves)
    assert path == defined_proof(old_size, leaves)
    assert proves_consistency(old_size=old_size, old_root=old_root, size=size, root=root, path=path)
    changed = list(leaves)
    changed[data.draw(st.integers(0, old_size - 1))] = leaf_hash(b"x")
    changed_path = roots(changed, consistency_ranges(old_size, size))
    assert not proves_consistency(
        old_size=old_size,
        old_root=old_root,
        size=size,
        root=defined_root(changed),
        path=changed_path,
    )


def test_every_tree_grew_from_the_empty_one() -> None:
    root = root_of(made_leaves(7))
    assert consistency_ranges(0, 7) == []
    proof = {"old_size": 0, "size": 7, "root": root}
    assert proves_consistency(**proof, old_root=EMPTY_ROOT, path=[])
    assert not proves_consistency(**proof, old_root=root, path=[])
    assert not proves_consistency(**proof, old_root=EMPTY_ROOT, path=[root])


def test_what_there_is_not_cannot_be_proved() -> None:
    with pytest.raises(ValueError, match="no leaf 7"):
        inclusion_ranges(7, 7)
    with pytest.raises(ValueError, match="does not grow"):
        consistency_ranges(8, 7)
    with pytest.raises(ValueError, match="complete subtrees"):
        Frontier(3, [b"x" * 32])
    with pytest.raises(ValueError, match="are not hashes"):
        Frontier.unpack(1, b"x" * 31)
    root = root_of(made_leaves(7))
    assert not proves_inclusion(root, index=0, size=0, path=[], root=root)
    assert not proves_consistency(old_size=8, old_root=root, size=7, root=root, path=[])
    assert not proves_consistency(old_size=3, old_root=root, size=7, root=root, path=[])


def test_blocks_of_256_and_65536_leaves_come_out_complete() -> None:
    leaves = [Random(number).randbytes(32) for number in range(65_536 + 300)]
    tree, blocks = Frontier(), []
    for leaf in leaves:
        blocks += tree.append(leaf)
    assert [(one.level, one.position) for one in blocks if one.level == 2] == [(2, 0)]
    assert [one.position for one in blocks if one.level == 1] == list(range(257))
    assert blocks[-1] == Block(1, 256, root_of(leaves[65_536 : 65_536 + 256]))
    assert root_of([one.root for one in blocks if one.level == 1][:256]) == next(
        one.root for one in blocks if one.level == 2
    )

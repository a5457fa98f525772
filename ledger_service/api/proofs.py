"""Routes of seals and proofs: how outsiders check one entry, or that nothing was changed."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from ledger_service.api.bodies import TransactionId
from ledger_service.api.models_proofs import (
    ConsistencyOut,
    ProofOut,
    SealedEntry,
    SealOut,
    SealPage,
    TreeConsistency,
)
from ledger_service.dependencies import Held
from ledger_service.domain.canonical import StoredEntry, entry_bytes
from ledger_service.domain.merkle import (
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    proves_inclusion,
)
from ledger_service.repositories.seals import (
    Seal,
    Tree,
    find_seal,
    find_stored_entry,
    seals_after,
    subtree_roots,
)
from shared.errors import Conflict, InvalidCursor, NotFound
from shared.lists import LIMIT_DEFAULT, Cursor, Limit, next_link
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import problem_responses

router = APIRouter(prefix="/ledger", tags=["trust"])
SealNumber = Annotated[int, Path(ge=1, lt=2**63, openapi_examples={"the first seal": {"value": 1}})]


class NotSealed(Conflict):
    code, title = "not_sealed", "The entry is not sealed yet"
    retry_after_seconds = 10


class SealBroken(Conflict):
    code, title = "seal_broken", "The entry is no longer what was sealed"


@router.get(
    "/proof/{transaction_id}",
    summary="Prove a transaction",
    response_model=ProofOut,
    responses=problem_responses(NotFound, NotSealed, SealBroken),
)
async def get_proof(
    transaction_id: TransactionId,
    held: Held,
    seal: Annotated[
        int | None,
        Query(ge=1, lt=2**63, description="prove it under this seal; without, the last one"),
    ] = None,
) -> ProofOut:
    """The way from an entry to the root of a seal; any entry has one, by the id it made.

    Hash the canonical encoding yourself, follow the path, and compare the root with an anchor that
    you have from elsewhere. 409 while the entry waits for its seal.
    """
    entry = await find_stored_entry(held.database, held.ledger_id, transaction_id)
    if entry is None:
        raise NotFound(f"there is no entry {transaction_id}", transaction_id=str(transaction_id))
    if seal is None:
        sealed = await find_seal(held.database, held.ledger_id)
    else:
        sealed = await _seal_numbered(held, seal)
    covered = 0 if sealed is None else sealed.entries.size
    if sealed is None or entry.seq > covered:
        raise NotSealed(
            f"entry {entry.seq} is not sealed yet; the seal covers {covered} entries",
            seq=entry.seq,
            sealed_seq=covered,
        )
    index, size = entry.seq - 1, sealed.entries.size
    path = await subtree_roots(
        held.database, held.ledger_id, "entries", inclusion_ranges(index, size), sealed.entries
    )
    data, root = entry_bytes(entry), sealed.entries_root
    leaf = leaf_hash(data)
    if not proves_inclusion(leaf, index=index, size=size, path=path, root=root):
        raise SealBroken(
            f"entry {entry.seq} does not lead to the root of seal {sealed.number}; "
            "run `ledger verify`",
            seq=entry.seq,
            seal=sealed.number,
        )
    return ProofOut(
        ledger=held.ledger_name,
        entry=_entry_out(entry),
        canonical=data.hex(),
        leaf_hash=leaf.hex(),
        leaf_index=index,
        tree_size=size,
        path=[one.hex() for one in path],
        root=root.hex(),
        seal=sealed.number,
    )


@router.get(
    "/seal/",
    summary="List seals",
    response_model=SealPage,
    responses=problem_responses(InvalidCursor),
)
async def list_seals(
    request: Request, held: Held, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> SealPage:
    """Seals in the order in which they were made."""
    after = decode_cursor("seals", cursor, int)
    number = 0 if after is None else after[0]
    found = await seals_after(held.database, held.ledger_id, number, limit + 1)
    following = encode_cursor("seals", found[limit - 1].number) if len(found) > limit else None
    return SealPage(
        seals=[_seal_out(one) for one in found[:limit]],
        next_cursor=following,
        next=None if following is None else next_link(request, following),
    )


@router.get(
    "/seal/{number}",
    summary="Get a seal",
    response_model=SealOut,
    responses=problem_responses(NotFound),
)
async def get_seal(number: SealNumber, held: Held) -> SealOut:
    """What a seal covers, and its roots."""
    return _seal_out(await _seal_numbered(held, number))


@router.get(
    "/seal/{number}/consistency",
    summary="Prove that a seal only adds to an earlier one",
    response_model=ConsistencyOut,
    responses=problem_responses(NotFound),
)
async def get_consistency(
    number: SealNumber,
    held: Held,
    from_seal: Annotated[
        int,
        Query(
            alias="from",
            ge=1,
            lt=2**63,
            description="the earlier seal",
            openapi_examples={"the first seal": {"value": 1}},
        ),
    ],
) -> ConsistencyOut:
    """The hashes that show, for both trees, that the earlier one is their beginning."""
    if from_seal > number:
        raise NotFound(f"seal {from_seal} was not made before seal {number}", seal=from_seal)
    old = await _seal_numbered(held, from_seal)
    new = await _seal_numbered(held, number)
    return ConsistencyOut(
        ledger=held.ledger_name,
        from_seal=from_seal,
        seal=number,
        entries=await _consistency(held, "entries", old, new),
        keys=await _consistency(held, "keys", old, new),
    )


async def _consistency(held: Held, name: Tree, old: Seal, new: Seal) -> TreeConsistency:
    (before, before_root), (now, root) = old.tree(name), new.tree(name)
    ranges = consistency_ranges(before.size, now.size)
    path = await subtree_roots(held.database, held.ledger_id, name, ranges, now)
    return TreeConsistency(
        from_size=before.size,
        from_root=before_root.hex(),
        size=now.size,
        root=root.hex(),
        path=[one.hex() for one in path],
    )


async def _seal_numbered(held: Held, number: int) -> Seal:
    seal = await find_seal(held.database, held.ledger_id, number)
    if seal is None:
        raise NotFound(f"there is no seal {number}", seal=number)
    return seal


def _seal_out(seal: Seal) -> SealOut:
    return SealOut(
        number=seal.number,
        entries_size=seal.entries.size,
        entries_root=seal.entries_root.hex(),
        keys_size=seal.keys.size,
        keys_root=seal.keys_root.hex(),
        keys_before=seal.keys_before,
        sealed_at=seal.sealed_at,
    )


def _entry_out(entry: StoredEntry) -> SealedEntry:
    events = [event._asdict() for event in entry.events]
    return SealedEntry.model_validate(entry._asdict() | {"events": events})

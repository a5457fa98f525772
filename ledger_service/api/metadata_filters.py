"""Filters by metadata, as query parameters: only declared keys, for only they have an index."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from ledger_service.dependencies import Held, Resources
from ledger_service.repositories.metadata_keys import MetadataFilter, Subject, declared_keys
from shared.errors import AppError, InvalidRequest
from shared.text import JSON_TEXT_CHARS_MAX, SafeStr

FILTERS_MAX = 5

_Filters = Annotated[
    list[Annotated[SafeStr, Field(max_length=JSON_TEXT_CHARS_MAX)]] | None,
    Query(
        max_length=FILTERS_MAX,
        description="`KEY=VALUE`, more than once for all of them; KEY is a declared one, of the "
        "metadata itself and not below it",
    ),
]


class UndeclaredMetadataKey(AppError):
    code, title, status = "metadata_key_not_indexed", "This key of the metadata has no index", 422


async def account_metadata(held: Held, metadata: _Filters = None) -> tuple[MetadataFilter, ...]:
    """Return what the metadata of accounts is asked for. Raises UndeclaredMetadataKey."""
    return await _filters(held, "accounts", metadata)


async def transaction_metadata(held: Held, metadata: _Filters = None) -> tuple[MetadataFilter, ...]:
    """Return what the metadata of transactions is asked for. Raises UndeclaredMetadataKey."""
    return await _filters(held, "transactions", metadata)


AccountMetadata = Annotated[tuple[MetadataFilter, ...], Depends(account_metadata)]
TransactionMetadata = Annotated[tuple[MetadataFilter, ...], Depends(transaction_metadata)]


async def _filters(
    held: Resources, subject: Subject, asked: Sequence[str] | None
) -> tuple[MetadataFilter, ...]:
    if not asked:
        return ()
    wanted = []
    for one in asked:
        key, equals, value = one.partition("=")
        if not (key and equals):
            raise InvalidRequest("`metadata` has the form KEY=VALUE", metadata=one)
        wanted.append(MetadataFilter(key, value))
    declared = await declared_keys(held.database, subject)
    for key, _ in wanted:
        if key not in declared:
            known = ", ".join(declared) or "none"
            raise UndeclaredMetadataKey(
                f"{subject} cannot be found by {key}: the keys with an index are {known}",
                key=key,
                declared=declared,
            )
    return tuple(wanted)

"""Which part of the history the ledger's lists show, as query parameters."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from ledger_service.repositories.rows import Range
from shared.text import Instant, SafeStr

_Seq = Annotated[int | None, Query(ge=0, lt=2**63)]


async def history_range(
    effective_from: Annotated[Instant | None, Query(description="inclusive")] = None,
    effective_to: Annotated[Instant | None, Query(description="inclusive")] = None,
    after_seq: Annotated[_Seq, Query(description="exclusive")] = None,
    up_to_seq: Annotated[_Seq, Query(description="inclusive")] = None,
    reference: Annotated[SafeStr | None, Query(max_length=255)] = None,
) -> Range:
    """Return the part of the history that the query parameters name."""
    return Range(
        effective_from=effective_from,
        effective_to=effective_to,
        after_seq=after_seq,
        up_to_seq=up_to_seq,
        reference=reference,
    )


HistoryRange = Annotated[Range, Depends(history_range)]
AccountFilter = Annotated[UUID | None, Query(description="only this account's")]

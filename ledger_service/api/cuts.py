"""Which cut through the history an answer shows, as query parameters: recorded or effective."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Query

from ledger_service.dependencies import Resources
from ledger_service.repositories.accounts import head_now
from ledger_service.repositories.balances import Cut, cut_at
from shared.errors import AppError
from shared.text import Instant

AtSeq = Annotated[
    int | None,
    Query(
        ge=0,
        lt=2**63,
        description="as recorded: what the ledger knew once it had this entry. The `seq` of an "
        "earlier answer gives answers that agree with that one",
    ),
]
AsOf = Annotated[
    Instant | None,
    Query(description="as effective: what counts at this instant or before (RFC 3339)"),
]
_NEXT_INSTANT = timedelta(microseconds=1)


class SeqNotReached(AppError):
    code, title, status = "seq_not_reached", "The history has not come that far", 422


async def seq_of(held: Resources, at_seq: int | None) -> int:
    """Return the last entry that an answer knows of: the present one's by default.

    Raises SeqNotReached.
    """
    head = await head_now(held.database, held.ledger_id)
    if at_seq is None:
        return head.last_seq
    if at_seq > head.last_seq:
        raise SeqNotReached(
            f"the last entry is {head.last_seq}", seq=at_seq, last_seq=head.last_seq
        )
    return at_seq


async def cut_of(held: Resources, seq: int, *, as_of: datetime | None) -> Cut:
    """Return the cut of what is recorded up to `seq` and counts at `as_of` or before."""
    before = None if as_of is None else just_after(as_of)
    return await cut_at(held.database, held.ledger_id, seq=seq, before=before)


def just_after(instant: datetime) -> datetime:
    """Return the next instant that PostgreSQL and we can tell from this one."""
    try:
        return instant + _NEXT_INSTANT
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)

"""Reads the matches that are not one-to-one, each with all of its members."""

from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Text, Uuid

from recon_service.repositories.logs import RunFilter, of_runs
from recon_service.tables import match_members, runs
from shared.rows import Columns, decimal_text, fetch_page, json_rows
from shared.streaming import instant_text

_member = match_members.c
_MEMBER: Columns = {
    "side": _member.side,
    "key": _member.key,
    "reference": _member.reference,
    "date": _member.date,
    "at": instant_text(_member.at),
    "currency": _member.currency,
    "amount": decimal_text(_member.amount_minor, _member.scale),
    "text": _member.text,
    "counterparty": _member.counterparty,
}


async def group_page(
    database: AsyncEngine,
    wanted: RunFilter,
    *,
    match_type: str | None,
    decision: str | None,
    after: tuple[str, str] | None,
    limit: int,
) -> tuple[list[dict[str, Any]], tuple[str, str] | None]:
    """Return matches by run and name, and the last one's place if more follow.

    `members` is a JSON array as text, the statement's side first.
    """
    key = (_member.run_id, _member.match_id)
    about = (runs.c.source, runs.c.business_date, runs.c.attempt, runs.c.dry_run)
    document = json_rows(_MEMBER)
    members = func.string_agg(
        document, aggregate_order_by(literal(","), _member.side, _member.key), type_=Text
    )
    conditions = of_runs(wanted)
    if match_type is not None:
        conditions.append(_member.match_type == match_type)
    if decision is not None:
        conditions.append(_member.decision == decision)
    if after is not None:
        place = tuple_(literal(UUID(after[0]), Uuid), literal(after[1]))
        conditions.append(tuple_(*key) > place)
    statement = (
        select(
            *key,
            *about,
            func.min(_member.match_type).label("match_type"),
            func.min(_member.decision).label("decision"),
            members.label("members"),
        )
        .select_from(match_members.join(runs, runs.c.run_id == _member.run_id))
        .where(and_(*conditions))
        .group_by(*key, *about)
        .order_by(*key)
    )
    rows, more = await fetch_page(database, statement, limit)
    found = [
        {
            "run_id": str(row.run_id),
            "source": row.source,
            "date": row.business_date.isoformat(),
            "attempt": row.attempt,
            "dry_run": row.dry_run,
            "match_id": row.match_id,
            "match_type": row.match_type,
            "decision": row.decision,
            "members": f"[{row.members}]",
        }
        for row in rows
    ]
    last = (found[-1]["run_id"], found[-1]["match_id"]) if more else None
    return found, last

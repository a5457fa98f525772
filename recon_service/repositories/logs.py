"""Reads the match log, rejected lines and breaks: pages of JSON rows, and whole streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    ColumnElement,
    Select,
    Text,
    and_,
    any_,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    tuple_,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by, array
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Uuid

from recon_service.tables import breaks, match_log, match_members, run_records, runs
from shared.rows import Columns, decimal_text, json_rows, stream_columns
from shared.streaming import instant_text

_USER_TEXTS = {"external_id", "internal_reference", "external_text", "internal_text"}


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Whose rows are wanted; without `attempt` and `run_id` those of the attempts in force.

    Dry runs are shown by their id only.
    """

    source: str | None = None
    day: date | None = None
    attempt: int | None = None
    run_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which decisions are wanted."""

    runs: RunFilter
    matched: bool | None = None
    decision: str | None = None
    match_type: str | None = None


def _amount(table: Any, prefix: str) -> ColumnElement[str]:
    return decimal_text(table[f"{prefix}amount_minor"], table[f"{prefix}scale"])


def _whole_match(side: str, own: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a JSON array of the keys that one side of an entry's match has, its own if a pair."""
    member = match_members.c
    listed = (
        select(func.json_agg(aggregate_order_by(member.key, member.key)))
        .where(member.run_id == _log.run_id, member.match_id == _log.match_id, member.side == side)
        .scalar_subquery()
    )
    none = literal_column("'[]'", Text)
    keys = case(
        (_log.match_id.is_not(None), func.coalesce(cast(listed, Text), none)),
        (_log.internal_id.is_not(None), func.concat("[", cast(func.to_json(own), Text), "]")),
        else_=none,
    )
    return type_coerce(keys, JSON)


_log = match_log.c
_LOG: Columns = {
    "external_id": _log.external_id,
    "internal_id": _log.internal_id,
    "internal_reference": _log.internal_reference,
    "matched": _log.matched,
    "match_type": _log.match_type,
    "decision": _log.decision,
    "score": _log.score,
    "evidence": _log.evidence,
    "reason": _log.reason,
    "cause": _log.cause,
    "match_id": _log.match_id,
    "record_ids": _whole_match("external", _log.record_id),
    "internal_ids": _whole_match("ledger", _log.internal_id),
    "log_id": _log.log_id,
    "run_id": _log.run_id,
    "source": _log.source,
    "date": _log.business_date,
    "attempt": _log.attempt,
    "decided_at": instant_text(_log.decided_at),
    "record_id": _log.record_id,
    "line_no": _log.line_no,
    "carried": _log.carried,
    "external_currency": _log.external_currency,
    "external_amount": _amount(_log, "external_"),
    "external_date": _log.external_date,
    "external_at": instant_text(_log.external_at),
    "external_text": _log.external_text,
    "internal_currency": _log.internal_currency,
    "internal_amount": case((_log.internal_id.is_not(None), _amount(_log, "internal_"))),
    "internal_date": _log.internal_date,
    "internal_at": instant_text(_log.internal_at),
    "internal_text": _log.internal_text,
}
_REJECTED: Columns = {
    "run_id": run_records.c.run_id,
    "source": runs.c.source,
    "date": runs.c.business_date,
    "attempt": runs.c.attempt,
    "line_no": run_records.c.line_no,
    "byte_offset": run_records.c.byte_offset,
    "reason": run_records.c.reason,
    "raw": run_records.c.raw,
}
_BREAK: Columns = {
    "side": breaks.c.side,
    "key": breaks.c.key,
    "kind": case(
        (breaks.c.state == "suggested", "suggested"),
        (breaks.c.side == "external", "missing_in_ledger"),
        else_="missing_in_bank",
    ),
    "status": breaks.c.state,
    "late": breaks.c.late,
    "source": breaks.c.source,
    "population": case((breaks.c.side == "ledger", breaks.c.scope)),
    "run_id": breaks.c.run_id,
    "opened_at": instant_text(breaks.c.opened_at),
    "changed_at": instant_text(breaks.c.changed_at),
    "reference": breaks.c.reference,
    "date": breaks.c.date,
    "at": instant_text(breaks.c.at),
    "currency": breaks.c.currency,
    "amount": _amount(breaks.c, ""),
    "text": breaks.c.text,
    "counterparty": breaks.c.counterparty,
}


async def log_page(
    database: AsyncEngine, wanted: LogFilter, *, after: int, limit: int
) -> tuple[list[str], int | None]:
    """Return JSON rows after the entry `after`, and the last one's id if more follow."""
    statement = _log_entries(select(_log.log_id, json_rows(_LOG)), wanted).where(
        _log.log_id > after
    )
    rows = await _fetch(database, statement.limit(limit + 1))
    return _page(rows, limit)


def log_stream(wanted: LogFilter, media_type: str) -> Select[Any]:
    """Return the statement whose rows a stream of `media_type` sends."""
    columns = stream_columns(_LOG, media_type, user_texts=_USER_TEXTS)
    return _log_entries(select(*columns), wanted)


async def find_log_entry(database: AsyncEngine, log_id: int) -> str | None:
    """Return one entry as JSON, of whatever attempt; None where there is none."""
    rows = await _fetch(database, select(json_rows(_LOG)).where(_log.log_id == log_id))
    return rows[0][0] if rows else None


async def rejected_page(
    database: AsyncEngine, wanted: RunFilter, *, after: tuple[str, int] | None, limit: int
) -> tuple[list[str], tuple[str, int] | None]:
    """Return lines that could not be read, as JSON rows, and the last one's place if more do."""
    lines = run_records.c
    statement = (
        select(lines.run_id, lines.line_no, json_rows(_REJECTED))
        .select_from(run_records.join(runs, runs.c.run_id == lines.run_id))
        .where(lines.disposition == "rejected", *of_runs(wanted))
        .order_by(lines.run_id, lines.line_no)
        .limit(limit + 1)
    )
    if after is not None:
        place = tuple_(literal(UUID(after[0]), Uuid), literal(after[1]))
        statement = statement.where(tuple_(lines.run_id, lines.line_no) > place)
    rows = await _fetch(database, statement)
    shown = rows[:limit]
    last = (str(shown[-1][0]), shown[-1][1]) if len(rows) > limit else None
    return [row[2] for row in shown], last


async def break_page(
    database: AsyncEngine,
    *,
    states: Sequence[str],
    side: str | None,
    source: str | None,
    after: tuple[str, str, str] | None,
    limit: int,
) -> tuple[list[str], tuple[str, str, str] | None]:
    """Return breaks in one of `states` as JSON rows, and the last one's place if more follow."""
    key = (breaks.c.side, breaks.c.scope, breaks.c.key)
    statement = (
        select(*key, json_rows(_BREAK))
        .where(breaks.c.state == any_(cast(array(states), ARRAY(Text))))
        .order_by(*key)
        .limit(limit + 1)
    )
    if side is not None:
        statement = statement.where(breaks.c.side == side)
    if source is not None:
        statement = statement.where(breaks.c.source == source)
    if after is not None:
        statement = statement.where(tuple_(*key) > tuple_(*map(literal, after)))
    rows = await _fetch(database, statement)
    shown = rows[:limit]
    last = (shown[-1][0], shown[-1][1], shown[-1][2]) if len(rows) > limit else None
    return [row[3] for row in shown], last


def _log_entries(statement: Select[Any], wanted: LogFilter) -> Select[Any]:
    conditions = of_runs(wanted.runs)
    if wanted.matched is not None:
        conditions.append(_log.matched if wanted.matched else ~_log.matched)
    if wanted.decision is not None:
        conditions.append(_log.decision == wanted.decision)
    if wanted.match_type is not None:
        conditions.append(_log.match_type == wanted.match_type)
    joined = match_log.join(runs, runs.c.run_id == _log.run_id)
    return statement.select_from(joined).where(*conditions).order_by(_log.log_id)


def of_runs(wanted: RunFilter) -> list[ColumnElement[bool]]:
    """Return the conditions that rows joined with `runs` must meet."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.source is not None:
        conditions.append(runs.c.source == wanted.source)
    if wanted.day is not None:
        conditions.append(runs.c.business_date == wanted.day)
    if wanted.attempt is not None:
        conditions.append(runs.c.attempt == wanted.attempt)
    if wanted.run_id is not None:
        conditions.append(runs.c.run_id == wanted.run_id)
    else:
        conditions.append(~runs.c.dry_run)
    if wanted.attempt is None and wanted.run_id is None:
        conditions.append(and_(runs.c.status == "finished", runs.c.superseded_by.is_(None)))
    return conditions


async def _fetch(database: AsyncEngine, statement: Select[Any]) -> list[Any]:
    async with database.connect() as connection:
        return list(await connection.execute(statement))


def _page(rows: list[Any], limit: int) -> tuple[list[str], int | None]:
    shown = rows[:limit]
    return [row[1] for row in shown], shown[-1][0] if len(rows) > limit else None

"""Answers why a record stayed alone: what it was decided on, and a fresh look at the ledger.

decision ─▶ ledger around the record ─▶ nearest items ─▶ first gate each failed
                                        └─ smallest change of the policy, tried on these rows
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl

from recon_service.domain import records
from recon_service.domain.calendars import calendar_days_max
from recon_service.domain.config import Policy, SourceConfig
from recon_service.domain.errors import UnknownRecord
from recon_service.domain.logged import Logged, Party
from recon_service.domain.records import ITEM_SCHEMA
from recon_service.domain.run import InputKind
from recon_service.engine import ReconEngine
from recon_service.explanations.unmatched import Near, Stop, Taken, first_stop, verdict
from recon_service.matchers.gates import allowed_minor
from recon_service.matchers.nearby import nearest
from recon_service.matchers.smallest_change import Change, Tried, smallest_change
from recon_service.matchers.weights import Weights, shipped
from recon_service.readers.nearby import Around, read_around
from recon_service.repositories import explanations
from recon_service.repositories.atomic import plain
from recon_service.repositories.explanations import Decided

# Days beyond the window that are looked at.
DAYS_BEYOND_MAX = 31
# Near items that the matcher is tried on, and those that are told about.
_ITEMS_TRIED_MAX = 200
CANDIDATES_SHOWN_MAX = 5
_NEAR_PERCENT_MICROS = 10_000_000


@dataclass(frozen=True, slots=True)
class _Scene:
    """The record, what competes with it, and what is near in the ledger."""

    decided: Decided
    rivals: pl.DataFrame
    around: Around
    near: pl.DataFrame
    items: pl.DataFrame
    holders: Mapping[str, Taken]
    suggested: Mapping[str, tuple[str, float]]
    weights: Weights | None


async def why_unmatched(
    engine: ReconEngine, record_id: UUID, run_id: UUID | None = None
) -> dict[str, Any]:
    """Return what is known about a record that a run left alone, as JSON.

    Without `run_id` the last run in force that decided it is meant. Raises UnknownRecord and
    LedgerUnreadable.
    """
    decided = await _find(engine, record_id, run_id)
    logged = decided.logged
    if logged.decision != "unmatched":
        return _document(decided, None, [], None, verdict(logged, None, [], would_guess=False))
    scene = await _look(engine, decided)
    free = scene.items.filter(~pl.col("internal_id").is_in(list(scene.holders)))
    held = scene.items.filter(pl.col("internal_id").is_in(list(scene.holders)))
    tried: Tried = await engine.offload(
        smallest_change, logged.record_id, scene.rivals, free, logged.policy, held, scene.weights
    )
    near = _told(scene, tried)
    stops = [first_stop(one, near, logged, decided.read_to_seq or 0) for one in near]
    shown = list(zip(near, stops, strict=True))[:CANDIDATES_SHOWN_MAX]
    change = _change(scene, tried)
    told = verdict(logged, change, [stop for _, stop in shown], would_guess=tried.would_guess)
    return _document(decided, scene, shown, change, told)


async def _find(engine: ReconEngine, record_id: UUID, run_id: UUID | None) -> Decided:
    async with plain(engine.database) as connection:
        decided = await explanations.find_decided(connection, record_id, run_id)
        if decided is not None:
            return decided
        exists = await explanations.record_exists(connection, record_id)
    by = "no run in force has" if run_id is None else f"the run {run_id} has not"
    detail = f"{by} decided the record {record_id}" if exists else f"no record {record_id} is known"
    raise UnknownRecord(detail, record_id=str(record_id))


async def _look(engine: ReconEngine, decided: Decided) -> _Scene:
    """Read the ledger around the record, wider than the gates, and who has what."""
    logged, config = decided.logged, decided.config
    low_minor, high_minor = _like_amounts(logged)
    async with plain(engine.database) as connection:
        stored = await explanations.load_rivals(
            connection, logged, low_minor=low_minor, high_minor=high_minor
        )
    rivals = records.comparable(stored, config)
    record = rivals.filter(pl.col("record_id") == logged.record_id)

    def keep(items: pl.DataFrame) -> pl.DataFrame:
        near = nearest(
            record, _as_items(items, config), logged.policy, items_max=_ITEMS_TRIED_MAX
        ).select("internal_id")
        return items.join(near, on="internal_id", how="semi", maintain_order="left")

    around = await read_around(
        engine.ledger,
        logged.population,
        logged.record.on,
        days=_reach(logged.policy) + DAYS_BEYOND_MAX,
        zone=config.zone,
        keep=keep,
    )
    items = _as_items(around.items, config)
    near = nearest(record, items, logged.policy, items_max=_ITEMS_TRIED_MAX)
    items = items.join(near.select("internal_id"), on="internal_id", how="semi")
    keys = near["internal_id"].to_list()
    async with plain(engine.database) as connection:
        held = await explanations.holders(connection, decided, keys)
        suggested = await explanations.suggested_to(connection, logged, keys)
        weights = await explanations.weights_of_run(connection, logged.run_id)
    return _Scene(
        decided=decided,
        rivals=rivals,
        around=around,
        near=near,
        items=items.select(ITEM_SCHEMA.names()),
        holders=held,
        suggested=suggested,
        weights=_usable(weights),
    )


def _usable(stored: Mapping[str, Any] | None) -> Weights | None:
    """Return a run's weights; None, for the shipped ones, where levels have changed since then."""
    try:
        return None if stored is None else Weights.from_dict(stored)
    except ValueError:
        return None


def _told(scene: _Scene, tried: Tried) -> list[Near]:
    """Return the near items, best first; what the run itself had scored goes by its score."""
    evidence = scene.decided.logged.evidence
    scores = dict(tried.scores) | {
        one["internal_id"]: float(one["score"]) for one in evidence.get("candidates", [])
    }
    facts = {row["internal_id"]: row for row in scene.around.items.iter_rows(named=True)}
    days = dict(scene.items.select("internal_id", "effective_on").iter_rows())
    found = []
    for row in scene.near.iter_rows(named=True):
        key = row["internal_id"]
        fact = facts[key]
        found.append(
            Near(
                item=Party(
                    id=key,
                    reference=fact["reference"],
                    on=days[key],
                    currency=fact["currency"],
                    scale=fact["scale"],
                    amount_minor=fact["amount_minor"],
                    text=fact["text"],
                    counterparty=fact["counterparty"],
                ),
                hard_gate=row["gate"],
                difference_minor=row["difference_minor"],
                allowed_minor=row["allowed_minor"],
                lag_days=row["lag_days"],
                days_beyond=row["days_beyond"],
                same_reference=row["same_reference"],
                similarity=row["similarity"],
                seq=fact["seq"],
                score=scores.get(key),
                taken=scene.holders.get(key),
                suggested=scene.suggested.get(key),
            )
        )
    found = _as_good(found)
    # The order of `near` holds among those without a score.
    return sorted(found, key=lambda one: (not one.same_reference, -(one.score or 0.0)))


def _as_good(near: list[Near]) -> list[Near]:
    """Return `near` with the scores of items that differ by their references alone.

    The matcher scores equal rows once, under the name of the first.
    """
    known = {
        _likeness(one): one.score
        for one in near
        if one.score is not None and not one.same_reference
    }
    return [
        replace(one, score=known.get(_likeness(one)))
        if one.score is None and one.hard_gate is None and not one.same_reference
        else one
        for one in near
    ]


def _likeness(near: Near) -> tuple[object, ...]:
    item = near.item
    return item.currency, item.amount_minor, item.on, item.text, item.counterparty


def _change(scene: _Scene, tried: Tried) -> dict[str, Any] | None:
    """Return the change as JSON; that none is needed is said only where the ledger has changed."""
    change, decided = tried.change, scene.decided
    if change is None or (not change.policy and not _is_new(scene, change)):
        return None
    return asdict(change) | {
        "policy": dict(change.policy),
        "tried_on": {
            "records": scene.rivals.height,
            "items": scene.items.height,
            "trials": tried.tried,
            "weights": (scene.weights or shipped()).version,
        },
        "dry_run": _dry_run(decided, change) if change.policy else None,
    }


def _is_new(scene: _Scene, change: Change) -> bool:
    rows = scene.around.items.filter(pl.col("internal_id") == change.internal_id)
    return bool((rows["seq"] > (scene.decided.read_to_seq or 0)).any())


def _dry_run(decided: Decided, change: Change) -> dict[str, Any] | None:
    """Return the request that tries the change on the whole statement, where one can be made."""
    logged, statement = decided.logged, decided.statement
    body: dict[str, Any] = {
        "source": logged.source,
        "date": logged.business_date.isoformat(),
        "dry_run": True,
        "policy": dict(change.policy),
    }
    match statement.kind:
        case InputKind.INBOX:
            body["file_path"] = statement.name
        case InputKind.UPLOAD:
            body["upload_id"] = statement.name
        case InputKind.PATH:
            return None
    return {"method": "POST", "path": "/recon/run", "body": body}


def _document(
    decided: Decided,
    scene: _Scene | None,
    shown: list[tuple[Near, Stop]],
    change: dict[str, Any] | None,
    told: str,
) -> dict[str, Any]:
    logged = decided.logged
    return {
        "record_id": logged.record_id,
        "log_id": logged.log_id,
        "run_id": logged.run_id,
        "source": logged.source,
        "date": logged.business_date,
        "attempt": logged.attempt,
        "dry_run": logged.dry_run,
        "decision": logged.decision,
        "cause": logged.cause,
        "reason": logged.reason,
        "record": logged.record.document(),
        "policy": logged.policy.model_dump(mode="json"),
        "verdict": told,
        "candidates": [_candidate(near, stop) for near, stop in shown],
        "change": change,
        "looked_at": None
        if scene is None
        else {
            "first": scene.around.first,
            "last": scene.around.last,
            "items": scene.around.items_read,
            "near": scene.near.height,
            "complete": scene.around.complete,
            "up_to_seq": scene.around.read_to_seq,
        },
    }


def _candidate(near: Near, stop: Stop) -> dict[str, Any]:
    return {
        "item": near.item.document(),
        "gate": stop.gate,
        "finding": stop.finding,
        "score": near.score,
        "same_reference": near.same_reference,
        "lag_days": near.lag_days,
        "days_beyond": near.days_beyond,
        "taken_by": None if near.taken is None else asdict(near.taken),
    }


def _reach(policy: Policy) -> int:
    """Return the longest lag of the window in calendar days."""
    window = policy.window
    lag = max(window.before_days, window.after_days)
    return lag if window.unit == "calendar_days" else calendar_days_max(window.calendar, lag)


def _like_amounts(logged: Logged) -> tuple[int, int]:
    """Return the sizes of amounts that may compete for the same ledger items."""
    size = np.array([abs(logged.record.amount_minor)], dtype=np.int64)
    tolerance = logged.policy.amount_tolerance
    absolute = min(tolerance.absolute_minor(logged.record.scale), 10**17)
    wide = 2 * int(
        allowed_minor(size, absolute, max(tolerance.percent_micros, _NEAR_PERCENT_MICROS))[0]
    )
    return max(int(size[0]) - wide, 0), min(int(size[0]) + wide, 2**63 - 1)


def _as_items(items: pl.DataFrame, config: SourceConfig) -> pl.DataFrame:
    day = records.on_local_date("effective_at", config=config, name="effective_on")
    return items.with_columns(day).select(ITEM_SCHEMA.names())

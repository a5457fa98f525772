"""Settling by the column says what settling one by one says."""

from datetime import date, timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_service.domain import decisions, history
from recon_service.domain.history import Days, Item, Margins, Memory, State, Universe
from recon_service.domain.settling import settle_frames
from recon_service.matchers.group_story import MEMBER_SCHEMA

FIRST = date(2025, 7, 1)
COVERED = Days(FIRST, FIRST + timedelta(days=20))
RECORDS, ITEMS = [f"r{k}" for k in range(6)], [f"i{k}" for k in range(6)]
places = st.sampled_from(["free", "reconciled", "carried", "withdrawn", "absent"])
decided = st.sampled_from(["auto", "suggested"])


@settings(deadline=None)
@given(
    place=st.lists(places, min_size=6, max_size=6),
    days=st.lists(st.integers(-9, 30), min_size=6, max_size=6),
    order=st.permutations(range(6)),
    decisions_=st.lists(decided, max_size=6),
    taken=st.frozensets(st.sampled_from(ITEMS)),
    records=st.dictionaries(st.sampled_from(RECORDS), st.sampled_from(State)),
    items=st.dictionaries(st.sampled_from(ITEMS), st.sampled_from(State)),
    watermark=st.none() | st.integers(0, 6),
)
def test_frames_and_dictionaries_settle_alike(
    place: list[str],
    days: list[int],
    order: list[int],
    decisions_: list[str],
    taken: frozenset[str],
    records: dict[str, State],
    items: dict[str, State],
    watermark: int | None,
) -> None:
    def at(name: str) -> tuple[str, ...]:
        return tuple(r for r, found in zip(RECORDS, place, strict=True) if found == name)

    universe = Universe(
        free=at("free"),
        already_reconciled=dict.fromkeys(at("reconciled"), "run"),
        carried=at("carried"),
        withdrawn=at("withdrawn"),
    )
    looked_at = [*universe.free, *universe.carried]
    open_items = [ITEMS[k] for k in order if ITEMS[k] not in taken]
    pairs = list(zip(looked_at, open_items, decisions_, strict=False))
    rows = pl.DataFrame(
        {
            "record_id": looked_at,
            "internal_id": [item for _, item, _ in pairs] + [None] * (len(looked_at) - len(pairs)),
            "decision": [d for *_, d in pairs] + ["unmatched"] * (len(looked_at) - len(pairs)),
            "match_type": ["exact"] * len(pairs) + ["none"] * (len(looked_at) - len(pairs)),
        },
        schema=dict.fromkeys(("record_id", "internal_id", "decision", "match_type"), pl.String),
    )
    members = decisions.described(MEMBER_SCHEMA.to_frame(), rows)
    dated = {key: FIRST + timedelta(days=n) for key, n in zip(ITEMS, days, strict=True)}
    common: dict[str, Any] = {
        "universe": universe,
        "taken_items": taken,
        "memory": Memory(records, items),
        "covered_before": COVERED,
        "covered": COVERED,
        "margins": Margins(1, 2),
        "watermark": watermark,
    }
    one_by_one = history.settle(
        items={key: Item(day, seq) for seq, (key, day) in enumerate(dated.items())},
        matches=decisions.matches(rows, members),
        **common,
    )
    frame = pl.DataFrame(
        {"internal_id": list(dated), "effective_on": list(dated.values()), "seq": range(6)}
    )
    by_column = settle_frames(items=frame, rows=rows, members=members, **common)
    assert dict(by_column.lines.rows()) == dict(one_by_one.lines)
    assert dict(by_column.carried.rows()) == dict(one_by_one.carried)
    assert dict(by_column.items.rows()) == dict(one_by_one.items)
    assert sorted(map(str, by_column.changes)) == sorted(map(str, one_by_one.changes))
    assert by_column.lines.height == len(one_by_one.lines)
    assert by_column.items.height == len(one_by_one.items)

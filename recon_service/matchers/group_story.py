"""Turns decided groups into rows: evidence as compact JSON, a sentence, and the members."""

from typing import Any

import polars as pl

from recon_service.domain.records import OUTCOME_SCHEMA
from recon_service.matchers.explain import ROUNDING_MINOR_MAX, compact, money
from recon_service.matchers.group_rows import Hit, Rows
from recon_service.matchers.group_verdicts import Verdict

MEMBER_SCHEMA = pl.Schema({"match_id": pl.String, "side": pl.String, "id": pl.String})
NOTE_SCHEMA = pl.Schema(
    {"id": pl.String, "solutions": pl.Int64, "truncated": pl.Boolean, "reason": pl.String}
)


class Story:
    """Collects what became of each found group."""

    def __init__(self, records: Rows, items: Rows) -> None:
        self._records, self._items = records, items
        self._scales: dict[str, int] = dict(
            records.frame.select("currency", "scale").unique().iter_rows()
        )
        self._rows: list[tuple[Any, ...]] = []
        self._members: list[tuple[str, str, str]] = []
        self._notes: dict[str, tuple[str, int, bool, str]] = {}

    def group(self, verdict: Verdict) -> None:
        """Add a group. The residual stands on its first record, so that a column adds up."""
        hit = verdict.hit
        records, items = self._sides(hit)
        record_ids = [self._records.ids[row] for row in records]
        item_ids = [self._items.ids[row] for row in items]
        total = int(self._items.amount_minor[items].sum())
        residual = int(self._records.amount_minor[records].sum()) - total
        cause = _cause(hit, residual)
        evidence = compact(
            {
                "pass": "group",
                "by": hit.by,
                "key": hit.key,
                "members": {"records": record_ids, "items": item_ids},
                "sum_minor": total,
                "residual_minor": residual,
                "solutions": hit.solutions,
                "interchangeable": hit.interchangeable,
                "by_chance": float(f"{hit.expected:.3g}"),
                "rivals": verdict.rivals,
                "truncated": hit.truncated,
                "fee": hit.fee,
            }
        )
        decision = "auto" if verdict.is_auto else "suggested"
        reason = self._sentence(verdict, residual, cause)
        for place, record_id in enumerate(record_ids):
            own = (residual, cause) if place == 0 else (0, None)
            self._rows.append(
                (record_id, item_ids[0], "group", decision, verdict.score, *own, evidence, reason)
            )
            self._notes.pop(record_id, None)
        match_id = min(record_ids + item_ids)
        self._members += [(match_id, "record", id_) for id_ in record_ids]
        self._members += [(match_id, "item", id_) for id_ in item_ids]

    def note(self, verdict: Verdict) -> None:
        """Remember what was found for records that stay without a group; the first find counts."""
        hit = verdict.hit
        records, items = self._sides(hit)
        residual = int(self._records.amount_minor[records].sum())
        residual -= int(self._items.amount_minor[items].sum())
        for row in records:
            id_ = self._records.ids[row]
            reason = self._sentence(verdict, residual, _cause(hit, residual))
            self._notes.setdefault(id_, (id_, hit.solutions, hit.truncated, reason))

    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Return rows, members and notes, sorted by ids."""
        taken = {row[0] for row in self._rows}
        notes = [note for id_, note in self._notes.items() if id_ not in taken]
        return (
            pl.DataFrame(self._rows, schema=OUTCOME_SCHEMA, orient="row").sort("record_id"),
            pl.DataFrame(self._members, schema=MEMBER_SCHEMA, orient="row").sort(
                "match_id", "side", "id"
            ),
            pl.DataFrame(notes, schema=NOTE_SCHEMA, orient="row").sort("id"),
        )

    def _sides(self, hit: Hit) -> tuple[list[int], list[int]]:
        ones, many = list(hit.ones), list(hit.members)
        return (ones, many) if hit.is_payout else (many, ones)

    def _sentence(self, verdict: Verdict, residual: int, cause: str | None) -> str:
        hit = verdict.hit
        records, _ = self._sides(hit)
        scale = self._scales[self._records.frame["currency"][records[0]]]
        many, one = ("ledger item", "bank line") if hit.is_payout else ("bank line", "ledger item")
        text = f"Sum of {len(hit.members)} {many}s {_tie(hit)}"
        text += f" for {len(hit.ones)} {one}s" if len(hit.ones) > 1 else f" for one {one}"
        if residual:
            amount = money(abs(residual), scale)
            text += (
                f", less a fee of {amount}"
                if cause == "fee" and residual < 0
                else f", {amount} {'more' if residual > 0 else 'less'} ({cause})"
            )
        if verdict.is_auto:
            return text
        return f"{text}; not automatic: {_doubt(verdict)}"


def _cause(hit: Hit, residual: int) -> str | None:
    if residual == 0:
        return None
    if hit.fee is not None:
        return "fee"
    return "rounding" if abs(residual) <= ROUNDING_MINOR_MAX else "unknown"


def _tie(hit: Hit) -> str:
    if hit.by == "batch key":
        return f"with batch key {hit.key}"
    if hit.by == "sum of days":
        same = f"with the word {hit.key}" if hit.kind.startswith("word") else f"of {hit.key}"
        return f"{same}, all that were open {_over_days(hit)}"
    named = {
        "named": f"named in part by {hit.key}",
        "key": f"with key {hit.key}",
        "token": f"with key {hit.key}",
        "party": f"of counterparty {hit.key}",
        "word": f"with the word {hit.key}",
        "window": "in the window",
    }[hit.kind]
    return named if hit.by == "subset" else f"{named} over adjacent days"


def _over_days(hit: Hit) -> str:
    return "on one day" if hit.kind.endswith("day") else "over adjacent days"


def _doubt(verdict: Verdict) -> str:
    hit = verdict.hit
    if hit.truncated:
        return f"the search was truncated, at least {hit.solutions} solutions"
    if hit.solutions > 1:
        return f"{hit.solutions} solutions"
    if hit.interchangeable > 1:
        return f"{hit.interchangeable} choices of rows with these very amounts"
    if hit.fee == "learned schedule" and hit.by != "batch key":
        return "its fee is learned, not declared"
    if hit.doubtful:
        return "others like them do not carry the key, or are matched already"
    if len(hit.ones) > 1:
        return "several on both sides"
    if verdict.rivals:
        return f"{verdict.rivals} other groups want some of these rows"
    return f"score {verdict.score:.3f}, {hit.expected:.2g} such sums expected by chance"

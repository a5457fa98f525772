"""Explanations for a terminal: tables, and the waterfall of bits as bars of characters."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from recon_service.explanations.markup import cleaned

_BAR_CELLS = 34
_COLOURS = {"prior": "white", "for": "green", "against": "red", "total": "blue"}


def decision_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield what there is to show of a decision, as `/why` tells it."""
    yield _text(found["title"], "bold")
    yield _text(found["reason"])
    sides = [("record", one) for one in found["records"]]
    sides += [("ledger", one) for one in found["items"]]
    rows = [(side, *_party(one)) for side, one in sides]
    yield _table("", ("", "reference", "date", "amount", "text"), rows)
    if found["weighing"] is not None:
        yield from _weighing(found["weighing"])
    if found["conditions"]:
        names = ("condition", "record", "ledger", "finding")
        yield _table("Conditions", names, [[one[n] for n in names] for one in found["conditions"]])
    for title, facts in (("Group", found["group"]), ("Netted", found["netted"])):
        if facts is not None:
            known = [(name, value) for name, value in facts.items() if value is not None]
            yield _table(title, ("", ""), known)
    if found["alternatives"]:
        shown = ("internal_id", "bits", "score")
        others = [[one[name] for name in shown] for one in found["alternatives"]]
        yield _table("Candidates" if not found["items"] else "Alternatives", shown, others)


def unmatched_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield why a record stayed alone, as `/why-unmatched` tells it."""
    record = found["record"]
    name = record["reference"] or record["id"]
    yield _text(f"{name} · {record['amount']} {record['currency']} · {record['date']}", "bold")
    yield _text(found["reason"])
    near = [
        (*_party(one["item"]), _score(one["score"]), one["gate"], one["finding"])
        for one in found["candidates"]
    ]
    if near:
        names = ("reference", "date", "amount", "text", "score", "first gate", "finding")
        yield _table("Nearest in the ledger", names, near)
    yield _text(found["verdict"], "bold")
    if found["change"] is not None and found["change"]["policy"]:
        yield _text(f"policy: {found['change']['policy']}")
    looked_at = found["looked_at"]
    if looked_at is not None:
        part = "" if looked_at["complete"] else ", as far as so many can be read"
        yield _text(
            f"Looked at {looked_at['items']} ledger items from {looked_at['first']}"
            f" to {looked_at['last']}{part}.",
            "dim",
        )


def bar(start: float, end: float, low: float, high: float, cells: int = _BAR_CELLS) -> str:
    """Return a bar from `start` to `end` on a scale, with a line at zero; at least one cell."""
    span = (high - low) or 1.0
    left, right = (round((one - low) / span * (cells - 1)) for one in sorted((start, end)))
    zero = round((0.0 - low) / span * (cells - 1))
    shown = [
        "█" if left <= place <= right else "│" if place == zero else " " for place in range(cells)
    ]
    return "".join(shown)


def _weighing(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    steps = found["steps"]
    ends = [0.0, *(step["running"] for step in steps)]
    low, high = min(ends), max(ends)
    table = Table(title="Evidence")
    for name in ("feature", "level"):
        table.add_column(name, overflow="fold")
    for name in ("bits", "total"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("against  │  for", no_wrap=True)
    for start, step in zip(ends, steps, strict=False):
        side = "for" if step["bits"] > 0 else "against"
        colour = _COLOURS["prior" if step["kind"] == "prior" or step["bits"] == 0 else side]
        table.add_row(
            _text(step["label"]),
            _text(step["level"]),
            _text(f"{step['bits']:+.2f}", colour),
            f"{step['running']:+.2f}",
            _text(bar(start, step["running"], low, high), colour),
        )
    last = bar(0.0, ends[-1], low, high)
    final = _text(f"p = {found['probability']:.4g}", "bold")
    table.add_row(_text("Probability", "bold"), final, "", "", _text(last, _COLOURS["total"]))
    yield table
    yield _text(f"p = {found['formula']}", "dim")
    yield _text(found["calculation"], "dim")


def _party(party: Mapping[str, Any]) -> tuple[str, ...]:
    amount = f"{party['amount']} {party['currency']}"
    return party["reference"] or party["id"], party["date"], amount, party["text"] or ""


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.2f}"


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    table = Table(title=title, show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_text("" if cell is None else str(cell)) for cell in row))
    return table


def _text(text: str, style: str = "") -> Text:
    """Return text as it is: neither markup nor a terminal's control sequences in it count."""
    return Text(cleaned(text), style=style)

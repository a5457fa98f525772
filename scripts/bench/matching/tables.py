"""The published tables, as a fragment of Markdown that the bench writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.bench.matching.metrics import Tally, at_rate, figures
from scripts.bench.matching.report import percent
from scripts.bench.matching.scenarios import SCENARIOS

OURS = "kairon"
_QUALITY = {
    "F1": "f1",
    "precision": "precision",
    "recall": "recall",
    "automatic": "auto_rate",
    "by value": "auto_rate_by_value",
    "automatic precision": "auto_precision",
    "95 % low": "auto_precision_low",
    "hit@1": "hit_at_1",
    "hit@3": "hit_at_3",
    "ECE": "ece",
}


def write_tables(results: Mapping[str, Mapping[str, Tally]], path: Path, *, heading: str) -> None:
    """Write the fragment."""
    parts = [heading, _scenarios(results), _quality(results), _equal_rate(results)]
    shapes = _shapes(results)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join([*parts, *([shapes] if shapes else [])]) + "\n")


def equal_rate(ours: Tally, theirs: Tally) -> tuple[float, float | None, float | None]:
    """Return a rate that both reach, at most our automatic one, and the precision of each at it."""
    reach = sum(size for _, size, _ in theirs.curve)
    records = min(ours.auto_records, reach)
    return records / ours.records, at_rate(ours, records), at_rate(theirs, records)


def _scenarios(results: Mapping[str, Mapping[str, Tally]]) -> str:
    rows = []
    for name, by_matcher in results.items():
        policy, tally = SCENARIOS[name].policy, next(iter(by_matcher.values()))
        tolerance, window = policy.amount_tolerance, policy.window
        stated = f"{tolerance.absolute} or {tolerance.percent} %"
        days = f"−{window.before_days} … +{window.after_days} d"
        reachable = percent(figures(tally)["reachable"])
        rows.append((f"`{name}`", SCENARIOS[name].story, stated, days, reachable))
    head = ("scenario", "story", "tolerance", "window", "1-1 pairs inside it, %")
    return _table(head, rows)


def _quality(results: Mapping[str, Mapping[str, Tally]]) -> str:
    rows = []
    for scenario, by_matcher in results.items():
        for matcher, tally in by_matcher.items():
            shown = figures(tally)
            rows.append(
                (
                    f"`{scenario}`" if matcher == next(iter(by_matcher)) else "",
                    f"**{matcher}**" if matcher == OURS else matcher,
                    *(percent(shown[name]) for name in _QUALITY.values()),
                    f"{tally.auto - tally.auto_right} of {tally.auto}",
                )
            )
    return _table(("scenario", "matcher", *_QUALITY, "wrong"), rows)


def _equal_rate(results: Mapping[str, Mapping[str, Tally]]) -> str:
    rows = []
    for scenario, by_matcher in results.items():
        ours = by_matcher.get(OURS)
        for matcher, theirs in by_matcher.items():
            if ours is None or matcher == OURS or not theirs.curve:
                continue
            rate, own, other = equal_rate(ours, theirs)
            rows.append((f"`{scenario}`", matcher, percent(rate), percent(own), percent(other)))
    head = ("scenario", "baseline", "at the rate of", "kairon's precision", "the baseline's")
    return _table(head, rows)


def _shapes(results: Mapping[str, Mapping[str, Tally]]) -> str:
    rows = []
    for scenario, by_matcher in results.items():
        tally = by_matcher.get(OURS, Tally())
        if set(tally.shapes) <= {"1-1"}:
            continue
        wrong = f"{tally.auto_groups_wrong} of {tally.auto_groups}"
        for kind, (groups, whole, automatic, can_tell, told) in sorted(tally.shapes.items()):
            rows.append(
                (
                    f"`{scenario}`",
                    kind,
                    str(groups),
                    percent(whole / groups),
                    percent(automatic / groups),
                    str(can_tell) if can_tell else "",
                    percent(told / can_tell) if can_tell else "",
                    wrong if kind != "1-1" else "",
                )
            )
    head = (
        "scenario", "shape", "groups", "whole group right", "and automatic",
        "identifiable", "whole of these",
        "wrong automatic groups",
    )  # fmt: skip
    return _table(head, rows) if rows else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

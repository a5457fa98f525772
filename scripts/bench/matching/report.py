"""Shows what was measured: a table for people, JSON for machines."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.bench.matching.metrics import SHAPE_COUNTS, Tally, figures

Results = Mapping[str, Mapping[str, Tally]]  # scenario: matcher: counts over all seeds

_COLUMNS = {
    "F1": "f1",
    "P": "precision",
    "R": "recall",
    "auto": "auto_rate",
    "of matchable": "auto_rate_of_matchable",
    "by value": "auto_rate_by_value",
    "auto P": "auto_precision",
    "95 % low": "auto_precision_low",
    "hit@1": "hit_at_1",
    "hit@3": "hit_at_3",
    "ECE": "ece",
    "wrong value": "wrong_value",
}


def show(results: Results, console: Console) -> None:
    """Print one line per scenario and matcher, then the shapes."""
    table = Table("scenario", "matcher", *_COLUMNS, "wrong auto", "s", title="Matching quality")
    shapes = Table(
        "scenario", "matcher", "shape", "groups", "whole", "automatic", "identifiable", "whole"
    )
    for scenario, by_matcher in results.items():
        for matcher, tally in by_matcher.items():
            shown = figures(tally)
            table.add_row(
                scenario,
                matcher,
                *(percent(shown[name]) for name in _COLUMNS.values()),
                f"{tally.auto - tally.auto_right}/{tally.auto}",
                f"{tally.seconds:.1f}",
            )
            for kind, (groups, whole, automatic, can_tell, told) in sorted(tally.shapes.items()):
                if set(tally.shapes) != {"1-1"}:
                    shapes.add_row(
                        scenario,
                        matcher,
                        kind,
                        str(groups),
                        percent(whole / groups),
                        percent(automatic / groups),
                        str(can_tell) if can_tell else "–",
                        percent(told / can_tell if can_tell else None),
                    )
        table.add_section()
    console.print(table)
    if shapes.row_count:
        console.print(shapes)


def document(results: Results, **about: Any) -> dict[str, Any]:
    """Return everything as JSON."""
    return {
        "about": about,
        "scenarios": {
            scenario: {
                matcher: figures(tally)
                | {
                    "reachable_pairs": list(tally.reachable),
                    "auto_matches": tally.auto,
                    "auto_wrong": tally.auto - tally.auto_right,
                    "interchanged": tally.interchanged,
                    "reviewed": tally.reviewed,
                    "shapes": {
                        kind: dict(zip(SHAPE_COUNTS, counts, strict=True))
                        for kind, counts in tally.shapes.items()
                    },
                    "bins": tally.bins,
                    "seconds": round(tally.seconds, 3),
                }
                for matcher, tally in by_matcher.items()
            }
            for scenario, by_matcher in results.items()
        },
    }


def percent(share: float | None) -> str:
    """Return a share to a hundredth of a per cent; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.2f}"

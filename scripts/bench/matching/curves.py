"""Draws what was measured as SVG: precision against automatic rate, calibration, bits per level."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recon_service.domain import evidence
from scripts.bench.matching.metrics import Tally

ABSENT = "Matplotlib is not installed, so no SVG was written: add `--group bench` to uv run"
_COLOURS = {
    "kairon": "#0b6e4f",
    "splink": "#c8553d",
    "greedy weights": "#3d5a99",
    "rules": "#8a6d3b",
    "amount rules": "#999999",
}
_COLUMNS = 3
_PRECISION_FROM = 0.97
_STEP = 0.004
_FEATURES: Mapping[str, Sequence[evidence.Level]] = {
    "amount": evidence.AMOUNT,
    "day": evidence.LAG,
    "reference": evidence.REFERENCE,
    "words": evidence.WORDS,
    "name": evidence.NAME,
    "counterparty": evidence.COUNTERPARTY,
}


def can_draw() -> bool:
    """Tell whether matplotlib is there."""
    return find_spec("matplotlib") is not None


def draw(results: Mapping[str, Mapping[str, Tally]], folder: Path) -> None:
    """Write precision.svg, calibration.svg and bits.svg; the same figures give the same bytes."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {
        "svg.hashsalt": "kairon",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    folder.mkdir(parents=True, exist_ok=True)
    _save(_precision(results), folder / "precision.svg")
    _save(_calibration(results), folder / "calibration.svg")
    _save(_bits(), folder / "bits.svg")


def points(tally: Tally) -> list[tuple[float, float]]:
    """Return (share of records covered, precision) as the score falls, one point per score."""
    found, covered, matches, right = [], 0, 0, 0
    ordered = sorted(tally.curve, key=lambda one: -one[0])
    for place, (score, size, is_right) in enumerate(ordered):
        covered, matches, right = covered + size, matches + 1, right + is_right
        if place + 1 == len(ordered) or ordered[place + 1][0] != score:
            found.append((covered / tally.records, right / matches))
    return found


def thinned(curve: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep the first and last points, and of the others one per step that an eye can tell."""
    kept = curve[:1]
    for point in curve[1:-1]:
        if point[0] - kept[-1][0] >= _STEP:
            kept.append(point)
    return kept + curve[1:][-1:]


def _precision(results: Mapping[str, Mapping[str, Tally]]) -> Any:
    """Small multiples: one scenario each; the dot is where each matcher stops being automatic."""
    from matplotlib import pyplot

    rows = -(-len(results) // _COLUMNS)
    figure, axes = pyplot.subplots(
        rows, _COLUMNS, figsize=(9, 2.3 * rows), sharey=True, squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(results) :]:
        axis.set_visible(False)
    for axis, (scenario, by_matcher) in zip(axes.flat, results.items(), strict=False):
        axis.set_title(scenario, fontsize=9)
        axis.set_xlim(0, 1)
        axis.set_ylim(_PRECISION_FROM, 1.002)
        axis.grid(visible=True, linewidth=0.3)
        for matcher, tally in reversed(list(by_matcher.items())):
            curve = thinned(points(tally))
            colour = _COLOURS.get(matcher, "black")
            axis.plot(*zip(*curve, strict=True), color=colour, label=matcher, linewidth=1.3)
            if tally.auto:
                dot = tally.auto_records / tally.records, tally.auto_right / tally.auto
                axis.plot(*dot, "o", color=colour, markersize=4)
    figure.supxlabel("share of records matched, surest first", fontsize=9)
    figure.supylabel("precision", fontsize=9)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(
        handles[::-1], labels[::-1], loc="outside upper center", ncols=len(labels), frameon=False
    )
    return figure


def _calibration(results: Mapping[str, Mapping[str, Tally]]) -> Any:
    """Share of right ones per tenth of the score, over all scenarios."""
    from matplotlib import pyplot

    totals: dict[str, Tally] = {}
    for by_matcher in results.values():
        for matcher, tally in by_matcher.items():
            totals.setdefault(matcher, Tally()).add(tally)
    figure, axis = pyplot.subplots(figsize=(4.5, 4), layout="constrained")
    axis.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8, linestyle="--")
    for matcher, tally in totals.items():
        cells = [(score / n, right / n) for n, score, right in tally.bins if n]
        if cells:
            colour = _COLOURS.get(matcher, "black")
            axis.plot(*zip(*cells, strict=True), "o-", color=colour, label=matcher, markersize=4)
    axis.set_xlabel("score")
    axis.set_ylabel("share that is right")
    axis.grid(visible=True, linewidth=0.3)
    axis.legend(frameon=False)
    return figure


def _bits() -> Any:
    """What each level of each feature is worth by the shipped priors."""
    from matplotlib import pyplot

    levels = [
        (f"{feature}: {level.name}", level.bits)
        for feature, steps in _FEATURES.items()
        for level in steps
    ]
    figure, axis = pyplot.subplots(figsize=(6.5, 0.19 * len(levels) + 0.8), layout="constrained")
    names, bits = zip(*levels, strict=True)
    colours = ["#0b6e4f" if value >= 0 else "#c8553d" for value in bits]
    places = range(len(levels))
    axis.barh(places, bits, color=colours, height=0.7)
    axis.set_yticks(places, names, fontsize=7)
    axis.invert_yaxis()
    axis.margins(y=0.01)
    axis.axvline(0, color="black", linewidth=0.6)
    axis.set_xlabel("bits")
    axis.grid(visible=True, axis="x", linewidth=0.3)
    return figure


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)

"""Draws a waterfall as SVG: each bar begins where the last one ended.

It needs no script, no style sheet and no font of its own, so it may stand in any page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10

from recon_service.explanations.markup import fitted, safe

WIDTH = 860
_LEFT, _RIGHT = 300, 730  # where the plot begins and ends
_HEAD, _ROW, _FOOT = 74, 38, 56
_BAR = 18
_LABEL_WIDTH = _LEFT - 28
_TICKS_MAX = 7
_INK, _GREY, _LINE = "#1f2933", "#5f6c7b", "#d5dbe1"
_COLOURS = {"for": "#2a8f5b", "against": "#c8453b", "prior": "#7b8794", "total": "#27548a"}
_BOLDER = 1.1  # how much wider bold letters are
_FONT = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar by its plotted `value`; `figure` is how the value is written."""

    label: str
    detail: str
    value: float
    figure: str
    is_total: bool = False
    is_neutral: bool = False


@dataclass(frozen=True, slots=True)
class Waterfall:
    """What is drawn. A total stands on zero; `verdict` is the sentence under the title."""

    title: str
    verdict: str
    bars: Sequence[Bar]
    axis: str
    zero: str = ""


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float

    def x(self, value: float) -> float:
        return _LEFT + (value - self.low) / (self.high - self.low) * (_RIGHT - _LEFT)


def draw(picture: Waterfall) -> str:
    """Return a whole SVG document; every text in it is escaped and cut to its place."""
    ends = _ends(picture.bars)
    scale = _scale([0.0, *(end for pair in ends for end in pair)])
    bottom = _HEAD + _ROW * len(picture.bars)
    parts = [_head(picture, bottom + _FOOT), _axis(picture, scale, bottom)]
    for place, (bar, (start, end)) in enumerate(zip(picture.bars, ends, strict=True)):
        parts.append(_row(bar, scale, start, end, _HEAD + _ROW * place))
        if place + 1 < len(picture.bars) and not picture.bars[place + 1].is_total:
            parts.append(_connector(scale.x(end), _HEAD + _ROW * place))
    return "".join([*parts, "</svg>"])


def draw_list(title: str, verdict: str, rows: Sequence[tuple[str, str, str]]) -> str:
    """Return an SVG document of rows (label, detail, finding) where nothing adds up."""
    bottom = _HEAD + _ROW * len(rows)
    parts = [_head(Waterfall(title, verdict, (), ""), bottom + 16)]
    for place, (label, detail, finding) in enumerate(rows):
        top = _HEAD + _ROW * place
        parts.append(_texts(label, detail, top))
        parts.append(_text(finding, _LEFT + 8, top + 23, WIDTH - _LEFT - 28, size=13))
        parts.append(_line(20, WIDTH - 20, top + _ROW, top + _ROW))
    return "".join([*parts, "</svg>"])


def _ends(bars: Sequence[Bar]) -> list[tuple[float, float]]:
    """Return where each bar begins and ends."""
    found, running = [], 0.0
    for bar in bars:
        start = 0.0 if bar.is_total else running
        running = start + bar.value
        found.append((start, running))
    return found


def _scale(values: Sequence[float]) -> _Scale:
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return _Scale(low - span * 0.04, high + span * 0.04)


def _head(picture: Waterfall, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" role="img" font-family="{_FONT}">'
        f"<title>{safe(picture.title)}</title><desc>{safe(picture.verdict)}</desc>"
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
        + _text(picture.title, 20, 28, WIDTH - 40, size=16, weight=600)
        + _text(picture.verdict, 20, 50, WIDTH - 40, size=13, colour=_GREY)
    )


def _axis(picture: Waterfall, scale: _Scale, bottom: int) -> str:
    parts = []
    for tick in _ticks(scale):
        x = scale.x(tick)
        parts.append(_line(x, x, _HEAD, bottom))
        parts.append(_text(f"{tick:g}", x, bottom + 18, 60, size=11, colour=_GREY, anchor="middle"))
    zero = scale.x(0.0)
    parts.append(_line(zero, zero, _HEAD - 4, bottom, colour=_GREY))
    middle = (_LEFT + _RIGHT) / 2
    parts.append(
        _text(picture.axis, middle, bottom + 40, 600, size=12, colour=_GREY, anchor="middle")
    )
    if picture.zero:
        parts.append(
            _text(picture.zero, zero, _HEAD - 8, 200, size=11, colour=_GREY, anchor="middle")
        )
    return "".join(parts)


def _row(bar: Bar, scale: _Scale, start: float, end: float, top: int) -> str:
    left, right = sorted((scale.x(start), scale.x(end)))
    y = top + (_ROW - _BAR) / 2
    return (
        _texts(bar.label, bar.detail, top)
        + f'<rect x="{left:.1f}" y="{y:.1f}" width="{max(right - left, 1.5):.1f}"'
        f' height="{_BAR}" rx="2" fill="{_colour(bar)}"/>'
        + _text(bar.figure, WIDTH - 20, top + 24, WIDTH - _RIGHT - 26, size=13, anchor="end")
    )


def _colour(bar: Bar) -> str:
    if bar.is_total:
        return _COLOURS["total"]
    if bar.is_neutral or bar.value == 0:
        return _COLOURS["prior"]
    return _COLOURS["for" if bar.value > 0 else "against"]


def _texts(label: str, detail: str, top: int) -> str:
    middle = top + (17 if detail else 24)
    return _text(label, 20, middle, _LABEL_WIDTH, size=13, weight=600) + _text(
        detail, 20, top + 32, _LABEL_WIDTH, size=11, colour=_GREY
    )


def _connector(x: float, top: int) -> str:
    return _line(x, x, top + (_ROW + _BAR) / 2, top + _ROW + (_ROW - _BAR) / 2, colour=_GREY)


def _line(x1: float, x2: float, y1: float, y2: float, *, colour: str = _LINE) -> str:
    return (
        f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" stroke="{colour}"'
        ' stroke-width="1"/>'
    )


def _text(
    text: str,
    x: float,
    y: float,
    width: float,
    *,
    size: int,
    colour: str = _INK,
    weight: int = 400,
    anchor: str = "start",
) -> str:
    """Return a text that ends where its place ends; the whole of it shows on pointing at it."""
    shown = fitted(text, width, size * (_BOLDER if weight > 400 else 1.0))
    whole = "" if shown == text else f"<title>{safe(text)}</title>"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}"'
        f' fill="{colour}" text-anchor="{anchor}">{safe(shown)}{whole}</text>'
    )


def _ticks(scale: _Scale) -> list[float]:
    """Return round numbers along the axis."""
    span = scale.high - scale.low
    if not isfinite(span):
        return [0.0]
    unit = 10.0 ** floor(log10(span / _TICKS_MAX))
    step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= _TICKS_MAX)
    first = int(scale.low / step) - 1
    ticks = [round(step * (first + place), 10) + 0.0 for place in range(2 * _TICKS_MAX)]
    return [tick for tick in ticks if scale.low <= tick <= scale.high]

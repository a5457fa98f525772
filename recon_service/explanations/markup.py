"""Text that is safe in SVG and HTML, whatever a bank wrote into it, and that fits its place."""

import unicodedata
from html import escape

_REPLACEMENT = "\ufffd"
# They turn the direction of what follows around, so that a page could lie about a line.
_TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")
_NARROW = frozenset("iljtfrI.,:;'|!()[] -")
_BROAD = frozenset("mwMW@%&")
# Shares of the font size, on the safe side of common sans-serif fonts.
_WIDTHS = {"narrow": 0.36, "plain": 0.6, "broad": 1.0, "wide": 1.05}


def safe(text: object) -> str:
    """Return text for an element or a quoted attribute of HTML or XML."""
    return escape(cleaned(str(text)), quote=True)


def cleaned(text: str) -> str:
    """Return text without what XML forbids and without control of direction; tabs are blanks."""
    return "".join(_shown(character) for character in text)


def shortened(text: str, characters_max: int) -> str:
    """Return a text of at most so many characters, with an ellipsis where it was cut."""
    text = " ".join(cleaned(text).split())
    return text if len(text) <= characters_max else text[: characters_max - 1].rstrip() + "…"


def fitted(text: str, width: float, size: float) -> str:
    """Return as much of a text as `width` surely holds at a font size, in pixels; unescaped."""
    text = " ".join(cleaned(text).split())
    room, used = width - _width("…") * size, 0.0
    if sum(_width(character) for character in text) * size <= width:
        return text
    for place, character in enumerate(text):
        used += _width(character) * size
        if used > room:
            return text[:place].rstrip() + "…"
    return text


def _shown(character: str) -> str:
    if character in "\t\n\r":
        return " "
    if character in _TURNING or ord(character) & 0xFFFE == 0xFFFE:
        return _REPLACEMENT
    return _REPLACEMENT if unicodedata.category(character) in {"Cc", "Cs"} else character


def _width(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in {"W", "F"}:
        return _WIDTHS["wide"]
    if character in _NARROW:
        return _WIDTHS["narrow"]
    if character in _BROAD:
        return _WIDTHS["broad"]
    return 0.76 if character.isupper() else _WIDTHS["plain"]

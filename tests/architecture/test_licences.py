"""What Kairon installs to run may be used by anybody: permissive licences only, no GPL."""

import re
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT, EXTRAS = "kairon", frozenset({"embedded"})
COPYLEFT = re.compile(
    r"\b[AL]?GPL|General Public License|\bSSPL\b|Server Side Public", re.IGNORECASE
)
PERMISSIVE = re.compile(
    r"\b(MIT|0?BSD|Apache|PSF|ISC|MPL|PostgreSQL|Public Domain|Unlicense|Zlib|CC0)\b", re.IGNORECASE
)


def test_every_runtime_dependency_has_a_permissive_licence() -> None:
    found = {name: _licence(name) for name in _runtime_closure()}
    assert {"fastapi", "asyncpg", "sqlalchemy", "polars", "reportlab", "pillow"} <= found.keys()
    bad = [
        f"{name}: {licence or 'names no licence'}"
        for name, licence in sorted(found.items())
        if COPYLEFT.search(licence) or not PERMISSIVE.search(licence)
    ]
    assert not bad, "\n".join(bad)


def test_every_font_that_comes_along_has_its_licence_beside_it() -> None:
    fonts = sorted(ROOT.glob("*_service/**/*.[to]tf"))
    assert [font.name for font in fonts] == ["DejaVuSans-Bold.ttf", "DejaVuSans.ttf"]
    for font in fonts:
        licence = font.with_name("LICENSE").read_text(encoding="utf-8")
        assert "Permission is hereby granted, free of charge" in licence
        assert "DejaVu" in licence


def _runtime_closure() -> set[str]:
    """The installed packages that Kairon needs to run here, directly or not, itself included."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(PROJECT, EXTRAS)]
    while waiting:
        name, extras = one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        for needed in map(Requirement, distribution(name).requires or ()):
            markers = [{"extra": extra} for extra in extras or {""}]
            if needed.marker is None or any(map(needed.marker.evaluate, markers)):
                waiting.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    return {name for name, _ in seen}


def _licence(name: str) -> str:
    """What a package says of its licence; of a whole text only the first line."""
    metadata = distribution(name).metadata
    classifiers = metadata.get_all("Classifier") or []
    said = [one for one in classifiers if one.startswith("License ::")]
    said.append(metadata.get("License-Expression") or "")
    said.append((metadata.get("License") or "").partition("\n")[0])
    return "; ".join(filter(None, said))

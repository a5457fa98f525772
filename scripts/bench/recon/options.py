"""What a run of the bench is asked to do."""

import argparse
from dataclasses import dataclass
from pathlib import Path

SIZES = ("10k", "100k", "1m", "3m")
QUICK_SIZES = ("10k", "50k")
FUZZY_ROWS = 50_000
FUZZY_ROWS_QUICK = 5_000
_UNITS = {"k": 1_000, "m": 1_000_000}


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes by name, and the case without ids: none of its pairs is exact."""

    sizes: dict[str, int]
    fuzzy_rows: int
    splink: bool
    data_dir: Path | None
    json_path: Path | None


def parse_options(prog: str) -> Options:
    parser = argparse.ArgumentParser(
        prog=prog, description="Time the reconciliation of statements through the real services."
    )
    parser.add_argument("--sizes", help=f"of statements, with commas; else {','.join(SIZES)}")
    parser.add_argument("--quick", action="store_true", help="a look, some two minutes")
    parser.add_argument("--no-fuzzy", action="store_true", help="leave out the case without ids")
    parser.add_argument("--no-splink", action="store_true", help="leave out Splink's rows")
    parser.add_argument("--data-dir", type=Path, help="kept afterwards; else a temporary one")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every value there")
    given = parser.parse_args()
    names = given.sizes.split(",") if given.sizes else QUICK_SIZES if given.quick else SIZES
    try:
        sizes = {name: _rows(name) for name in names}
    except ValueError:
        parser.error("sizes are written like 10k or 1m")
    fuzzy_rows = FUZZY_ROWS_QUICK if given.quick else FUZZY_ROWS
    return Options(
        sizes=sizes,
        fuzzy_rows=0 if given.no_fuzzy else fuzzy_rows,
        splink=not given.no_splink,
        data_dir=given.data_dir,
        json_path=given.json,
    )


def _rows(name: str) -> int:
    unit = _UNITS.get(name[-1:].lower())
    return int(name[:-1]) * unit if unit else int(name)

"""The bench's command line."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.matching.scenarios import SCENARIOS

TUNED_ON = 1
REPORTED_ON = (2, 3, 4, 5, 6)
_ROWS = 4_000
_ROWS_QUICK = 1_000


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure and where to write it."""

    scenarios: tuple[str, ...]
    matchers: tuple[str, ...]
    seeds: tuple[int, ...]
    rows: int
    json: Path | None
    wrong: int
    figures: Path | None


def parse_options(prog: str, matchers: tuple[str, ...]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog, description=__doc__)
    parser.add_argument("--only", help=f"scenarios, of {', '.join(SCENARIOS)}")
    parser.add_argument("--matchers", help=f"matchers, of {', '.join(matchers)}")
    parser.add_argument(
        "--seeds",
        help=f"seeds to report on (default {','.join(map(str, REPORTED_ON))};"
        f" {TUNED_ON} is the one for tuning)",
    )
    parser.add_argument("--rows", type=int, help=f"events per seed (default {_ROWS})")
    parser.add_argument("--quick", action="store_true", help="one seed of 1,000 events")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="write SVG and tables there")
    parser.add_argument("--wrong", type=int, default=0, metavar="N", help="show N wrong matches")
    given = parser.parse_args()
    seeds = REPORTED_ON[:1] if given.quick else REPORTED_ON
    return Options(
        scenarios=_chosen(parser, given.only, tuple(SCENARIOS)),
        matchers=_chosen(parser, given.matchers, matchers),
        seeds=tuple(map(int, given.seeds.split(","))) if given.seeds else seeds,
        rows=given.rows or (_ROWS_QUICK if given.quick else _ROWS),
        json=given.json,
        wrong=given.wrong,
        figures=given.figures,
    )


def _chosen(
    parser: argparse.ArgumentParser, given: str | None, known: tuple[str, ...]
) -> tuple[str, ...]:
    names = tuple(given.split(",")) if given else known
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"{unknown[0]} is none of {', '.join(known)}")
    return names

"""Measures how well the matcher pairs, beside baselines, on books and statements that it makes.

    python -m scripts.bench.matching [--quick] [--only no_ids,payouts] [--seeds 1] [--json FILE]
    uv run --group bench python -m scripts.bench.matching      # with Splink beside it

Seed 1 is for tuning; what is reported comes from seeds that nothing was tuned on.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from scripts.bench.matching.curves import ABSENT as NO_FIGURES
from scripts.bench.matching.curves import can_draw, draw
from scripts.bench.matching.generator import generate
from scripts.bench.matching.matchers import MATCHERS
from scripts.bench.matching.metrics import Tally, measure
from scripts.bench.matching.options import TUNED_ON, Options, parse_options
from scripts.bench.matching.report import document, show
from scripts.bench.matching.splink_baseline import ABSENT, is_installed
from scripts.bench.matching.tables import write_tables
from scripts.bench.matching.wrong import show_wrong


def main() -> int:
    options = parse_options("python -m scripts.bench.matching", tuple(MATCHERS))
    if "splink" in options.matchers and not is_installed():
        print(ABSENT, file=sys.stderr)
        options = replace(
            options, matchers=tuple(name for name in options.matchers if name != "splink")
        )
    console = Console(width=None if sys.stdout.isatty() else 200)
    results = run(options, console)
    show(results, console)
    if options.json is not None:
        about = {"rows": options.rows, "seeds": list(options.seeds), "tuned_on": TUNED_ON}
        options.json.write_text(json.dumps(document(results, **about), indent=1) + "\n")
    if options.figures is not None:
        publish(results, options, options.figures)
    return 0


def publish(results: dict[str, dict[str, Tally]], options: Options, folder: Path) -> None:
    """Write the tables and the figures of a document."""
    seeds = ", ".join(map(str, options.seeds))
    heading = (
        f"<!-- Written by `python -m scripts.bench.matching --figures {folder}`:"
        f" {options.rows} events per scenario and seed, seeds {seeds}. All shares in per cent. -->"
    )
    write_tables(results, folder / "results.md", heading=heading)
    if can_draw():
        draw(results, folder)
    else:
        print(NO_FIGURES, file=sys.stderr)


def run(options: Options, console: Console) -> dict[str, dict[str, Tally]]:
    """Make each scenario once per seed and give it to every matcher."""
    results: dict[str, dict[str, Tally]] = {}
    for scenario in options.scenarios:
        tallies = results.setdefault(scenario, {name: Tally() for name in options.matchers})
        for seed in options.seeds:
            print(f"{scenario}, seed {seed}", file=sys.stderr)
            case = generate(scenario, rows=options.rows, seed=seed)
            for name in options.matchers:
                prediction = MATCHERS[name](case)
                tallies[name].add(measure(case, prediction))
                if options.wrong:
                    show_wrong(case, prediction, console, limit=options.wrong)
    return results


if __name__ == "__main__":
    raise SystemExit(main())

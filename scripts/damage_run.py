"""Damages sealed books in 1,000 random places, one at a time, and counts what the verifier finds.

    python -m scripts.damage_run
    python -m scripts.damage_run --places 50 --seed 7 --json

Starts a PostgreSQL of its own and keeps books in it by every kind of command, sealed in steps and
anchored. Entries, payloads, metadata, events, idempotency keys and seals are flipped, swapped,
inserted and deleted, and the tail is cut; of the damage to the log half is covered up by seals made
anew. Exit 0 if seals or anchor told of every one, 1 if not, 3 if it could not run.

`--without-anchor` misses what was covered up, and nothing else: this run can fail.
"""

import argparse
import asyncio
import json
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy.engine import make_url

from migrations.prepare import DatabaseNotReady, prepare_database
from scripts.damage.books import keep_books
from scripts.damage.run import Damaged, damage_run
from scripts.damage.wounds import WOUNDS
from shared import embedded_postgres
from shared.embedded_postgres import EmbeddedPostgresError

ALL_FOUND, MISSED, INFRASTRUCTURE, INTERRUPTED = 0, 1, 3, 130
PLACES, COMMANDS = 1_000, 300
MISSED_SHOWN_MAX = 10


def main() -> int:
    arguments = _parser().parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kairon-damage-"))
    folder.chmod(0o755)  # PostgreSQL's user may work in it even where we are root
    began = time.monotonic()
    try:
        results = asyncio.run(_run(folder, arguments))
    except (EmbeddedPostgresError, DatabaseNotReady) as error:
        print(error, file=sys.stderr)
        return INFRASTRUCTURE
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        embedded_postgres.remove(folder)
        shutil.rmtree(folder, ignore_errors=True)
    missed = [one for one in results if not one.is_found]
    if arguments.json:
        print(json.dumps(_summary(results)))
    else:
        _print_table(results, time.monotonic() - began)
    for one in missed[:MISSED_SHOWN_MAX]:
        print(f"missed: {one.kind}: {one.sentence} (place {one.number})", file=sys.stderr)
    return MISSED if missed else ALL_FOUND


async def _run(folder: Path, arguments: argparse.Namespace) -> list[Damaged]:
    admin_url = (await asyncio.to_thread(embedded_postgres.start, folder)).admin_url
    password = secrets.token_urlsafe(24)
    await asyncio.to_thread(prepare_database, admin_url, ledger_password=password)
    url = make_url(admin_url).set(username="ledger_app", password=password)
    await keep_books(
        url.render_as_string(hide_password=False),
        commands=arguments.commands,
        seed=arguments.seed,
    )
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("places", total=arguments.places)
        return await damage_run(
            admin_url,
            places=arguments.places,
            seed=arguments.seed,
            is_anchored=not arguments.without_anchor,
            on_place=lambda _: bar.advance(task),
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--places", type=int, default=PLACES)
    parser.add_argument("--commands", type=int, default=COMMANDS, help="about so many are run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-anchor", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser


def _summary(results: Sequence[Damaged]) -> dict[str, int]:
    named = [one for one in results if one.is_named is not None]
    return {
        "places": len(results),
        "found": sum(one.is_found for one in results),
        "missed": sum(not one.is_found for one in results),
        "covered_up": sum(one.is_covered_up for one in results),
        "named": sum(bool(one.is_named) for one in named),
        "to_name": len(named),
    }


def _print_table(results: Sequence[Damaged], seconds: float) -> None:
    table = Table(title="Damage to sealed books")
    for column in ("damage", "places", "found", "missed", "covered up", "first bad seq named"):
        table.add_column(column, justify="left" if column == "damage" else "right")
    found = Counter(one.kind for one in results if one.is_found)
    for kind in WOUNDS:
        places = [one for one in results if one.kind == kind]
        named = [one.is_named for one in places if one.is_named is not None]
        table.add_row(
            kind,
            str(len(places)),
            str(found[kind]),
            str(len(places) - found[kind]),
            str(sum(one.is_covered_up for one in places)),
            f"{sum(map(bool, named))} of {len(named)}" if named else "",
        )
    Console().print(table)
    said = _summary(results)
    print(
        f"{said['found']} of {said['places']} found, {said['missed']} missed; the first bad seq "
        f"named in {said['named']} of {said['to_name']}; {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())

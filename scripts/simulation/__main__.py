"""Runs random histories of every command against a small model, and says where they part.

python -m scripts.simulation --steps 200000 --seed 1
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable

from rich.progress import Progress

from scripts.simulation.world import Broken, World

STEPS_PER_WORLD = 400


def simulate(steps: int, seed: int, advance: Callable[[int], None] | None = None) -> Counter[str]:
    """Take `steps` steps in worlds of STEPS_PER_WORLD; return how often each command was accepted.

    Raises Broken with the seed of the world and the step in which a law did not hold.
    """
    done: Counter[str] = Counter()
    for first in range(0, steps, STEPS_PER_WORLD):
        world_seed = seed * 1_000_003 + first
        world = World(world_seed)
        for step in range(min(STEPS_PER_WORLD, steps - first)):
            before = world.accepted
            try:
                name = world.step()
            except Broken as broken:
                raise Broken(f"world {world_seed}, step {step}: {broken}") from None
            done[name if world.accepted > before else f"{name}, refused"] += 1
        world.close()
        if advance is not None:
            advance(min(STEPS_PER_WORLD, steps - first))
    return done


def main() -> int:
    """Parse the command line, run, and return the exit code: 1 where a law was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with Progress(transient=True) as progress:
        task = progress.add_task("steps", total=given.steps)
        try:
            done = simulate(given.steps, given.seed, lambda more: progress.advance(task, more))
        except Broken as broken:
            print(broken, file=sys.stderr)
            return 1
    for name, count in sorted(done.items()):
        print(f"{count:8} {name}")
    print(f"{given.steps} steps with seed {given.seed}: every law held")
    return 0


if __name__ == "__main__":
    sys.exit(main())

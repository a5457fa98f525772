"""Makes the same transfers with django-hordak (MIT licence), which is no dependency of ours.

    uv run --isolated --no-project --with django-hordak --with 'psycopg[binary]' \
        python -P peer_hordak.py prepare|run --url postgresql://… …

Runs in an environment of its own. Each transfer is the library's `Account.transfer_to`: one
transaction with two legs in one database transaction, called directly: without HTTP, without
idempotency and without a rule on funds. `run` prints one JSON object.
"""

import argparse
import json
import multiprocessing
import random
import time
from concurrent.futures import ProcessPoolExecutor
from threading import Barrier
from urllib.parse import unquote, urlsplit

CURRENCY = "USD"
READY_SECONDS_MAX = 60


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("prepare", "run"))
    parser.add_argument("--url", required=True)
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--processes", type=int, default=8)
    given = parser.parse_args()
    if given.what == "prepare":
        prepare(given.url, given.accounts)
    else:
        print(json.dumps(run(given.url, given.processes, given.seconds)))


def prepare(url: str, accounts: int) -> None:
    """Migrate the database and open accounts, each the root of a tree of its own."""
    set_up(url)
    from django.core.management import call_command  # type: ignore[import-not-found]
    from hordak.models import Account, AccountType  # type: ignore[import-not-found]

    call_command("migrate", verbosity=0)
    Account.objects.bulk_create(
        Account(
            name=f"user {number}",
            type=AccountType.liability,
            currencies=[CURRENCY],
            lft=1,
            rght=2,
            level=0,
            tree_id=number,
        )
        for number in range(1, accounts + 1)
    )


def run(url: str, processes: int, seconds: float) -> dict[str, object]:
    """Transfer from several processes at once, each for `seconds`, and count."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        together = manager.Barrier(processes)
        with ProcessPoolExecutor(processes, mp_context=context) as pool:
            work = [
                pool.submit(transfer_for, url, seconds, together, seed) for seed in range(processes)
            ]
            milliseconds = sorted(one for each in work for one in each.result())
    count = len(milliseconds)
    return {
        "transfers": count,
        "seconds": seconds,
        **{
            name: milliseconds[int(count * share)]
            for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999))
        },
    }


def transfer_for(url: str, seconds: float, together: Barrier, seed: int) -> list[float]:
    """Make transfers until the time is over; return how long each took, in milliseconds."""
    set_up(url)
    from hordak.models import Account
    from moneyed import Money  # type: ignore[import-not-found]

    dice, accounts = random.Random(seed), list(Account.objects.all())
    took = []
    together.wait(READY_SECONDS_MAX)
    end_at = time.perf_counter() + seconds
    while (started := time.perf_counter()) < end_at:
        source, destination = dice.sample(accounts, 2)
        amount = Money(dice.randrange(1, 1_000), CURRENCY) / 100
        source.transfer_to(destination, amount, description="bench")
        took.append((time.perf_counter() - started) * 1_000)
    return took


def set_up(url: str) -> None:
    """Point Django at the database, with nothing installed that the models do not need."""
    import django  # type: ignore[import-not-found]
    from django.conf import settings  # type: ignore[import-not-found]

    parts = urlsplit(url)
    settings.configure(
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "mptt",
            "hordak",
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts.path.lstrip("/"),
                "USER": parts.username,
                "PASSWORD": unquote(parts.password or ""),
                "HOST": parts.hostname,
                "PORT": parts.port,
            }
        },
        CURRENCIES=[CURRENCY],
        DEFAULT_CURRENCY=CURRENCY,
        USE_TZ=True,
    )
    django.setup()


if __name__ == "__main__":
    main()

"""Posts batches of transfers over HTTP, some in flight at once, and checks every answer.

    python -m scripts.bench.ledger.batch_client --port P --accounts FILE --batches N

A process of its own. Bodies are built before the clock starts and answers are read to the end
before it stops; their items are checked one by one afterwards. With --build-late bodies are built
while it runs and only the counts of an answer are checked: that is for filling, not measuring.
Prints one JSON object.
"""

import argparse
import json
import random
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

PATH = "/ledger/batch/"
CREATED = 201
ANSWER_SECONDS_MAX = 120
_ITEM = (
    '{"source_account_id":"%s","destination_account_id":"%s","amount":"%d.%02d",'
    '"currency":"USD","metadata":{"description":"bench"},"idempotency_key":"%s-%d"}'
)
_POSTED = re.compile(rb'"posted":\s*(\d+)')


@dataclass(slots=True)
class Run:
    """What the posting threads share."""

    port: int
    size: int
    waiting: list[Callable[[], bytes]]
    check_late: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: list[bytes] = field(default_factory=list)
    seconds_each: list[float] = field(default_factory=list)
    posted: int = 0
    failures: list[str] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--accounts", type=Path, required=True, help="one id a line")
    parser.add_argument("--batches", type=int, required=True)
    parser.add_argument("--size", type=int, default=8_000, help="transfers of one batch")
    parser.add_argument("--in-flight", type=int, default=2)
    parser.add_argument("--build-late", action="store_true")
    given = parser.parse_args()
    accounts = given.accounts.read_text(encoding="utf-8").split()[1:]
    waiting = [_builder(accounts, given.size, number) for number in range(given.batches)]
    if not given.build_late:
        waiting = [_constant(build()) for build in waiting]
    run = Run(given.port, given.size, waiting[::-1], check_late=not given.build_late)
    started = time.perf_counter()
    threads = [threading.Thread(target=_post_all, args=(run,)) for _ in range(given.in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    for answer in run.answers:
        _check_items(run, answer)
    print(
        json.dumps(
            {
                "posted": run.posted,
                "seconds": seconds,
                "seconds_each": sorted(run.seconds_each),
                "statuses": run.statuses,
                "failures": run.failures[:3],
            }
        )
    )


def _builder(accounts: list[str], size: int, seed: int) -> Callable[[], bytes]:
    key = secrets.token_hex(8)

    def build() -> bytes:
        dice = random.Random(seed)
        items = []
        for number in range(size):
            source, destination = dice.sample(accounts, 2)
            amount = dice.randrange(1, 1_000)
            items.append(_ITEM % (source, destination, amount // 100, amount % 100, key, number))
        return ('{"mode":"independent","transfers":[' + ",".join(items) + "]}").encode()

    return build


def _constant(body: bytes) -> Callable[[], bytes]:
    return lambda: body


def _post_all(run: Run) -> None:
    """Post batch after batch over one kept connection, until none waits or one has failed."""
    connection = HTTPConnection("127.0.0.1", run.port, timeout=ANSWER_SECONDS_MAX)
    try:
        while not run.failures:
            with run.lock:
                if not run.waiting:
                    return
                build = run.waiting.pop()
            _post(run, connection, build())
    except OSError as error:
        run.failures.append(f"the connection failed: {error!r}")
    finally:
        connection.close()


def _post(run: Run, connection: HTTPConnection, body: bytes) -> None:
    started = time.perf_counter()
    connection.request("POST", PATH, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    seconds = time.perf_counter() - started
    found = _POSTED.search(answer)
    with run.lock:
        run.statuses[response.status] = run.statuses.get(response.status, 0) + 1
        run.seconds_each.append(seconds)
        posted = int(found[1]) if found and response.status == 200 else 0
        run.posted += posted
        if posted != run.size:
            run.failures.append(f"{response.status}: {answer[:300].decode(errors='replace')}")
        elif run.check_late:
            run.answers.append(answer)


def _check_items(run: Run, answer: bytes) -> None:
    """Note it if an answer does not hold a verdict for each item, in order, with one id each."""
    results = json.loads(answer)["results"]
    statuses = [result["status"] for result in results]
    if statuses != [CREATED] * run.size:
        run.failures.append(f"{run.size - statuses.count(CREATED)} items were not posted")
    if [result["index"] for result in results] != list(range(run.size)):
        run.failures.append("the results are not in the order of the items")
    if len({result["transaction_id"] for result in results}) != run.size:
        run.failures.append("items share a transaction id")


if __name__ == "__main__":
    main()

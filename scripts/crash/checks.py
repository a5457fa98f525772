"""Compares what the clients were told with the books: the journal, the balances, the replays.

An acknowledgement that the books no longer hold is *lost*; a transfer that they hold twice is
*doubled*. Both are found by the transfer's reference, which is its key.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import asyncpg

from ledger_service.projections.verifier import verify
from ledger_service.tables import MAIN_LEDGER_ID
from scripts.crash.book import BATCH_REFUSED, Book, Order, verdicts_of
from scripts.lean_http import LeanClient

REPLAY_CLIENTS = 8

_JOURNAL = """
SELECT reference, entry_id::text, seq FROM ledger.journal
WHERE ledger_id = $1 AND kind = 'transfer' AND ($2::text[] IS NULL OR reference = ANY ($2))
"""
_BALANCES = """
SELECT account_id::text, credits_minor - debits_minor FROM ledger.balances WHERE ledger_id = $1
"""


async def check_acknowledged(admin_url: str, book: Book, keys: Iterable[str]) -> None:
    """Note which of the acknowledged `keys` the journal does not hold once, as acknowledged."""
    keys = list(keys)
    connection = await asyncpg.connect(admin_url)
    try:
        rows = await connection.fetch(_JOURNAL, MAIN_LEDGER_ID, keys)
    finally:
        await connection.close()
    _compare(book, keys, rows)


async def check_books(admin_url: str, book: Book) -> None:
    """Note what the books say otherwise than the clients were told; nobody may post meanwhile."""
    connection = await asyncpg.connect(admin_url)
    try:
        rows = await connection.fetch(_JOURNAL, MAIN_LEDGER_ID, None)
        _compare(book, book.verdicts, rows)
        for reference in {row["reference"] for row in rows} - set(book.verdicts):
            book.note(f"{reference} is in the journal and was never acknowledged")
        balances = dict(await connection.fetch(_BALANCES, MAIN_LEDGER_ID))
        if sum(balances.values()):
            book.note(f"balances sum to {sum(balances.values())} minor units, not to zero")
        expected = _balances(book)
        for account_id, balance_minor in balances.items():
            if balance_minor != expected[account_id]:
                book.note(
                    f"account {account_id} has {balance_minor} minor units, the acknowledged "
                    f"transfers make it {expected[account_id]}"
                )
        report = await verify(connection, MAIN_LEDGER_ID)
        for finding in report.findings:
            book.note(f"verifier: {finding}")
    finally:
        await connection.close()


async def check_replays(ports: Sequence[int], book: Book, orders: Iterable[Order]) -> None:
    """Send every order again, by its key and to any process: each gets its first answer again."""
    waiting = list(orders)

    async def replay(port: int) -> None:
        client = LeanClient(port)
        while waiting:
            await _replay(client, book, waiting.pop())
        client.close()

    await asyncio.gather(*(replay(ports[n % len(ports)]) for n in range(REPLAY_CLIENTS)))


def check_log(log: Path, book: Book) -> None:
    """Note what the ledger's processes logged as errors: a lost database is only a warning."""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        is_entry = line.startswith("{") and line.endswith("}")
        if is_entry and json.loads(line).get("level") in ("error", "critical"):
            book.note(f"the ledger logged {line[:500]}")
        elif line.startswith("Traceback"):
            book.note("the ledger logged a traceback of its own")


async def _replay(client: LeanClient, book: Book, order: Order) -> None:
    response = await client.post(order.path, order.document(), key=order.header_key)
    book.tallies["replays"] += 1
    first = {transfer.key: book.verdicts[transfer.key] for transfer in order.transfers}
    again = verdicts_of(order, response)
    if again != first:
        book.note(
            f"{order.key} was answered {list(first.values())}; replayed, it gets "
            f"{response.status} {response.body[:300]!r}"
        )
        return
    for key, verdict in again.items():
        if verdict.is_replayed or verdict.code == BATCH_REFUSED:  # which does not say
            continue
        book.note(f"{key} was acknowledged, and sent again it is not a replay")


def _compare(book: Book, keys: Iterable[str], rows: Sequence[asyncpg.Record]) -> None:
    stored = {row["reference"]: (row["entry_id"], row["seq"]) for row in rows}
    for reference, times in Counter(row["reference"] for row in rows).items():
        if times > 1 and reference not in book.doubled:
            book.doubled.add(reference)
            book.note(f"{reference} is in the journal {times} times")
    for key in keys:
        verdict, found = book.verdicts[key], stored.get(key)
        if not verdict.is_posted:
            if found:
                book.note(f"{key} was refused ({verdict.code}) and is in the journal: {found}")
        elif found != (verdict.transaction_id, verdict.seq) and key not in book.lost:
            book.lost.add(key)
            book.note(
                f"{key} was acknowledged as seq {verdict.seq}, {verdict.transaction_id}; "
                f"the journal has {found}"
            )


def _balances(book: Book) -> defaultdict[str, int]:
    """Return what the acknowledged transfers leave on each account, in minor units."""
    balances: defaultdict[str, int] = defaultdict(int)
    for key, verdict in book.verdicts.items():
        if verdict.is_posted:
            transfer = book.transfers[key]
            balances[transfer.source] -= transfer.amount_minor
            balances[transfer.destination] += transfer.amount_minor
    return balances

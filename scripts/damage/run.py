"""Damages one place after another, each in a transaction that is rolled back, and verifies.

Every other damage to the log is covered up: all seals are thrown away and made anew over what is
there, as an intruder would who can run the sealer. Then only the anchor can tell.
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

import asyncpg

from ledger_service.projections.verifier import verify
from ledger_service.tables import MAIN_LEDGER_ID
from ledger_service.trust.anchors import Anchor
from ledger_service.trust.findings import Report
from ledger_service.trust.sealer import LogDamaged, seal_what_is_new
from scripts.damage.books import Books, read_books
from scripts.damage.wounds import LOG_WOUNDS, WOUNDS

_TABLES = ("journal", "events", "idempotency", "seals", "seal_leaves", "seal_blocks")
_SEAL_TABLES = ("seals", "seal_leaves", "seal_blocks")
_CHECKS = """
SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'c'
"""


class Damaged(NamedTuple):
    """One place that was damaged; `is_named` where the first bad seq was told, None if it has none.

    `is_found` where a seal or the anchor told of it: what follows from it in balances and events
    does not count.
    """

    number: int
    kind: str
    sentence: str
    is_covered_up: bool
    is_found: bool
    is_named: bool | None


async def damage_run(
    admin_url: str,
    *,
    places: int,
    seed: int,
    is_anchored: bool = True,
    on_place: Callable[[Damaged], None] | None = None,
) -> list[Damaged]:
    """Damage so many random places of the main ledger and return what was found of each.

    Not `is_anchored`: only the seals can tell, and nothing tells of what was covered up.
    The ledger is locked until the run has ended, and is then as it was before.
    """
    connection = await asyncpg.connect(admin_url, command_timeout=600)
    outermost = connection.transaction(isolation="repeatable_read")
    await outermost.start()
    try:
        await _disarm(connection)
        books = await read_books(connection)
        untouched = await verify(connection, MAIN_LEDGER_ID, anchor=books.anchor)
        assert not untouched.findings, f"damaged before: {untouched.findings[0]}"
        anchor = books.anchor if is_anchored else None
        results = []
        for number in range(places):
            rng = Random(f"{seed}/{number}")
            results.append(await _damage(connection, books, anchor, number, rng))
            if on_place is not None:
                on_place(results[-1])
        return results
    finally:
        await outermost.rollback()
        await connection.close()


async def _disarm(connection: asyncpg.Connection) -> None:
    """Do away with triggers and checks: who owns the tables can."""
    for table in _TABLES:
        await connection.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER USER")
        for row in await connection.fetch(_CHECKS, f"ledger.{table}"):
            await connection.execute(f"ALTER TABLE ledger.{table} DROP CONSTRAINT {row[0]}")


async def _damage(
    connection: asyncpg.Connection,
    books: Books,
    anchor: Anchor | None,
    number: int,
    rng: Random,
) -> Damaged:
    kind = list(WOUNDS)[number % len(WOUNDS)]
    wound = connection.transaction()
    await wound.start()
    try:
        place = await WOUNDS[kind](connection, rng, books)
        is_covered_up = kind in LOG_WOUNDS and rng.random() < 0.5 and await _cover_up(connection)
        report = await verify(connection, MAIN_LEDGER_ID, anchor=anchor)
    finally:
        await wound.rollback()
    is_named = None
    if place.seq is not None and not is_covered_up:
        is_named = _first_told(report) == place.seq
    is_found = any(one.by_seal for one in report.findings)
    return Damaged(number, kind, place.sentence, is_covered_up, is_found, is_named)


async def _cover_up(connection: asyncpg.Connection) -> bool:
    """Seal what there is as if it had always been so; False where the sealer refuses."""
    forging = connection.transaction()
    await forging.start()
    for table in _SEAL_TABLES:
        await connection.execute(f"DELETE FROM ledger.{table}")
    try:
        await seal_what_is_new(connection, MAIN_LEDGER_ID)
    except LogDamaged:
        await forging.rollback()
        return False
    await forging.commit()
    return True


def _first_told(report: Report) -> int | None:
    return min((one.seq for one in report.findings if one.by_seal and one.seq), default=None)

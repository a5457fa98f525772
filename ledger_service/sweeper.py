"""Enters in the journal that holds have ended, though no command comes that would do so.

    every second: is the time of a hold over?       one look at an index for each ledger
      in each such ledger: submit an empty group    its batch begins with what is due

No decision waits for it: whatever is due comes before the first command of any batch, see
domain/batch.py. The sweeper only keeps the journal from lagging behind where nothing else happens.
"""

import asyncio
from contextlib import suppress

import structlog

from ledger_service.domain.batch import Group
from ledger_service.ledgers import Ledgers
from shared.clock import Clock, utc_now
from shared.database import Probes
from shared.errors import AppError
from shared.problems import is_connection_trouble

SWEEP_SECONDS = 1.0
log = structlog.get_logger()

# Ledgers with a hold whose time is over.
_DUE = """
SELECT array_agg(l.name ORDER BY l.ledger_id) FROM ledger.ledgers l
WHERE EXISTS (
    SELECT FROM ledger.holds h
    WHERE h.ledger_id = l.ledger_id AND h.status = 'open' AND h.expires_at <= $1
)
"""


class Sweeper:
    """Looks after the holds of all ledgers of this service."""

    def __init__(
        self,
        probes: Probes,
        ledgers: Ledgers,
        *,
        interval_seconds: float = SWEEP_SECONDS,
        clock: Clock = utc_now,
    ) -> None:
        self._interval_seconds = interval_seconds
        self._probes = probes
        self._ledgers = ledgers
        self._clock = clock
        self._sweeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to sweep."""
        self._sweeping = asyncio.create_task(self._sweep_forever(), name="sweeper")

    async def stop(self) -> None:
        """Leave the rest to the next start, or to another process."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeping

    async def sweep(self) -> list[str]:
        """Have the expiries of all ledgers entered that are due; return these ledgers' names.

        Raises DatabaseUnavailable, QueueFull, or what the connection raised.
        """
        (names,) = await self._probes.row(_DUE, self._clock())
        for name in names or ():
            books = await self._ledgers.named(name)
            if books is not None:
                await books.processor.submit(Group(()))
        return list(names or ())

    async def _sweep_forever(self) -> None:
        while True:
            try:
                await self.sweep()
            except AppError as error:  # busy, or the database is away: the next look is soon
                log.debug("sweep_put_off", error=repr(error))
            except Exception as error:
                if not (is_connection_trouble(error) or isinstance(error, TimeoutError)):
                    log.error("sweep_failed", exc_info=error)
            await asyncio.sleep(self._interval_seconds)

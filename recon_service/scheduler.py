"""Starts the nightly runs: APScheduler pulls the trigger, a row in the database is the truth.

Any number of copies may pull at once: the first one's row stands, the others' are nothing.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from recon_service.dependencies import Resources
from recon_service.domain.config import SourceConfig
from recon_service.domain.run import Input, InputKind
from recon_service.repositories import runs
from recon_service.repositories.atomic import atomic, plain
from recon_service.repositories.sources import Source, lock_source, nightly_sources
from shared.errors import AppError

MISFIRE_SECONDS_MAX = 3_600
CATCH_UP_EVERY = timedelta(hours=1)
log = structlog.get_logger()

# Which of these dates nobody has begun: no run in force, none under way, no night that failed.
_WITHOUT_RUN = """
SELECT d FROM unnest($2::date[]) AS d
WHERE NOT EXISTS (SELECT FROM recon.runs
                  WHERE source = $1 AND business_date = d AND NOT dry_run
                    AND (status <> 'failed' OR trigger = 'nightly'))
ORDER BY d
"""


@dataclass(frozen=True, slots=True)
class Night:
    """When the nightly runs begin, in a zone of the operator's choice."""

    hour: int
    minute: int
    zone: ZoneInfo

    def begins(self, day: date) -> datetime:
        """Return the instant at which the runs of the night that ends in `day` begin."""
        return datetime.combine(day, time(self.hour, self.minute), self.zone).astimezone(UTC)


def nights_missed(
    night: Night, *, now: datetime, since: datetime, source_zone: ZoneInfo, days_max: int
) -> list[date]:
    """Return the business dates, oldest first, whose night has begun after `since` until `now`.

    At most the last `days_max` nights count. A night reconciles the day before it in the source's
    zone.
    """
    today = now.astimezone(night.zone).date()
    beginnings = [night.begins(today - timedelta(days=back)) for back in range(days_max + 1)]
    begun = sorted(at for at in beginnings if since < at <= now)
    return [business_date(at, source_zone) for at in begun[max(0, len(begun) - days_max) :]]


def business_date(at: datetime, source_zone: ZoneInfo) -> date:
    """Return the day before `at` in the source's zone."""
    return at.astimezone(source_zone).date() - timedelta(days=1)


def statement_of(config: SourceConfig, day: date) -> Input | None:
    """Return where the statement of a day lies by the source's definition; None if nowhere."""
    if config.kind == "api":
        return Input(InputKind.API, config.url_for(day) or "")
    path = config.path_for(day)
    return None if path is None else Input(InputKind.INBOX, path)


class Scheduler:
    """Queues the run of every nightly source once a night; looks for missed nights every hour."""

    def __init__(self, held: Resources, *, catch_up_every: timedelta = CATCH_UP_EVERY) -> None:
        settings = held.settings
        self._held = held
        self._catch_up_every = catch_up_every
        self._night = Night(
            settings.nightly_hour, settings.nightly_minute, ZoneInfo(settings.nightly_timezone)
        )
        self._scheduler = AsyncIOScheduler(timezone=self._night.zone)

    async def start(self) -> None:
        """Catch up, then wait for the hour."""
        await self.catch_up()
        trigger = CronTrigger(
            hour=self._night.hour, minute=self._night.minute, timezone=self._night.zone
        )
        self._scheduler.add_job(
            self.begin_night,
            trigger,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=MISFIRE_SECONDS_MAX,
        )
        # A night whose trigger failed, or that this process slept through, is begun here.
        self._scheduler.add_job(
            self.catch_up,
            IntervalTrigger(seconds=self._catch_up_every.total_seconds()),
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
        self._scheduler.start()

    def stop(self) -> None:
        """Pull no more triggers."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def begin_night(self) -> list[str]:
        """Queue yesterday's run of every nightly source; return the runs that this call made."""
        now = self._held.clock()
        async with plain(self._held.database) as connection:
            sources = await nightly_sources(connection)
        made = []
        for source in sources:
            made += await self._queue(source, [business_date(now, source.config.zone)])
        return made

    async def catch_up(self) -> list[str]:
        """Queue the nights that nobody began: no copy was running, or the database was away."""
        now, settings = self._held.clock(), self._held.settings
        async with plain(self._held.database) as connection:
            wanted = [
                (source, await self._missed(connection, source, now))
                for source in await nightly_sources(connection)
            ]
        made = []
        for source, days in wanted:
            made += await self._queue(source, days)
        if made:
            log.info("nights_caught_up", runs=made, days_max=settings.catch_up_days_max)
        return made

    async def _missed(
        self, connection: asyncpg.Connection, source: Source, now: datetime
    ) -> list[date]:
        assert source.nightly_since is not None, "only nightly sources are asked for"
        days = nights_missed(
            self._night,
            now=now,
            since=source.nightly_since,
            source_zone=source.config.zone,
            days_max=self._held.settings.catch_up_days_max,
        )
        return await _without_run(connection, source.name, days)

    async def _queue(self, source: Source, days: list[date]) -> list[str]:
        made = []
        for day in days:
            try:
                run_id = await self._queue_one(source.name, day)
            except AppError as error:
                log.warning("night_refused", source=source.name, date=str(day), code=error.code)
                continue
            if run_id is not None:
                made.append(run_id)
        if made:
            self._held.wake()
        return made

    async def _queue_one(self, name: str, day: date) -> str | None:
        async with atomic(self._held.database) as connection:
            source = await lock_source(connection, name)
            if source is None or (statement := statement_of(source.config, day)) is None:
                return None
            if not await _without_run(connection, name, [day]):
                return None
            requested = await runs.request_run(
                connection,
                source=source,
                business_date=day,
                trigger="nightly",
                statement=statement,
                request_id=None,
                queue_max=self._held.settings.queue_max,
            )
            return None if requested is None else requested[0]


async def _without_run(connection: asyncpg.Connection, source: str, days: list[date]) -> list[date]:
    rows = await connection.fetch(_WITHOUT_RUN, source, days)
    return [row[0] for row in rows]

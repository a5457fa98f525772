"""Does a run here and now for whoever waits at a terminal, showing how far it has come."""

import asyncio
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from recon_service.dependencies import open_engine
from recon_service.domain.config import patched
from recon_service.domain.errors import UnknownSource
from recon_service.domain.run import PHASES, Claim, Input, InputKind, WhatIf
from recon_service.domain.summary import Summary
from recon_service.engine import ReconEngine
from recon_service.readers.files import checked_file, resolve_in_inbox
from recon_service.repositories import runs
from recon_service.repositories.atomic import atomic, plain
from recon_service.repositories.sources import Source, lock_source
from recon_service.runner import Failed, Watch, execute
from recon_service.settings import ReconSettings

CLAIM_POLL_SECONDS = 0.5


class Interrupted(Exception):
    """The person at the terminal has had enough."""


async def reconcile(
    name: str,
    day: date,
    file_path: Path | None,
    *,
    quiet: bool,
    what_if: WhatIf | None = None,
) -> dict[str, Any] | Failed | None:
    """Queue a run and do it; return its result, None where another process has taken it over.

    With `what_if` it is a dry run: nothing comes in force.

    Raises AppError, SourceUnreadable, Interrupted, and what a database that is away raises.
    """
    settings = ReconSettings.load()
    async with open_engine(settings, workers=0) as engine:
        run_id, attempt = await _request(engine, settings, name, day, file_path, what_if)
        with _progress(quiet=quiet) as progress:
            bar = progress.add_task("waiting", total=len(PHASES))
            try:
                outcome = await _claim_and_execute(
                    engine,
                    settings,
                    run_id,
                    watch=lambda phase, _counts: progress.update(
                        bar, description=phase, completed=PHASES.index(phase)
                    ),
                )
            except asyncio.CancelledError:
                await _give_up(engine, run_id)
                raise Interrupted from None
            if not isinstance(outcome, Mapping):
                failed = isinstance(outcome, Failed)
                progress.update(bar, description="failed" if failed else "taken over")
                return outcome
            progress.update(bar, description="done", completed=len(PHASES))
    head = {"run_id": run_id, "source": name, "date": day.isoformat(), "attempt": attempt}
    return head | {"dry_run": what_if is not None} | dict(outcome)


async def _request(
    engine: ReconEngine,
    settings: ReconSettings,
    name: str,
    day: date,
    file_path: Path | None,
    what_if: WhatIf | None,
) -> tuple[str, int]:
    """Queue the run, reserved for this process; return its id and attempt.

    Raises AppError, SourceUnreadable, typer.BadParameter.
    """
    async with atomic(engine.database) as connection:
        source = await lock_source(connection, name)
        if source is None:
            raise UnknownSource(f"there is no source {name}")
        today = engine.clock().astimezone(source.config.zone).date()
        if day > today:
            raise typer.BadParameter(f"{day} has not begun yet in {source.config.time_zone}")
        if what_if is not None:
            _require_valid(source, what_if)
        requested = await runs.request_run(
            connection,
            source=source,
            business_date=day,
            trigger="manual",
            statement=await asyncio.to_thread(_statement, source, day, file_path, settings),
            request_id=None,
            queue_max=settings.queue_max,
            reserve_seconds=settings.lease_seconds,
            what_if=what_if,
        )
        assert requested is not None, "only a nightly run can be there already"
        return requested


def _require_valid(source: Source, what_if: WhatIf) -> None:
    try:
        patched(source.config, {"policy": what_if.policy})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise typer.BadParameter(f"{place}: {first['msg']}") from error


def _statement(source: Source, day: date, file_path: Path | None, settings: ReconSettings) -> Input:
    if file_path is not None:
        if source.config.kind == "api":
            raise typer.BadParameter(f"{source.name} reads from its URL, not from files")
        return Input(InputKind.PATH, str(checked_file(file_path.expanduser().absolute())))
    if source.config.kind == "api":
        return Input(InputKind.API, source.config.url_for(day) or "")
    path = source.config.path_for(day)
    if path is None:
        raise typer.BadParameter(f"{source.name} names no path: give --file_path")
    resolve_in_inbox(settings.inbox, path)
    return Input(InputKind.INBOX, path)


async def _claim_and_execute(
    engine: ReconEngine, settings: ReconSettings, run_id: str, *, watch: Watch
) -> Mapping[str, Any] | Failed | None:
    """Return the summary of the run, be it that the service has done it for us meanwhile."""
    claimed = await _claim(engine, settings, run_id)
    if isinstance(claimed, Claim):
        done = await execute(engine, claimed, lease_seconds=settings.lease_seconds, watch=watch)
        return done.document if isinstance(done, Summary) else done
    if claimed.summary is None:
        return Failed(claimed.error_code, claimed.error)
    return claimed.summary


async def _claim(engine: ReconEngine, settings: ReconSettings, run_id: str) -> Claim | runs.End:
    """Wait until no other run of the source or its population is under way, then take ours.

    A service takes it where we were too slow to keep it reserved; then its end is ours.
    """
    while True:
        async with atomic(engine.database) as connection:
            held = await runs.claim(connection, lease_seconds=settings.lease_seconds, run_id=run_id)
            if held is not None:
                return held
            end = await runs.find_end(connection, run_id)
            if end is not None:
                return end
            await runs.renew_reservation(connection, run_id, settings.lease_seconds)
        await asyncio.sleep(CLAIM_POLL_SECONDS)


async def _give_up(engine: ReconEngine, run_id: str) -> None:
    async with plain(engine.database) as connection:
        await runs.cancel(connection, run_id)


def _progress(*, quiet: bool) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )

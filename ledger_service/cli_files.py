"""Commands on whole ledgers: export to a file, import from one, rebuild the projections."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from rich.progress import Progress as RichProgress

from ledger_service.export_format import BadExport, Counts, ExportReader, Header
from ledger_service.files.export import ExportRefused, export_ledger, new_file
from ledger_service.files.restore import Imported, ImportRefused, import_ledger
from ledger_service.projections.rebuild import RebuildRefused, Rebuilt, look, repair
from ledger_service.settings import LedgerSettings
from ledger_service.tables import MAIN_LEDGER_NAME
from ledger_service.terminal import AsJson, Exit, fail, printable, progress
from shared.database import connect
from shared.settings import MissingSetting
from shared.stack_files import read_environment, stack_files

STATEMENT_MS_MAX = 3_600_000
DIFFERENCES_SHOWN_MAX = 20
_FIND_LEDGER = "SELECT ledger_id FROM ledger.ledgers WHERE name = $1"

Done = TypeVar("Done")
app = typer.Typer(no_args_is_help=True)
LedgerName = Annotated[
    str | None, typer.Option("--ledger", help="name of the ledger", show_default=False)
]


@app.command(name="export")
def export_file(
    file: Annotated[Path, typer.Argument(help="gzipped where the name ends in .gz")],
    ledger: LedgerName = None,
    force: Annotated[bool, typer.Option("--force", help="overwrite the file")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a whole ledger to a file, as of one instant, straight from the database."""
    name = ledger or MAIN_LEDGER_NAME
    header, sha256 = _run(_export(name, file, overwrite=force))
    counts = header.counts._asdict()
    file_bytes = file.stat().st_size
    if as_json:
        told = {"ledger": name, "last_seq": header.last_seq, **counts, "sha256": sha256}
        typer.echo(json.dumps(told | {"file": str(file), "bytes": file_bytes}))
        return
    typer.echo(f"{file}: ledger {name} up to seq {header.last_seq}, {_counted(header.counts)}")
    typer.echo(f"{file_bytes} bytes, SHA-256 of the content {sha256}")


@app.command(name="import")
def import_file(file: Path, ledger: LedgerName = None, as_json: AsJson = False) -> None:
    """Read an exported ledger into an empty one: all of it as it was, or nothing."""
    done = _run(_import(file, ledger))
    header = done.header
    if as_json:
        told = {"ledger": done.ledger, "last_seq": header.last_seq, **header.counts._asdict()}
        typer.echo(json.dumps(told))
        return
    typer.echo(
        f"{file}: ledger {done.ledger} up to seq {header.last_seq}, {_counted(header.counts)}"
    )
    typer.echo("Every entry was replayed. `ledger verify` also checks the seals.")


@app.command()
def rebuild(
    ledger: LedgerName = None,
    with_repair: Annotated[
        bool, typer.Option("--repair", help="replace the rows that differ")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the projections anew from the log, beside the service, and show where they differ.

    Exit 0 if nothing differs or all was repaired, 1 if something differs. `--repair` acts as the
    administrator of DATABASE_URL: the service's own role may not change what it once wrote.
    """
    name = ledger or MAIN_LEDGER_NAME
    done = _run(_rebuild(name, with_repair=with_repair))
    if as_json:
        told = {
            "ledger": name,
            "entries": done.entries,
            "differences": list(map(str, done.differences)),
            "repaired": done.epoch is not None,
            "epoch": done.epoch,
        }
        typer.echo(json.dumps(told))
    else:
        _show_rebuilt(done)
    differs = bool(done.differences) and done.epoch is None
    raise typer.Exit(Exit.DISAGREEMENT if differs else Exit.CLEAN)


def _show_rebuilt(done: Rebuilt) -> None:
    found = len(done.differences)
    typer.echo(f"{done.entries} entries replayed: {found or 'no'} rows differ")
    for difference in done.differences[:DIFFERENCES_SHOWN_MAX]:
        typer.echo(f"  {printable(str(difference))}")
    if found > DIFFERENCES_SHOWN_MAX:
        typer.echo(f"  and {found - DIFFERENCES_SHOWN_MAX} more; --json shows all")
    if done.epoch is not None:
        typer.echo(f"All are repaired; epoch {done.epoch} begins.")
    elif found:
        typer.echo("`ledger rebuild --repair` replaces them by what the log makes.")


async def _export(name: str, file: Path, *, overwrite: bool) -> tuple[Header, str]:
    with new_file(file, overwrite=overwrite) as opened, progress() as shown:
        compress = file.suffix == ".gz"
        async with _connected(_service_url()) as connection:
            return await export_ledger(
                connection, name, opened, compress=compress, progress=_bar(shown, "export")
            )


async def _import(file: Path, name: str | None) -> Imported:
    with ExportReader(file) as reader, progress() as shown:
        async with _connected(_service_url()) as connection:
            return await import_ledger(
                connection, reader, ledger=name, progress=_bar(shown, "import")
            )


async def _rebuild(name: str, *, with_repair: bool) -> Rebuilt:
    admin_url = _admin_url() if with_repair else None
    async with _connected(_service_url()) as connection:
        ledger_id = await connection.fetchval(_FIND_LEDGER, name)
        if ledger_id is None:
            fail(f"There is no ledger {name}.", Exit.USAGE)
        with progress() as shown:
            found = await look(connection, ledger_id, progress=_bar(shown, "replay"))
    if admin_url is None or not found.differences:
        return found
    async with _connected(admin_url) as owner:
        return await repair(owner, found)


def _run(work: Coroutine[Any, Any, Done]) -> Done:
    """Do `work`; whatever is in its way ends the command with a sentence and an exit code."""
    try:
        return asyncio.run(work)
    except (BadExport, RebuildRefused) as error:
        fail(str(error), Exit.DISAGREEMENT)
    except (ExportRefused, ImportRefused) as error:
        fail(str(error), Exit.USAGE)
    except MissingSetting as error:
        fail(f"{error}.")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        fail(f"{error.filename}: {error.strerror}.", Exit.USAGE)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        fail(f"The database or the disk does not answer: {error}.")


def _service_url() -> str:
    return LedgerSettings.load().require_database_url()


def _admin_url() -> str:
    """Return the administrator's database: that of the environment, or of the running stack."""
    url = os.environ.get("DATABASE_URL") or read_environment(stack_files()).get("DATABASE_URL")
    if url is None:
        raise MissingSetting(
            "DATABASE_URL is not set: a repair needs the administrator's rights, because the "
            "service's own role may not change what it once wrote"
        )
    return url


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(
        url,
        application_name="kairon ledger files",
        statement_timeout_ms=STATEMENT_MS_MAX,
        command_seconds_max=None,
    )
    try:
        yield connection
    finally:
        await connection.close()


def _bar(shown: RichProgress, name: str) -> Callable[[int, int], None]:
    task = shown.add_task(name)
    return lambda done, total: shown.update(task, completed=done, total=total)


def _counted(counts: Counts) -> str:
    return f"{counts.entries} entries, {counts.events} events, {counts.keys} keys"

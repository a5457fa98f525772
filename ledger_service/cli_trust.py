"""The commands of `ledger` that check the books, or let others check them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ledger_service.export_format import BadExport
from ledger_service.files.check import verify_export
from ledger_service.projections.verifier import verify
from ledger_service.settings import LedgerSettings
from ledger_service.tables import MAIN_LEDGER_NAME
from ledger_service.terminal import AsJson, Exit, fail
from ledger_service.trust.anchors import (
    Anchor,
    BadAnchor,
    generate_key,
    private_key_text,
    public_key_text,
    read_anchor,
    read_private_key,
    read_public_key,
    sign,
)
from ledger_service.trust.findings import Report
from ledger_service.trust.seal_reader import last_seal
from ledger_service.trust.sealer import LogDamaged, seal_what_is_new
from shared.database import connect
from shared.settings import MissingSetting

STATEMENT_MS_MAX = 600_000
app = typer.Typer()
LedgerName = Annotated[str, typer.Option("--ledger", help="whose books")]
AnchorFile = Annotated[
    Path | None, typer.Option("--anchor", help="check them against this anchor as well")
]
PublicKeyFile = Annotated[
    Path | None, typer.Option("--public-key", help="who must have signed the anchor")
]


@app.command(name="verify")
def verify_books(
    ledger: LedgerName = MAIN_LEDGER_NAME,
    anchor: AnchorFile = None,
    public_key: PublicKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Replay the log and compare every projection, every seal and an anchor with it."""
    known = _anchor(anchor, public_key)

    async def run() -> Report:
        async with _ledger(ledger) as (connection, ledger_id):
            with _progress("entries", is_shown=not as_json) as progress:
                return await verify(connection, ledger_id, anchor=known, progress=progress)

    with _trouble_explained():
        report = asyncio.run(run())
    _tell(report, as_json)


@app.command(name="verify-export")
def verify_file(
    file: Path,
    anchor: AnchorFile = None,
    public_key: PublicKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Check an exported ledger without any database."""
    known = _anchor(anchor, public_key)
    try:
        with _progress("entries", is_shown=not as_json) as progress:
            report = asyncio.run(verify_export(file, anchor=known, progress=progress))
    except BadExport as error:
        fail(str(error), Exit.DISAGREEMENT)
    except OSError as error:
        fail(f"The file cannot be read: {error}.", Exit.USAGE)
    _tell(report, as_json)


@app.command(name="seal")
def seal_now(ledger: LedgerName = MAIN_LEDGER_NAME) -> None:
    """Seal at once what the service would seal in a while."""
    seal = _sealed(ledger)
    if seal is None:
        typer.echo("There is nothing to seal.")
    else:
        typer.echo(f"Seal {seal.seal} covers {seal.entries_size} entries, {seal.keys_size} keys.")


@app.command(name="anchor")
def write_anchor(
    file: Annotated[Path, typer.Argument(help="where to write it; keep it elsewhere")],
    key: Annotated[Path, typer.Option(help="private key that `ledger keygen` has written")],
    ledger: LedgerName = MAIN_LEDGER_NAME,
) -> None:
    """Seal what is new, and write the roots, signed, to a file to keep outside the database."""
    try:
        private_key = read_private_key(key.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        fail(f"The key cannot be read: {error}.", Exit.USAGE)
    except BadAnchor as error:
        fail(f"{error}.", Exit.USAGE)
    seal = _sealed(ledger)
    if seal is None:
        fail(f"The ledger {ledger} has no entries to anchor.", Exit.USAGE)
    try:
        file.write_text(sign(seal, private_key), encoding="utf-8")
    except OSError as error:
        fail(f"The anchor cannot be written: {error}.", Exit.USAGE)
    typer.echo(
        f"{file}: seal {seal.seal} of {ledger}, {seal.entries_size} entries, "
        f"{seal.keys_size} keys, signed by {private_key.name}."
    )


@app.command()
def keygen(
    name: Annotated[str, typer.Argument(help="who signs; stands in every anchor")],
    private: Annotated[Path, typer.Option(help="file for the private key; readable by you only")],
    public: Annotated[Path, typer.Option(help="file for the public key; hand it out")],
) -> None:
    """Make a pair of keys to sign anchors with, and to check them."""
    try:
        key = generate_key(name)
        private.touch(mode=0o600, exist_ok=False)
        private.write_text(private_key_text(key) + "\n", encoding="utf-8")
        public.write_text(public_key_text(key.public) + "\n", encoding="utf-8")
    except BadAnchor as error:
        fail(f"{error}.", Exit.USAGE)
    except FileExistsError:
        fail(f"{private} is there already; a key is not overwritten.", Exit.USAGE)
    except OSError as error:
        fail(f"The keys cannot be written: {error}.", Exit.USAGE)
    typer.echo(f"{public}: {public_key_text(key.public)}")


def _anchor(file: Path | None, public_key: Path | None) -> Anchor | None:
    if file is None and public_key is None:
        return None
    if file is None or public_key is None:
        fail("An anchor is checked with --anchor and --public-key.", Exit.USAGE)
    try:
        key = read_public_key(public_key.read_text(encoding="utf-8"))
        return read_anchor(file.read_text(encoding="utf-8"), key)
    except (OSError, UnicodeError) as error:
        fail(f"The anchor or the key cannot be read: {error}.", Exit.USAGE)
    except BadAnchor as error:
        fail(f"{error}.", Exit.DISAGREEMENT)


def _sealed(ledger: str) -> Anchor | None:
    """Seal what is new, and return the last seal; None where the ledger has no entries."""

    async def run() -> Anchor | None:
        async with _ledger(ledger) as (connection, ledger_id):
            await seal_what_is_new(connection, ledger_id)
            return await last_seal(connection, ledger_id)

    with _trouble_explained():
        return asyncio.run(run())


@asynccontextmanager
async def _ledger(name: str) -> AsyncIterator[tuple[asyncpg.Connection, int]]:
    """A connection, and the id of the ledger of this name."""
    connection = await connect(
        LedgerSettings.load().require_database_url(),
        application_name="kairon ledger command line",
        statement_timeout_ms=STATEMENT_MS_MAX,
        command_seconds_max=None,
    )
    try:
        found = "SELECT ledger_id FROM ledger.ledgers WHERE name = $1"
        ledger_id = await connection.fetchval(found, name)
        if ledger_id is None:
            fail(f"There is no ledger {name}.", Exit.USAGE)
        yield connection, ledger_id
    finally:
        await connection.close()


@contextmanager
def _trouble_explained() -> Iterator[None]:
    try:
        yield
    except MissingSetting as error:
        fail(f"{error}.")
    except LogDamaged as error:
        fail(f"The history is damaged and is not sealed: {error}.", Exit.DISAGREEMENT)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        fail(f"The database does not answer: {error}.")


@contextmanager
def _progress(name: str, *, is_shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal's standard error."""
    console = Console(stderr=True)
    columns = (
        TextColumn(f"[progress.description]{name}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    is_off = not (is_shown and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=is_off) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(report: Report, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_document(report)))
    else:
        verdict = "all agree" if not report.findings else "they do NOT agree"
        anchored = "" if report.anchored_seq is None else f", anchored to seq {report.anchored_seq}"
        typer.echo(
            f"{report.entries} entries, {report.events} events, {report.accounts} accounts, "
            f"{report.keys} sealed keys, sealed to seq {report.sealed_seq}{anchored}: {verdict}"
        )
        if report.first_bad_seq is not None:
            typer.echo(f"  first bad seq: {report.first_bad_seq}")
        for finding in report.in_order():
            typer.echo(f"  {finding.damage}: {finding}")
    raise typer.Exit(Exit.DISAGREEMENT if report.findings else Exit.CLEAN)


def _document(report: Report) -> dict[str, object]:
    return {
        "entries": report.entries,
        "events": report.events,
        "accounts": report.accounts,
        "keys": report.keys,
        "seals": report.seals,
        "sealed_seq": report.sealed_seq,
        "anchored_seq": report.anchored_seq,
        "first_bad_seq": report.first_bad_seq,
        "findings": [
            {"damage": one.damage, "seq": one.seq, "sentence": one.sentence}
            for one in report.in_order()
        ],
    }

"""Verifies an exported ledger without a database: the file, an anchor and a public key suffice.

The file is read twice: once for its seals, which stand at its end, and once along its log.
"""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from ledger_service.domain.canonical import StoredEntry, StoredKey
from ledger_service.domain.merkle import Block
from ledger_service.export_format import BadExport, ExportReader, TableRow
from ledger_service.projections.log_check import LogCheck
from ledger_service.trust.anchors import Anchor
from ledger_service.trust.findings import Damage, Report
from ledger_service.trust.seal_check import SealCheck, SealRow, Tree

LINES_PER_REPORT = 1_000
Progress = Callable[[int, int], None]


async def verify_export(
    path: Path, *, anchor: Anchor | None = None, progress: Progress | None = None
) -> Report:
    """Return every disagreement of the file with itself, its seals and the anchor.

    Raises BadExport where the file is no whole export, and OSError where it cannot be read.
    """
    report = Report()
    log = LogCheck(report)
    with ExportReader(path) as lines:
        seals = ExportedSeals(lines)
    with ExportReader(path) as lines:
        header = lines.header
        check = SealCheck(seals, report, log.refolded, anchor)
        if anchor is not None and anchor.ledger != header.ledger:
            report.note(
                Damage.ANCHOR_DIFFERS,
                None,
                f"the anchor is of the ledger {anchor.ledger}, the file holds {header.ledger}",
                by_seal=True,
            )
        await check.start()
        is_among_entries = True
        for line in lines:
            if isinstance(line, StoredEntry):
                log.take(line)
                await check.take_entry(line)
                if progress is not None and report.entries % LINES_PER_REPORT == 0:
                    progress(report.entries, header.counts.entries)
                continue
            if is_among_entries:
                await check.finish_entries()
                is_among_entries = False
            if isinstance(line, StoredKey) and line.recorded_at < check.keys_before:
                await check.take_key(line)
    if is_among_entries:
        await check.finish_entries()
    await check.finish_keys()
    report.accounts = len(log.replay.state.accounts)
    last = log.last
    expected = (last.seq, last.entry_id, last.recorded_at) if last else (0, None, None)
    head = (header.last_seq, header.last_entry_id, header.last_recorded_at)
    if head != expected:
        report.note(Damage.HEAD_DIFFERS, None, f"the header says {head}, the log {expected}")
    log.finish()
    return report


class ExportedSeals:
    """The seals at the end of an export, in memory: some 32 bytes for each entry and key."""

    def __init__(self, lines: ExportReader) -> None:
        self._seals: list[SealRow] = []
        self._leaves: dict[str, list[tuple[int, bytes]]] = {}
        self._blocks: dict[str, list[Block]] = {}
        for line in lines:
            if isinstance(line, TableRow):
                try:
                    self._add(line.table, dict(line.values))
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise BadExport(f"the row cannot be read: {error}.", lines.line) from None
        self._seals.sort()
        for leaves in self._leaves.values():
            leaves.sort()
        for blocks in self._blocks.values():
            blocks.sort()

    def _add(self, table: str, values: dict[str, Any]) -> None:
        if table == "seals":
            facts = {name: values[name] for name in SealRow._fields}
            for name, value in facts.items():
                if name.endswith(("_root", "_frontier")):
                    facts[name] = _bytes_of(value)
            facts["keys_before"] = datetime.fromisoformat(values["keys_before"])
            self._seals.append(SealRow(**facts))
        elif table == "seal_leaves":
            leaves = self._leaves.setdefault(values["tree"], [])
            leaves.append((int(values["first_index"]), _bytes_of(values["hashes"])))
        elif table == "seal_blocks":
            block = Block(values["level"], values["position"], _bytes_of(values["root"]))
            self._blocks.setdefault(values["tree"], []).append(block)

    async def seals(self) -> AsyncIterator[SealRow]:
        """Yield all seals in their order."""
        for seal in self._seals:
            yield seal

    async def leaves(self, tree: Tree) -> AsyncIterator[tuple[int, bytes]]:
        """Yield the index of a first leaf, and the hashes from it on, in their order."""
        for row in self._leaves.get(tree, ()):
            yield row

    async def blocks(self, tree: Tree) -> AsyncIterator[Block]:
        """Yield all blocks that are kept."""
        for block in self._blocks.get(tree, ()):
            yield block


def _bytes_of(text: str) -> bytes:
    """Return what PostgreSQL's to_json has written of a bytea."""
    return bytes.fromhex(text.removeprefix("\\x"))

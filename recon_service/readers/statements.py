"""Reads the statement of a run, wherever it comes from, into canonical records with their ids."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recon_service.domain import records
from recon_service.domain.config import SourceConfig
from recon_service.domain.history import Days
from recon_service.domain.identity import record_ids
from recon_service.domain.run import InputKind, Run
from recon_service.normalise import normalise
from recon_service.readers.api_adapter import APIAdapter
from recon_service.readers.csv_reader import CSVReader
from recon_service.readers.files import resolve_in_inbox
from recon_service.readers.offload import Offload


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where statements may come from, and how large they may be."""

    inbox: Path
    uploads: Path
    api_hosts: frozenset[str]
    file_bytes_max: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as read: canonical records with their ids, and the lines that are none."""

    lines: int
    accepted: pl.DataFrame
    rejected: pl.DataFrame

    @property
    def days(self) -> Days | None:
        """The days of its records."""
        if self.accepted.is_empty():
            return None
        days = self.accepted["booked_on"].sort()
        return Days(days[0], days[-1])


async def read_statement(
    run: Run, inputs: Inputs, *, scales: Mapping[str, int], offload: Offload
) -> Statement:
    """Return the statement of a run. Raises SourceUnreadable."""
    known = dict(scales)
    if run.input.kind is InputKind.API:
        raw = await APIAdapter(run.config, hosts=inputs.api_hosts).read(run.business_date)
        return await offload(_statement, raw, run.config, known, run.source)
    path = _path(run, inputs)
    return await offload(_read_file, path, inputs.file_bytes_max, run.config, known, run.source)


def _path(run: Run, inputs: Inputs) -> Path:
    if run.input.kind is InputKind.INBOX:
        return resolve_in_inbox(inputs.inbox, run.input.name)
    if run.input.kind is InputKind.UPLOAD:
        return inputs.uploads / run.input.name
    return Path(run.input.name)


def _read_file(
    path: Path, bytes_max: int, config: SourceConfig, scales: dict[str, int], source: str
) -> Statement:
    raw = CSVReader(config).read(path, size_max=bytes_max)
    return _statement(raw, config, scales, source)


def _statement(
    raw: records.RawRead, config: SourceConfig, scales: dict[str, int], source: str
) -> Statement:
    found = normalise(raw, config, scales)
    accepted = found.accepted.with_columns(record_id=record_ids(source, found.accepted))
    return Statement(raw.lines, accepted, found.rejected)

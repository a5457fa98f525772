"""A run as the engine gets it: what to reconcile, from where, and by which definition."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from hashlib import sha256

from recon_service.domain.config import SourceConfig

ALL_TRANSACTIONS = "all"


class InputKind(StrEnum):
    """Where the statement comes from: below the inbox, any path (CLI), an upload, an API."""

    INBOX = "inbox"
    PATH = "path"
    UPLOAD = "upload"
    API = "api"


@dataclass(frozen=True, slots=True)
class Input:
    """A statement by its name within `kind`: file name, path, upload id, or URL."""

    kind: InputKind
    name: str


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt to reconcile a source for a business date."""

    run_id: str
    source: str
    business_date: date
    attempt: int
    source_version: int
    config: SourceConfig
    population: str
    input: Input
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A run with the right to write its result: tokens that rise with every new holder."""

    run: Run
    token: int
    lease_tokens: Mapping[str, int]
    resumed: bool


def population_of(config: SourceConfig) -> str:
    """Return what a source's records are compared with: its account, or all transactions."""
    return config.ledger_account_id or ALL_TRANSACTIONS


def lease_names(source: str, population: str) -> tuple[str, ...]:
    """Return the leases that a run needs, in the order in which everybody takes them."""
    return tuple(sorted((f"source:{source}", f"population:{population}")))


def record_id(source: str, fingerprint: str, ordinal: int) -> str:
    """Return the UUID (version 8) of a record: the same line gets the same id in every run."""
    digest = sha256(f"{source}\n{fingerprint}\n{ordinal}".encode()).hexdigest()
    variant = "89ab"[int(digest[16], 16) % 4]
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"

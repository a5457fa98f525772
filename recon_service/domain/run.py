"""A run as the engine gets it: what to reconcile, from where, and by which definition."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from recon_service.domain.config import SourceConfig

ALL_TRANSACTIONS = "all"
PHASES = ("reading", "ledger", "matching", "writing")


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
class WhatIf:
    """A dry run: `policy` is a JSON merge patch of the source's policy, empty where it holds."""

    policy: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt to reconcile a source for a business date.

    A dry run decides and keeps its log like any other and puts nothing in force; its `config` may
    hold another policy than the source's. Its attempts are numbered for themselves.
    """

    run_id: str
    source: str
    business_date: date
    attempt: int
    source_version: int
    config: SourceConfig
    population: str
    input: Input
    request_id: str | None
    dry_run: bool = False


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

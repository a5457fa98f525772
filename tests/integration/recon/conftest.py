"""Fixtures of reconciliation: both services on this test's own database."""

from pathlib import Path

import httpx
import pytest

from tests.conftest import Serve
from tests.integration.recon.books import Books, open_books
from tests.postgres import TestDatabases


@pytest.fixture
async def books(
    databases: TestDatabases, serve: Serve, ledger: httpx.AsyncClient, tmp_path: Path
) -> Books:
    """A ledger and a reconciliation service side by side."""
    return await open_books(databases, serve, ledger, tmp_path)

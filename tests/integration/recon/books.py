"""A ledger and a reconciliation service side by side, and short ways to use them."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from recon_service.main import create_app
from recon_service.settings import ReconSettings
from tests.conftest import Serve
from tests.postgres import TestDatabases

HEADER = "txn_id,timestamp,amount,currency,description"
NOW = datetime(2025, 8, 1, 12, 0, tzinfo=UTC)
JULY_13 = date(2025, 7, 13)
WAIT_SECONDS_MAX = 30


@dataclass
class Books:
    """Both services over HTTP, and the folder from which statements are read."""

    ledger: httpx.AsyncClient
    recon: httpx.AsyncClient
    inbox: Path
    databases: TestDatabases
    app: Any
    accounts: list[str] = field(default_factory=list)

    async def post(
        self,
        reference: str,
        amount: str,
        day: date = JULY_13,
        *,
        description: str | None = None,
        currency: str = "USD",
    ) -> dict[str, Any]:
        """Move money in the ledger at noon of `day`."""
        if not self.accounts:
            for _ in range(2):
                opened = await self.ledger.post(
                    "/ledger/account/", json={"currency": currency, "type": "internal"}
                )
                self.accounts.append(opened.json()["account_id"])
        answer = await self.ledger.post(
            "/ledger/transfer/",
            json={
                "source_account_id": self.accounts[0],
                "destination_account_id": self.accounts[1],
                "amount": amount,
                "currency": currency,
                "reference": reference,
                "effective_at": at_noon(day),
                "metadata": {"description": description} if description else {},
            },
        )
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def statement(self, name: str, *lines: str, header: str = HEADER) -> str:
        """Write a statement into the inbox and return its name."""
        (self.inbox / name).write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return name

    async def run(
        self,
        name: str | None,
        day: date = JULY_13,
        *,
        source: str = "bank_csv",
        expect: str | None = "finished",
        **more: Any,
    ) -> dict[str, Any]:
        """Ask for a run over HTTP and wait for its end; return it as the service shows it."""
        asked = await self.ask(name, day, source=source, **more)
        assert asked.status_code == 202, asked.text
        return await self.wait(asked.json()["run_id"], expect=expect)

    async def ask(
        self, name: str | None, day: date = JULY_13, *, source: str = "bank_csv", **more: Any
    ) -> httpx.Response:
        """Ask for a run over HTTP."""
        body = {"source": source, "date": day.isoformat(), **more}
        return await self.recon.post(
            "/recon/run", json=body | ({} if name is None else {"file_path": name})
        )

    async def wait(self, run_id: str, *, expect: str | None = "finished") -> dict[str, Any]:
        """Wait until a run has come to an end."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                found: dict[str, Any] = (await self.recon.get(f"/recon/runs/{run_id}")).json()
                if found["status"] in {"finished", "failed"}:
                    assert expect in {None, found["status"]}, found
                    return found

    async def summary(self, day: date = JULY_13, **query: Any) -> dict[str, Any]:
        """Return the one summary of a day."""
        answer = await self.recon.get(f"/recon/summary/{day}", params=query)
        assert answer.status_code == 200, answer.text
        [found] = answer.json()["summaries"]
        assert found["equation"]["proved"] is True
        return dict(found)

    async def logs(self, day: date = JULY_13, **query: Any) -> list[dict[str, Any]]:
        """Return the decisions of a day's runs in force."""
        answer = await self.recon.get(
            "/recon/logs", params={"date": day.isoformat(), "limit": 500, **query}
        )
        assert answer.status_code == 200, answer.text
        return list(answer.json()["logs"])

    async def breaks(self, **query: Any) -> list[dict[str, Any]]:
        """Return breaks, open and suggested ones if not told otherwise."""
        answer = await self.recon.get("/recon/breaks", params={"limit": 500, **query})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["breaks"])


def at_noon(day: date) -> str:
    """Return the middle of a day as the ledger and statements write it."""
    return f"{day}T12:00:00Z"


def line(
    txn_id: str,
    amount: str,
    day: date = JULY_13,
    *,
    description: str = "",
    currency: str = "USD",
) -> str:
    """Return a statement line of the shipped source."""
    return f"{txn_id},{at_noon(day)},{amount},{currency},{description}"


def july(day: int) -> date:
    """Return a day of July 2025."""
    return date(2025, 7, 1) + timedelta(days=day - 1)


def recon_settings(databases: TestDatabases, folder: Path, **changes: Any) -> ReconSettings:
    """Return settings for a service in process: threads instead of processes, no nightly runs."""
    inbox = folder / "inbox"
    inbox.mkdir(exist_ok=True)
    defaults: dict[str, Any] = {
        "database_url": databases.recon_url,
        "ledger_url": "http://ledger",
        "inbox": inbox,
        "uploads": folder / "uploads",
        "workers": 0,
        "nightly": False,
        "poll_seconds": 0.05,
    }
    return ReconSettings(**(defaults | changes))


async def open_books(
    databases: TestDatabases,
    serve: Serve,
    ledger: httpx.AsyncClient,
    folder: Path,
    **changes: Any,
) -> Books:
    """Serve reconciliation beside a ledger that is being served."""
    settings = recon_settings(databases, folder, **changes)
    app = create_app(settings, clock=lambda: NOW, ledger=ledger._transport)
    client = await serve(app, base_url="http://recon")
    return Books(ledger, client, settings.inbox, databases, app)

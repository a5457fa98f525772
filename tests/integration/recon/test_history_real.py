"""The history machine again, this time on the real engine, the real ledger and PostgreSQL.

Only the matcher is the machine's own, so that groups and netted lines occur when the model says.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path

import asyncpg
import httpx
import polars as pl
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import initialize

from ledger_service.main import create_app as create_ledger
from ledger_service.settings import LedgerSettings
from recon_service.dependencies import open_engine
from recon_service.domain.config import BANK_CSV, Policy
from recon_service.domain.errors import LaterRunDepends
from recon_service.domain.records import MEMBER_SCHEMA, OUTCOME_SCHEMA
from recon_service.domain.run import Input, InputKind
from recon_service.domain.summary import Summary
from recon_service.engine import ReconEngine
from recon_service.matchers.partition import Counts, Outcome
from recon_service.repositories import runs
from recon_service.repositories.atomic import atomic
from recon_service.repositories.sources import create_source, lock_source
from recon_service.runner import Failed, execute
from shared.money import format_minor
from tests import postgres
from tests.integration.recon.books import HEADER, at_noon, recon_settings
from tests.property.history_machine import (
    REVERSED,
    SOURCES,
    TODAY,
    HistoryMachine,
    Line,
    Model,
    Payment,
    Report,
    View,
    draw_payments,
    match,
)

LEASE_SECONDS = 60
NOW = datetime.combine(TODAY, time(12), UTC)


class RealSystem:
    """Runs the service's own engine; only the HTTP of the two services is left out."""

    def __init__(self, payments: dict[int, Payment]) -> None:
        self._payments = payments
        self._template = postgres.template()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._runner.run(self._open())

    def close(self) -> None:
        self._runner.run(self._close())
        self._runner.close()

    def post(self, payment: Payment) -> None:
        self._runner.run(self._post(payment))

    def run(self, source: str, day: date, lines: Sequence[Line], rejected: int) -> Report | None:
        rows = [self._row(self._payments[line.number]) for line in lines]
        text = "\n".join([HEADER, *rows, *["no line at all"] * rejected, ""])
        name = f"{source}.csv"
        (self._folder / "inbox" / name).write_text(text, encoding="utf-8")
        return self._runner.run(self._run(source, day, name))

    def fail(self, source: str, day: date) -> None:
        assert self._runner.run(self._fail(source, day))

    def view(self) -> View:
        return self._runner.run(self._view())

    @staticmethod
    def _amount_minor(payment: Payment) -> int:
        """Payments that cancel out have opposite amounts, all others amounts of their own."""
        sign = -1 if payment.number == REVERSED[1] else 1
        return sign * 100 * (min(payment.number, REVERSED[0]) + 3) ** 3

    def _row(self, payment: Payment) -> str:
        at = at_noon(payment.record_day)
        return f"P{payment.number},{at},{format_minor(self._amount_minor(payment), 2)},USD,"

    def _match(
        self,
        left: pl.DataFrame,
        right: pl.DataFrame,
        _policy: Policy,
        _gone: pl.DataFrame,
        **_more: object,
    ) -> Outcome:
        """Match as the model does."""
        amounts = {n: self._amount_minor(payment) for n, payment in self._payments.items()}
        records = {_line(key): record for key, record in left["external_id", "record_id"].rows()}
        items = {_number(key): item for key, item in right["reference", "internal_id"].rows()}
        rows, members = {}, []
        for one in match(list(records), list(items), self._payments):
            own = sorted(records[line] for line in one.lines)
            theirs = sorted(items[number] for number in one.items)
            is_pair = len(own) == len(theirs) == 1
            kind = "netted" if one.decision == "netted" else "exact" if is_pair else "group"
            residual = sum(amounts[line.number] for line in one.lines)
            residual -= sum(amounts[number] for number in one.items)
            for place, record in enumerate(own):
                counterpart = theirs[0] if theirs else None
                difference = None if place or kind == "netted" else residual
                rows[record] = (record, counterpart, kind, one.decision, 1.0, difference)
            if not is_pair:
                members += [(min(own + theirs), "record", record) for record in own]
                members += [(min(own + theirs), "item", item) for item in theirs]
        alone = ("none", "unmatched", None, None)
        told = [rows.get(record, (record, None, *alone)) for record in left["record_id"]]
        return Outcome(
            pl.DataFrame(
                [(*row, None, "{}", "as the model says") for row in told],
                schema=OUTCOME_SCHEMA,
                orient="row",
            ),
            Counts(0, 0, 0),
            pl.DataFrame(members, schema=MEMBER_SCHEMA, orient="row"),
        )

    async def _open(self) -> None:
        self._name = await postgres.clone(self._template)
        self._databases = self._template.databases(self._name)
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        ledger = create_ledger(LedgerSettings(database_url=self._databases.ledger_url))
        await self._stack.enter_async_context(ledger.router.lifespan_context(ledger))
        transport = httpx.ASGITransport(ledger)
        self._ledger = await self._stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://ledger")
        )
        self._accounts = [
            (
                await self._ledger.post(
                    "/ledger/account/", json={"currency": "USD", "type": "internal"}
                )
            ).json()["account_id"]
            for _ in range(2)
        ]
        engine = await self._stack.enter_async_context(
            open_engine(
                recon_settings(self._databases, self._folder),
                workers=0,
                clock=lambda: NOW,
                transport=transport,
            )
        )
        self._engine: ReconEngine = replace(engine, matcher=self._match)
        async with atomic(self._engine.database) as connection:
            for name in SOURCES:
                config = BANK_CSV.model_copy(
                    update={"nightly": False, "ledger_account_id": self._accounts[1]}
                )
                await create_source(connection, name=name, config=config, now=NOW)
        self._admin = await asyncpg.connect(self._databases.admin_url)

    async def _close(self) -> None:
        await self._admin.close()
        await self._stack.aclose()
        await postgres.drop_database(self._template.admin_url, self._name)

    async def _post(self, payment: Payment) -> None:
        amount_minor = self._amount_minor(payment)
        source, destination = self._accounts if amount_minor > 0 else reversed(self._accounts)
        answer = await self._ledger.post(
            "/ledger/transfer/",
            json={
                "source_account_id": source,
                "destination_account_id": destination,
                "amount": format_minor(abs(amount_minor), 2),
                "currency": "USD",
                "reference": f"P{payment.number}",
                "effective_at": at_noon(payment.event_day),
            },
        )
        assert answer.status_code == 201, answer.text

    async def _execute(self, source: str, day: date, name: str) -> tuple[str, object]:
        async with atomic(self._engine.database) as connection:
            locked = await lock_source(connection, source)
            assert locked is not None
            requested = await runs.request_run(
                connection,
                source=locked,
                business_date=day,
                trigger="manual",
                statement=Input(InputKind.INBOX, name),
                request_id=None,
                queue_max=1,
            )
            assert requested is not None
        async with atomic(self._engine.database) as connection:
            held = await runs.claim(connection, lease_seconds=LEASE_SECONDS)
        assert held is not None
        return requested[0], await execute(self._engine, held, lease_seconds=LEASE_SECONDS)

    async def _fail(self, source: str, day: date) -> bool:
        _, outcome = await self._execute(source, day, "nothing.csv")
        return isinstance(outcome, Failed)

    async def _run(self, source: str, day: date, name: str) -> Report | None:
        try:
            run_id, outcome = await self._execute(source, day, name)
        except LaterRunDepends:
            return None
        assert isinstance(outcome, Summary), outcome
        lines = await self._admin.fetch(
            "SELECT r.external_id, l.disposition FROM recon.run_records l"
            " JOIN recon.records r USING (record_id) WHERE l.run_id = $1",
            run_id,
        )
        carried = await self._admin.fetch(
            "SELECT external_id, decision FROM recon.match_log WHERE run_id = $1 AND carried",
            run_id,
        )
        attempt = await self._admin.fetchval(
            "SELECT attempt FROM recon.runs WHERE run_id = $1", run_id
        )
        return Report(
            attempt=attempt,
            dispositions={_line(key): state for key, state in lines},
            carried={_line(key): state for key, state in carried},
            equation_holds=outcome.document["equation"]["proved"],
        )

    async def _view(self) -> View:
        active = await self._admin.fetch(
            "SELECT a.source, coalesce(a.match_id, a.record_id::text) AS match, r.external_id,"
            " coalesce(m.reference, l.internal_reference) AS reference"
            " FROM recon.active_matches a LEFT JOIN recon.records r USING (record_id)"
            " LEFT JOIN recon.match_log l USING (run_id, record_id)"
            " LEFT JOIN recon.match_members m"
            " ON m.run_id = a.run_id AND m.side = 'ledger' AND m.key = a.internal_id"
        )
        found: dict[tuple[str, str], tuple[set[Line], set[int]]] = {}
        for row in active:
            lines, items = found.setdefault((row["source"], row["match"]), (set(), set()))
            if row["external_id"] is not None:
                lines.add(_line(row["external_id"]))
            if row["reference"] is not None:
                items.add(_number(row["reference"]))
        broken = await self._admin.fetch(
            "SELECT side, scope, reference, state FROM recon.breaks"
            " WHERE state NOT IN ('resolved', 'withdrawn')"
        )
        folded = await self._admin.fetch(
            "SELECT DISTINCT ON (side, scope, key) side, scope, key, state"
            " FROM recon.break_events ORDER BY side, scope, key, event_id DESC"
        )
        shown = await self._admin.fetch("SELECT side, scope, key, state FROM recon.breaks")
        assert sorted(folded) == sorted(shown), "breaks are not what their events say"
        return View(
            matches=frozenset(
                (source, frozenset(lines), frozenset(items))
                for (source, _), (lines, items) in found.items()
            ),
            open_records={
                (scope, _line(reference)): state
                for side, scope, reference, state in broken
                if side == "external"
            },
            items={
                _number(reference): state
                for side, _, reference, state in broken
                if side == "ledger"
            },
        )


def _number(reference: str) -> int:
    return int(reference.removeprefix("P"))


def _line(external_id: str) -> Line:
    return Line(_number(external_id))


class RealHistory(HistoryMachine):
    equal_lines = False  # a record does not tell which of two equal lines it is

    @initialize(payments=draw_payments(always_agree=True))
    def begin(self, payments: list[Payment]) -> None:
        by_number = {payment.number: payment for payment in payments}
        self.real = self.system = RealSystem(by_number)
        self.model = Model(by_number)

    def compare_reports(self, reported: Report | None, expected: Report | None) -> None:
        """Records carried in get a log row only where something was found for them."""
        if expected is not None:
            found = {line: said for line, said in expected.carried.items() if said != "unmatched"}
            expected = replace(expected, carried=found)
        assert reported == expected

    def teardown(self) -> None:
        if hasattr(self, "real"):
            self.real.close()


TestRealHistory = RealHistory.TestCase
TestRealHistory.settings = settings(
    max_examples=6,
    stateful_step_count=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
